//! The routing plane without the kernel.

pub mod ids;
pub mod uplink;
