//! The kinds of links that a multi-homed host has, each as the second uplink of a lab, and what
//! goes wrong on links. Needs modules that a host may lack: `cargo xtask vm` runs it.

mod aggregate;
mod beside;
mod flowtable;
mod hook;
mod physical;
mod point_to_point;
mod protocols;
mod second;
mod trouble;
mod upon;
mod vlan;
