//! The host's own addresses.

use bytemuck::{Pod, Zeroable};

/// How long an owned address stays exposed after a packet for it came in elsewhere.
pub const EXPOSURE_NS: u64 = 600 * 1_000_000_000;

/// The exposure stamp is written at most this often.
pub const EXPOSURE_REFRESH_NS: u64 = 1_000_000_000;

/// One local address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct LocalAddress {
    /// Id of the owning uplink; 0 when the address is shared.
    pub owner: u32,
    pub pad: u32,
    /// Coarse monotonic nanoseconds of the last packet for this address on an uplink that does
    /// not own it; 0 when there was none. Written by the ingress program.
    pub exposed_at: u64,
}

const _: () = assert!(size_of::<LocalAddress>() == 16);
