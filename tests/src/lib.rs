//! # prroute-tests
//!
//! The lab: network namespaces with clients, firewalled routers and a multi-homed host, the
//! programs that run in them, and the probes that ask whether a reply came back.
//!
//! The cases in `cases/` read like the promise they check; everything they need to set up and
//! observe is here. Nothing in this library depends on prroute itself: the binary is found
//! through `PRROUTE_BIN`.

pub mod addressing;
pub mod advertiser;
pub mod attend;
pub mod bird;
pub mod bpf;
pub mod capability;
pub mod capture;
pub mod cgroup;
pub mod command;
pub mod connection_marks;
pub mod demo;
pub mod dhcp;
pub mod docker;
pub mod echo;
pub mod frame;
pub mod image;
pub mod keepalived;
pub mod lab;
pub mod large;
pub mod mounts;
pub mod netns;
pub mod nobody;
pub mod own_source;
pub mod point_to_point;
pub mod probe;
pub mod process;
pub mod prroute;
pub mod raw;
pub mod router;
pub mod scratch;
pub mod services;
pub mod snapshot;
pub mod socket;
pub mod stream;
pub mod tunnel;
pub mod wait;
pub mod witness;
