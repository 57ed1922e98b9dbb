//! The routing plane without the kernel: what was observed, what is desired, and the way from
//! one to the other. Everything here is pure.

pub mod uplink;
