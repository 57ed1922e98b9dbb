//! prroute on a Debian 12 that boots systemd, as its package installs it: `cargo xtask vm
//! --system` runs these cases in a guest, one after the other.

mod cloud_init;
mod faults;
mod firewalld;
mod network;
mod network_manager;
mod networkd;
mod package;
mod ready;
mod reboot;
mod sandbox;
mod service;
mod socket;
mod unit;
mod wg_quick;
