//! The two address families, so that everything after the parser is written once.

use prroute_common::flow::{FlowKey4, FlowKey6};
use prroute_common::uplink::{INLINE_ADDRESSES, UplinkFacts, flag};

use crate::packet::Packet;
use crate::parse::{self, NotParsed, Segment};

/// IPv4 or IPv6.
pub trait Family: Sized {
    /// An address in network byte order.
    type Address: Copy + PartialEq;
    /// Key of this family's flow map.
    type Key;

    /// Flag of an uplink that has a usable next hop.
    const HAS_GATEWAY: u32;

    /// Reads the headers of a packet whose network header starts at `offset`.
    fn parse<P: Packet>(packet: &P, offset: usize) -> Result<Segment<Self::Address>, NotParsed>;

    fn key(
        local: Self::Address,
        remote: Self::Address,
        local_port: [u8; 2],
        remote_port: [u8; 2],
        protocol: u8,
    ) -> Self::Key;

    fn equal(a: Self::Address, b: Self::Address) -> bool;

    /// The owned addresses of an uplink that are stored in line, and how many of them count.
    fn inline_addresses(facts: &UplinkFacts) -> (&[Self::Address; INLINE_ADDRESSES], u32);
}

/// Whether `address` is one of the uplink's in-line addresses.
#[inline(always)]
pub fn is_inline_address<F: Family>(facts: &UplinkFacts, address: F::Address) -> bool {
    let (addresses, count) = F::inline_addresses(facts);
    for (i, candidate) in addresses.iter().enumerate() {
        if i as u32 >= count {
            return false;
        }
        if F::equal(*candidate, address) {
            return true;
        }
    }
    false
}

#[derive(Clone, Copy, Debug)]
pub struct Ipv4;

impl Family for Ipv4 {
    type Address = [u8; 4];
    type Key = FlowKey4;

    const HAS_GATEWAY: u32 = flag::GATEWAY4;

    #[inline(always)]
    fn parse<P: Packet>(packet: &P, offset: usize) -> Result<Segment<[u8; 4]>, NotParsed> {
        parse::ipv4(packet, offset)
    }

    #[inline(always)]
    fn key(
        local: [u8; 4],
        remote: [u8; 4],
        local_port: [u8; 2],
        remote_port: [u8; 2],
        protocol: u8,
    ) -> FlowKey4 {
        FlowKey4 { local, remote, local_port, remote_port, protocol, pad: [0; 3] }
    }

    #[inline(always)]
    fn equal(a: [u8; 4], b: [u8; 4]) -> bool {
        u32::from_ne_bytes(a) == u32::from_ne_bytes(b)
    }

    #[inline(always)]
    fn inline_addresses(facts: &UplinkFacts) -> (&[[u8; 4]; INLINE_ADDRESSES], u32) {
        (&facts.addresses4, facts.count4)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Ipv6;

impl Family for Ipv6 {
    type Address = [u8; 16];
    type Key = FlowKey6;

    const HAS_GATEWAY: u32 = flag::GATEWAY6;

    #[inline(always)]
    fn parse<P: Packet>(packet: &P, offset: usize) -> Result<Segment<[u8; 16]>, NotParsed> {
        parse::ipv6(packet, offset)
    }

    #[inline(always)]
    fn key(
        local: [u8; 16],
        remote: [u8; 16],
        local_port: [u8; 2],
        remote_port: [u8; 2],
        protocol: u8,
    ) -> FlowKey6 {
        FlowKey6 { local, remote, local_port, remote_port, protocol, pad: [0; 3] }
    }

    /// By words: the BPF target has no memcmp.
    #[inline(always)]
    fn equal(a: [u8; 16], b: [u8; 16]) -> bool {
        let word =
            |x: &[u8; 16], i: usize| u32::from_ne_bytes([x[i], x[i + 1], x[i + 2], x[i + 3]]);
        word(&a, 12) == word(&b, 12)
            && word(&a, 8) == word(&b, 8)
            && word(&a, 4) == word(&b, 4)
            && word(&a, 0) == word(&b, 0)
    }

    #[inline(always)]
    fn inline_addresses(facts: &UplinkFacts) -> (&[[u8; 16]; INLINE_ADDRESSES], u32) {
        (&facts.addresses6, facts.count6)
    }
}
