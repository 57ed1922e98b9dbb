//! Addresses that two hosts may speak between.

use crate::family::{Address4, Address6};

/// Neither unspecified, loopback, link-local, multicast nor broadcast.
#[inline(always)]
pub(super) fn is_unicast4(address: Address4) -> bool {
    let [a, b, ..] = address.to_ne_bytes();
    a != 0 && a != 127 && a < 224 && !(a == 169 && b == 254)
}

/// Neither unspecified, loopback, link-local nor multicast.
#[inline(always)]
pub(super) fn is_unicast6(address: &Address6) -> bool {
    // The unspecified address and ::1 lie in ::/64, from which nothing else is assigned but
    // deprecated IPv4-compatible addresses.
    let [a, b, ..] = address[0].to_ne_bytes();
    address[0] != 0 && a != 0xff && !(a == 0xfe && b & 0xc0 == 0x80)
}
