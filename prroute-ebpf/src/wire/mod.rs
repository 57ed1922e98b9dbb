//! What is on the wire: bytes to headers, headers to the key of a flow.

pub mod fast_headers;
pub mod key;
pub mod packet;
pub mod parse;

pub use prroute_common::address::{Address4, Address6};
use prroute_common::flow::{FlowKey4, FlowKey6};
use prroute_common::syn_cache::KEYS;
use prroute_common::uplink::{INLINE_ADDRESSES, UplinkFacts, flag};

use crate::decide::syn_cache::SynSlot;
use fast_headers::FastHeaders;
use packet::Packet;
use parse::Parsed;

/// IPv4 or IPv6, as it is on the wire and in an uplink's facts.
pub trait Wire: Sized + 'static {
    /// An address in network byte order.
    type Address: Copy + PartialEq + 'static;
    /// Key of this family's flow maps.
    type Key: 'static;

    const FAMILY: Family;
    /// Bytes of the network header without options or extensions.
    const HEADER: u32;
    /// Flag of an uplink that has a usable next hop.
    const HAS_GATEWAY: u32;
    /// Flag of an uplink that answers by last hop.
    const LAST_HOP: u32;
    /// Flags of an uplink that answers by last hop, be it from shared addresses only.
    const NOTES_ROUTERS: u32;
    /// Flag of an uplink with subnets that have a gateway of their own.
    const SUBNET_GATEWAYS: u32;
    /// Flag of an uplink that has more on-link prefixes than those in its facts.
    const MORE_ON_LINK: u32;
    /// Flag of hosts that have prefixes which are local by a route.
    const LOCAL_PREFIXES: u32;
    /// Flag of hosts whose own packets the datapath sends to the owner of their source.
    const OWN_SOURCE: u32;
    /// Flag of an uplink that `main` has routes over which are no default routes.
    const MAIN_ROUTES: u32;

    /// Reads the headers of a packet whose network header starts at `offset`.
    fn parse<P: Packet>(packet: &P, offset: usize) -> Parsed<Self::Address>;

    /// Reads the headers of a plain packet; `None` for all others.
    fn fast_headers<P: Packet>(packet: &P, offset: usize) -> Option<FastHeaders<Self::Address>>;

    /// The key of a flow. Ports are in one word: the local one, then the remote one.
    fn key(local: Self::Address, remote: Self::Address, ports: u32, protocol: u8) -> Self::Key;

    /// The slot of the SYN cache for this key.
    fn syn_slot(key: &Self::Key, secret: impl Fn(usize) -> u32) -> SynSlot;

    /// The address in the form that holds either family: IPv4 is the first word.
    fn widen(address: Self::Address) -> Address6;

    /// From [`Wire::widen`].
    fn narrow(address: &Address6) -> Self::Address;

    /// Whether it is an address of a single host that is reached beyond the link.
    fn is_unicast(address: &Self::Address) -> bool;

    /// The owned addresses of an uplink that are stored in line. Unused places are zero, which is
    /// nobody's address.
    fn inline_addresses(facts: &UplinkFacts) -> &[Self::Address; INLINE_ADDRESSES];

    /// Whether `address` is in one of the on-link prefixes that are stored in line.
    fn is_inline_on_link(facts: &UplinkFacts, address: Self::Address) -> bool;

    /// The gateway of the subnet that `source` is in, where the subnet has one of its own.
    fn subnet_gateway(facts: &UplinkFacts, source: Self::Address) -> Option<Self::Address>;
}

/// Which of the two, as a number that lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Family {
    Ipv4 = 4,
    Ipv6 = 6,
}

/// [`Wire::subnet_gateway`], for what is not on such an uplink at little cost.
#[inline(always)]
pub fn gateway_of_source<F: Wire>(facts: &UplinkFacts, source: &F::Address) -> Option<F::Address> {
    if facts.flags & F::SUBNET_GATEWAYS == 0 {
        return None;
    }
    F::subnet_gateway(facts, *source)
}

