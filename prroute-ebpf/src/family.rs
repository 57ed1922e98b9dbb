//! The two address families, so that everything after the parser is written once.

pub use prroute_common::address::{Address4, Address6};
use prroute_common::flow::{FlowKey4, FlowKey6};
use prroute_common::syn_cache::KEYS;
use prroute_common::uplink::{INLINE_ADDRESSES, UplinkFacts, flag};

use crate::opening::Opening;
use crate::packet::Packet;
use crate::parse::outline::{self, Outline};
use crate::parse::{self, NotParsed, Segment};

/// IPv4 or IPv6.
pub trait Family: Sized + 'static {
    /// An address in network byte order.
    type Address: Copy + PartialEq + 'static;
    /// Key of this family's flow map.
    type Key: 'static;

    /// Flag of an uplink that has a usable next hop.
    const HAS_GATEWAY: u32;
    /// Flag of an uplink that answers by last hop.
    const LAST_HOP: u32;
    /// Flags of an uplink that answers by last hop, be it from shared addresses only.
    const NOTES_ROUTERS: u32;
    /// Flag of an uplink with subnets that have a gateway of their own.
    const SUBNET_GATEWAYS: u32;

    /// Reads the headers of a packet whose network header starts at `offset`.
    fn parse<P: Packet>(
        packet: &P,
        offset: usize,
    ) -> Result<Segment<Self::Address>, NotParsed<Self::Address>>;

    /// A first look at a packet, `None` where it takes a closer one.
    fn outline<P: Packet>(packet: &P, offset: usize) -> Option<Outline<Self::Address>>;

    fn key(
        local: Self::Address,
        remote: Self::Address,
        local_port: [u8; 2],
        remote_port: [u8; 2],
        protocol: u8,
    ) -> Self::Key;

    /// A key with both ports in one word: the local one, then the remote one.
    fn key_of_words(
        local: Self::Address,
        remote: Self::Address,
        ports: u32,
        protocol: u8,
    ) -> Self::Key;

    /// Where and how a SYN with this key is noted.
    fn opening(key: &Self::Key, secret: impl Fn(usize) -> u32) -> Opening;

    /// The owned addresses of an uplink that are stored in line. Unused places are zero, which is
    /// nobody's address.
    fn inline_addresses(facts: &UplinkFacts) -> &[Self::Address; INLINE_ADDRESSES];

    /// The gateway of the subnet that `source` is in, where the subnet has one of its own.
    fn subnet_gateway(facts: &UplinkFacts, source: Self::Address) -> Option<Self::Address>;
}

/// [`Family::subnet_gateway`], for what is not on such an uplink at little cost.
#[inline(always)]
pub fn gateway_of_source<F: Family>(
    facts: &UplinkFacts,
    source: &F::Address,
) -> Option<F::Address> {
    if facts.flags & F::SUBNET_GATEWAYS == 0 {
        return None;
    }
    F::subnet_gateway(facts, *source)
}

/// Whether `address` is one of the uplink's in-line addresses.
#[inline(always)]
pub fn is_inline_address<F: Family>(facts: &UplinkFacts, address: &F::Address) -> bool {
    let [a, b, c, d, e, f, g, h] = F::inline_addresses(facts);
    // Written out: the compiler would count in a loop, and the first one is the usual one.
    address == a
        || address == b
        || address == c
        || address == d
        || address == e
        || address == f
        || address == g
        || address == h
}

#[derive(Clone, Copy, Debug)]
pub struct Ipv4;

impl Family for Ipv4 {
    type Address = Address4;
    type Key = FlowKey4;

    const HAS_GATEWAY: u32 = flag::GATEWAY4;
    const LAST_HOP: u32 = flag::LAST_HOP4;
    const NOTES_ROUTERS: u32 = flag::LAST_HOP4 | flag::SHARED_BY_LAST_HOP4;
    const SUBNET_GATEWAYS: u32 = flag::SUBNET_GATEWAYS4;

