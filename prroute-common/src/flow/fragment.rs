//! What is remembered of a packet in fragments.

use bytemuck::{Pod, Zeroable};

use crate::address::Address6;
use crate::time::{Ticks, seconds};

/// The first fragment of a packet that is on its way out, for those that follow. The
/// identification is 16 bits in IPv4, 32 in IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct FragmentKey {
    /// An IPv4 address is the first word.
    pub source: Address6,
    pub destination: Address6,
    pub identification: u32,
    /// IPv4 tells identifications apart by protocol; 0 for IPv6.
    pub protocol: u32,
}

const _: () = assert!(size_of::<FragmentKey>() == 40);

/// What was decided for the first fragment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct FragmentVerdict {
    /// Uplink id that the fragments are redirected to; 0 when they go the kernel's way.
    pub uplink: u16,
    pub generation: u16,
    pub decided_at: Ticks,
    /// The router in last-hop mode, as in [`Flow::router`].
    pub router: u64,
}

const _: () = assert!(size_of::<FragmentVerdict>() == 16);

/// Fragments of one packet leave together; an older decision is another packet's.
pub const FRAGMENT_IDLE: Ticks = seconds(2);
