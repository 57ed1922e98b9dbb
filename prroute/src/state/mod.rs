//! The routing plane without the kernel: what was observed, what is desired, and the way from
//! one to the other. Everything here is pure.
//!
//! ```text
//!   Config + Observed -> discover -> ids -> desired -> diff -> Plan
//! ```

pub mod advice;
mod catch_all;
pub mod desired;
pub mod diff;
pub mod discover;
pub mod families;
pub mod findings;
#[cfg(test)]
pub(crate) mod fixture;
pub mod gateways;
#[cfg(test)]
mod golden;
pub mod ids;
pub mod locals;
pub mod lost_gateways;
pub mod observed;
mod on_link;
mod ours;
pub mod own_source;
pub mod per_family;
pub mod place;
pub mod plan;
pub mod rationale;
pub mod remembered;
pub mod saved_sysctls;
pub mod share;
mod source_routes;
mod sources;
mod stacked;
pub(crate) mod subnet_tables;
pub mod succession;
pub mod undo;
pub mod units;
pub mod uplink;
#[cfg(test)]
mod walk;