/// Whether `address` is one of the uplink's in-line addresses.
#[inline(always)]
pub fn is_inline_address<F: Wire>(facts: &UplinkFacts, address: &F::Address) -> bool {
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

#[derive(Clone, Copy, Debug)]
pub struct Ipv6;

/// What an uplink's facts have of a family.
macro_rules! facts {
    ($has_gateway:ident, $last_hop:ident, $shared_by_last_hop:ident, $subnet_gateways:ident,
     $more_on_link:ident, $local_prefixes:ident, $own_source:ident, $main_routes:ident,
     $addresses:ident, $on_link:ident, $gateways:ident) => {
        const HAS_GATEWAY: u32 = flag::$has_gateway;
        const LAST_HOP: u32 = flag::$last_hop;
        const NOTES_ROUTERS: u32 = flag::$last_hop | flag::$shared_by_last_hop;
        const SUBNET_GATEWAYS: u32 = flag::$subnet_gateways;
        const MORE_ON_LINK: u32 = flag::$more_on_link;
        const LOCAL_PREFIXES: u32 = flag::$local_prefixes;
        const OWN_SOURCE: u32 = flag::$own_source;
        const MAIN_ROUTES: u32 = flag::$main_routes;

        #[inline(always)]
        fn inline_addresses(facts: &UplinkFacts) -> &[Self::Address; INLINE_ADDRESSES] {
            &facts.$addresses
        }

        #[inline(always)]
        fn is_inline_on_link(facts: &UplinkFacts, address: Self::Address) -> bool {
            facts.$on_link.iter().any(|prefix| prefix.contains(address))
        }

        #[inline(always)]
        fn subnet_gateway(facts: &UplinkFacts, source: Self::Address) -> Option<Self::Address> {
            let mut all = facts.$gateways.iter();
            all.find(|one| one.subnet.contains(source)).map(|one| one.gateway)
        }
    };
}

impl Wire for Ipv4 {
    type Address = Address4;
    type Key = FlowKey4;

    const FAMILY: Family = Family::Ipv4;
    const HEADER: u32 = 20;

    facts!(
        GATEWAY4,
        LAST_HOP4,
        SHARED_BY_LAST_HOP4,
        SUBNET_GATEWAYS4,
        MORE_ON_LINK4,
        LOCAL_PREFIXES4,
        OWN_SOURCE4,
        MAIN_ROUTES4,
        addresses4,
        on_link4,
        subnet_gateways4
    );

    #[inline(always)]
    fn parse<P: Packet>(packet: &P, offset: usize) -> Parsed<Address4> {
        parse::ipv4(packet, offset)
    }

    #[inline(always)]
    fn fast_headers<P: Packet>(packet: &P, offset: usize) -> Option<FastHeaders<Address4>> {
        fast_headers::ipv4(packet, offset)
    }

    #[inline(always)]
    fn key(local: Address4, remote: Address4, ports: u32, protocol: u8) -> FlowKey4 {
        let protocol = u32::from_ne_bytes([protocol, 0, 0, 0]);
        bytemuck::must_cast([local, remote, ports, protocol])
    }

    #[inline(always)]
    fn syn_slot(key: &FlowKey4, secret: impl Fn(usize) -> u32) -> SynSlot {
        SynSlot::of::<4>(bytemuck::must_cast(*key), secret)
    }

    #[inline(always)]
    fn widen(address: Address4) -> Address6 {
        [u64::from(address), 0]
    }

    #[inline(always)]
    fn narrow(address: &Address6) -> Address4 {
        address[0] as u32
    }

    #[inline(always)]
    fn is_unicast(address: &Address4) -> bool {
        parse::address::is_unicast4(*address)
    }
}

impl Wire for Ipv6 {
    type Address = Address6;
    type Key = FlowKey6;

    const FAMILY: Family = Family::Ipv6;
    const HEADER: u32 = 40;

    facts!(
        GATEWAY6,
        LAST_HOP6,
        SHARED_BY_LAST_HOP6,
        SUBNET_GATEWAYS6,
        MORE_ON_LINK6,
        LOCAL_PREFIXES6,
        OWN_SOURCE6,
        MAIN_ROUTES6,
        addresses6,
        on_link6,
        subnet_gateways6
    );

    #[inline(always)]
    fn parse<P: Packet>(packet: &P, offset: usize) -> Parsed<Address6> {
        parse::ipv6(packet, offset)
    }

    #[inline(always)]
    fn fast_headers<P: Packet>(packet: &P, offset: usize) -> Option<FastHeaders<Address6>> {
        fast_headers::ipv6(packet, offset)
    }

    #[inline(always)]
    fn key(local: Address6, remote: Address6, ports: u32, protocol: u8) -> FlowKey6 {
        let [p0, p1, p2, p3] = ports.to_ne_bytes();
        let tail = u64::from_ne_bytes([p0, p1, p2, p3, protocol, 0, 0, 0]);
        bytemuck::must_cast([local[0], local[1], remote[0], remote[1], tail])
    }

    #[inline(always)]
    fn syn_slot(key: &FlowKey6, secret: impl Fn(usize) -> u32) -> SynSlot {
        SynSlot::of::<KEYS>(bytemuck::must_cast(*key), secret)
    }

    #[inline(always)]
    fn widen(address: Address6) -> Address6 {
        address
    }

    #[inline(always)]
    fn narrow(address: &Address6) -> Address6 {
        *address
    }

    #[inline(always)]
    fn is_unicast(address: &Address6) -> bool {
        parse::address::is_unicast6(address)
    }
}