    #[inline(always)]
    fn parse<P: Packet>(
        packet: &P,
        offset: usize,
    ) -> Result<Segment<Address4>, NotParsed<Address4>> {
        parse::ipv4(packet, offset)
    }

    #[inline(always)]
    fn outline<P: Packet>(packet: &P, offset: usize) -> Option<Outline<Address4>> {
        outline::ipv4(packet, offset)
    }

    #[inline(always)]
    fn key(
        local: Address4,
        remote: Address4,
        local_port: [u8; 2],
        remote_port: [u8; 2],
        protocol: u8,
    ) -> FlowKey4 {
        FlowKey4 { local, remote, local_port, remote_port, protocol, pad: [0; 3] }
    }

    #[inline(always)]
    fn key_of_words(local: Address4, remote: Address4, ports: u32, protocol: u8) -> FlowKey4 {
        let protocol = u32::from_ne_bytes([protocol, 0, 0, 0]);
        bytemuck::must_cast([local, remote, ports, protocol])
    }

    #[inline(always)]
    fn opening(key: &FlowKey4, secret: impl Fn(usize) -> u32) -> Opening {
        Opening::of::<4>(bytemuck::must_cast(*key), secret)
    }

    #[inline(always)]
    fn inline_addresses(facts: &UplinkFacts) -> &[Address4; INLINE_ADDRESSES] {
        &facts.addresses4
    }

    #[inline(always)]
    fn subnet_gateway(facts: &UplinkFacts, source: Address4) -> Option<Address4> {
        let mut all = facts.subnet_gateways4.iter();
        all.find(|one| one.subnet.contains(source)).map(|one| one.gateway)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Ipv6;

impl Family for Ipv6 {
    type Address = Address6;
    type Key = FlowKey6;

    const HAS_GATEWAY: u32 = flag::GATEWAY6;
    const LAST_HOP: u32 = flag::LAST_HOP6;
    const NOTES_ROUTERS: u32 = flag::LAST_HOP6 | flag::SHARED_BY_LAST_HOP6;
    const SUBNET_GATEWAYS: u32 = flag::SUBNET_GATEWAYS6;

    #[inline(always)]
    fn parse<P: Packet>(
        packet: &P,
        offset: usize,
    ) -> Result<Segment<Address6>, NotParsed<Address6>> {
        parse::ipv6(packet, offset)
    }

    #[inline(always)]
    fn outline<P: Packet>(packet: &P, offset: usize) -> Option<Outline<Address6>> {
        outline::ipv6(packet, offset)
    }

    #[inline(always)]
    fn key(
        local: Address6,
        remote: Address6,
        local_port: [u8; 2],
        remote_port: [u8; 2],
        protocol: u8,
    ) -> FlowKey6 {
        FlowKey6 { local, remote, local_port, remote_port, protocol, pad: [0; 3] }
    }

    #[inline(always)]
    fn key_of_words(local: Address6, remote: Address6, ports: u32, protocol: u8) -> FlowKey6 {
        let [p0, p1, p2, p3] = ports.to_ne_bytes();
        let tail = u64::from_ne_bytes([p0, p1, p2, p3, protocol, 0, 0, 0]);
        bytemuck::must_cast([local[0], local[1], remote[0], remote[1], tail])
    }

    #[inline(always)]
    fn opening(key: &FlowKey6, secret: impl Fn(usize) -> u32) -> Opening {
        Opening::of::<KEYS>(bytemuck::must_cast(*key), secret)
    }

    #[inline(always)]
    fn inline_addresses(facts: &UplinkFacts) -> &[Address6; INLINE_ADDRESSES] {
        &facts.addresses6
    }

    #[inline(always)]
    fn subnet_gateway(facts: &UplinkFacts, source: Address6) -> Option<Address6> {
        let mut all = facts.subnet_gateways6.iter();
        all.find(|one| one.subnet.contains(source)).map(|one| one.gateway)
    }
}
