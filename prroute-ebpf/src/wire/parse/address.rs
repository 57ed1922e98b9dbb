//! Addresses that two hosts may speak between.

use crate::wire::{Address4, Address6};

/// Neither unspecified, loopback, link-local, multicast nor broadcast. What lies behind multicast (240.0.0.0/4) is
/// reserved, and Linux speaks to it as to any other address (since 2.6.25); clouds give it to containers.
#[inline(always)]
pub(in crate::wire) fn is_unicast4(address: Address4) -> bool {
    const LOOPBACK: u32 = 127;
    const MULTICAST: u32 = 0xe;
    const BROADCAST: Address4 = Address4::MAX;
    const LINK_LOCAL: u16 = u16::from_ne_bytes([169, 254]);
    // By words: every packet comes by here, and bytes would be taken out one by one.
    let [first, ..] = address.to_ne_bytes();
    let first = u32::from(first);
    first != 0
        && first != LOOPBACK
        && first >> 4 != MULTICAST
        && address != BROADCAST
        && (address.to_le() as u16).to_le() != LINK_LOCAL
}

/// Neither unspecified, loopback, link-local nor multicast.
#[inline(always)]
pub(in crate::wire) fn is_unicast6(address: &Address6) -> bool {
    // The unspecified address and ::1 lie in ::/64, from which nothing else is assigned but
    // deprecated IPv4-compatible addresses.
    let [a, b, ..] = address[0].to_ne_bytes();
    address[0] != 0 && a != 0xff && !(a == 0xfe && b & 0xc0 == 0x80)
}
