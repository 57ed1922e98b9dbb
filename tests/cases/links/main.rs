//! The kinds of links that a multi-homed host has, each as the second uplink of a lab, and what
//! goes wrong on links. Needs modules that a host may lack: `cargo xtask vm` runs it.

mod second;
mod vlan;
