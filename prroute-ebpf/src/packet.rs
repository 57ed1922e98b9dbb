//! Reading headers from a packet, wherever its bytes are.

use network_types::icmp::Icmpv4Hdr;
use network_types::ip::{Ipv4Hdr, Ipv6Hdr};
use network_types::tcp::TcpHdr;

/// A packet's bytes from its link-layer header on.
pub trait Packet {
    /// The header at `offset`, or `None` when the packet ends before it does.
    fn read<T: Wire>(&self, offset: usize) -> Option<T>;
}

/// A header that may be copied from the wire.
///
/// # Safety
///
/// The type is `repr(C)`, has alignment 1 and no padding, and every bit pattern is valid.
pub unsafe trait Wire: Copy {}

// SAFETY: an array of bytes has alignment 1, no padding and no invalid values.
unsafe impl<const N: usize> Wire for [u8; N] {}
// SAFETY: repr(C) over byte arrays only.
unsafe impl Wire for Ipv4Hdr {}
// SAFETY: repr(C) over byte arrays only.
unsafe impl Wire for Ipv6Hdr {}
// SAFETY: repr(C) over byte arrays only.
unsafe impl Wire for TcpHdr {}
// SAFETY: repr(C) over bytes and byte arrays only.
unsafe impl Wire for Icmpv4Hdr {}

const _: () = assert!(align_of::<Ipv4Hdr>() == 1 && size_of::<Ipv4Hdr>() == 20);
const _: () = assert!(align_of::<Ipv6Hdr>() == 1 && size_of::<Ipv6Hdr>() == 40);
const _: () = assert!(align_of::<TcpHdr>() == 1 && size_of::<TcpHdr>() == 20);
const _: () = assert!(align_of::<Icmpv4Hdr>() == 1 && size_of::<Icmpv4Hdr>() == 8);

/// Packets in the host's own memory: tests and fuzzing.
impl Packet for &[u8] {
    fn read<T: Wire>(&self, offset: usize) -> Option<T> {
        let bytes = self.get(offset..)?.get(..size_of::<T>())?;
        // SAFETY: the slice is as long as T, and Wire promises that any bytes at any alignment
        // make a T.
        Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
    }
}
