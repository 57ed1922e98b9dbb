//! Reading headers from a packet, wherever its bytes are.

use bytemuck::Pod;
use network_types::icmp::Icmpv4Hdr;
use network_types::ip::Ipv4Hdr;

/// A packet's bytes from its link-layer header on.
pub trait Packet {
    /// The header at `offset`, or `None` when the packet ends before it does.
    fn read<T: Header>(&self, offset: usize) -> Option<T>;
}

/// A header that may be copied from the wire.
pub trait Header: Sized {
    /// As many bytes, in the words that a program reads them by: the BPF target would read an
    /// array of bytes one by one, and spill each on its own.
    type Words: Pod;

    fn from_words(words: Self::Words) -> Self;
}

macro_rules! plain {
    ($($array:ty = $words:ty),+ $(,)?) => {
        $(
            impl Header for $array {
                type Words = $words;

                #[inline(always)]
                fn from_words(words: $words) -> Self {
                    bytemuck::must_cast(words)
                }
            }
        )+
    };
}

plain!(
    [u8; 2] = u16,
    [u8; 4] = u32,
    [u8; 6] = [u16; 3],
    [u8; 8] = [u32; 2],
    [u32; 2] = [u32; 2],
    [u32; 5] = [u32; 5],
    [u64; 5] = [u64; 5],
);

macro_rules! header {
    ($($header:ty = $words:ty),+ $(,)?) => {
        $(
            impl Header for $header {
                type Words = $words;

                #[inline(always)]
                fn from_words(words: $words) -> Self {
                    // SAFETY: the sizes are equal, or this does not compile; a header is
                    // repr(C) over integers and arrays of bytes, for which any bits are valid.
                    unsafe { core::mem::transmute::<$words, $header>(words) }
                }
            }
        )+
    };
}

header!(Ipv4Hdr = [u32; 5], Icmpv4Hdr = [u32; 2]);

/// Packets in the host's own memory: tests and fuzzing.
impl Packet for &[u8] {
    fn read<T: Header>(&self, offset: usize) -> Option<T> {
        let bytes = self.get(offset..)?.get(..size_of::<T::Words>())?;
        Some(T::from_words(bytemuck::pod_read_unaligned(bytes)))
    }
}
