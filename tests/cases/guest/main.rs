//! prroute on a Debian 12 that boots systemd, as its package installs it: `cargo xtask vm
//! --system` runs these cases in a guest, one after the other.

mod ansible;
mod cloud_init;
mod configuration;
mod docker;
mod ec2_net_utils;
mod faults;
mod firewalld;
mod ifupdown;
mod leases;
mod metadata;
mod netplan;
mod network;
mod network_manager;
mod network_manager_changes;
mod networkd;
mod networkd_dhcp;
mod networkd_foreign;
mod package;
mod pings;
mod podman;
mod ready;
mod reboot;
mod sandbox;
mod service;
mod socket;
mod ufw;
mod unit;
mod wg_quick;
mod wg_quick_uplink;
