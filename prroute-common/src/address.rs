//! The host's own addresses.

use bytemuck::{Pod, Zeroable};

use crate::time::{Ticks, seconds};

/// How long an owned address stays exposed after a packet for it came in elsewhere.
pub const EXPOSURE: Ticks = seconds(600);

/// The exposure stamp is written at most this often.
pub const EXPOSURE_REFRESH: Ticks = seconds(1);

/// One local address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct LocalAddress {
    /// Id of the owning uplink; 0 when the address is shared.
    pub owner: u32,
    /// When the last packet for this address came in on an uplink that does not own it; 0 when
    /// there was none. Written by the ingress program.
    pub exposed_at: Ticks,
}

const _: () = assert!(size_of::<LocalAddress>() == 8);
