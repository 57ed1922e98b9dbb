//! The BPF side of the house: finding bpffs, loading the programs, attaching them, and keeping
//! their tables.
//!
//! Everything the kernel needs is pinned below [`Pins`], so that the datapath goes on without
//! the daemon, and the next one takes over what it finds.

mod addresses;
pub mod attach;
mod batch;
mod bpf;
pub mod chain;
pub mod counters;
mod devices;
pub(crate) mod directory;
pub mod error;
mod facts;
pub mod features;
pub mod flows;
mod foreign;
pub mod hooks;
mod identities;
mod in_force;
mod layout;
pub mod links;
mod locked;
mod main_routes;
mod maps;
pub mod memory;
pub mod object;
pub mod observed;
pub mod occupancy;
mod outgrown;
mod own_source;
mod owner;
pub mod pin_monitor;
pub mod pins;
mod predecessor;
mod prefixes;
pub mod rehearsal;
mod secret;
pub mod sizes;
pub mod sockets;
#[cfg(test)]
mod stack_reads;
mod succession;
pub mod tables;
pub mod targets;
pub mod tcx;
pub mod trace;
pub mod wrong_uplinks;

pub use error::DatapathError;
pub use in_force::InForce;
pub use object::{LoadOptions, Programs};
pub use pins::Pins;
pub use predecessor::{Heritage, Predecessor};
pub use secret::secret;
pub use sizes::Sizes;
pub use tables::Tables;
