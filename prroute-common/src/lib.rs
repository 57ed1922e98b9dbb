//! # prroute-common
//!
//! What the BPF programs and the loader share, and nothing else: map keys and values,
//! frozen counter numbers, and the names of maps and programs.
//!
//! Every type that crosses the boundary is `repr(C)` without implicit padding, and its size
//! is asserted where it is defined. Addresses and ports are in network byte order; all other
//! integers are native.
#![no_std]

pub mod address;
pub mod flow;
pub mod names;
pub mod observe;
#[cfg(feature = "user")]
mod pod;
pub mod reason;
pub mod syn_cache;
pub mod time;
pub mod trace;
pub mod udp_origin;
pub mod uplink;

/// Version of the pinned layout: part of the pin path, raised whenever a type in this crate
/// or a map definition changes, so that an upgrade never reads another version's bytes.
#[cfg(not(feature = "other-version"))]
pub const LAYOUT_VERSION: u32 = 8;
/// The layout of the build that tests use as another version.
#[cfg(feature = "other-version")]
pub const LAYOUT_VERSION: u32 = 1008;

/// Version of what the programs remember: of the keys, values and meaning of the maps in
/// [`names::REMEMBERED`]. While it stays the same, a layout uses the maps of another one.
pub const MEMORY_VERSION: u32 = 1;
