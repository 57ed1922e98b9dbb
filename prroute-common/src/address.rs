//! The host's own addresses.

use bytemuck::{Pod, Zeroable};

use crate::time::{Ticks, seconds};

/// An IPv4 address in network byte order.
pub type Address4 = u32;

/// An IPv6 address in network byte order. In words, so that programs copy and compare it whole:
/// the BPF target handles bytes one by one.
pub type Address6 = [u64; 2];

#[inline(always)]
pub const fn address4(octets: [u8; 4]) -> Address4 {
    u32::from_ne_bytes(octets)
}

#[inline(always)]
pub const fn octets4(address: Address4) -> [u8; 4] {
    address.to_ne_bytes()
}

#[inline(always)]
pub fn address6(octets: [u8; 16]) -> Address6 {
    bytemuck::cast(octets)
}

#[inline(always)]
pub fn octets6(address: Address6) -> [u8; 16] {
    bytemuck::cast(address)
}

/// Local addresses per family that the datapath knows.
pub const MAX_ADDRESSES: u32 = 8192;

/// Prefixes per family that are local by a route.
pub const MAX_LOCAL_PREFIXES: u32 = 1024;

/// Key data of the trie of local IPv6 prefixes, behind the prefix length. Not [`Address6`]: its
/// alignment would move it.
pub type PrefixAddress6 = [u32; 4];

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
