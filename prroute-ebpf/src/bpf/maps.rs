//! All maps. The loader pins each under its own name and sets `max_entries` of all LRU maps.

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{
    Array, DevMapHash, HashMap, LpmTrie, LruHashMap, LruPerCpuHashMap, PerCpuArray, RingBuf,
};
use prroute_common::address::{
    Address4, Address6, LocalAddress, MAX_ADDRESSES, MAX_LOCAL_PREFIXES, PrefixAddress6,
};
use prroute_common::flow::{
    Flow, FlowKey4, FlowKey6, FragmentKey, FragmentVerdict, MAX_DEFAULT_FLOWS, confirmed_entries,
    fragmented_packets, unconfirmed_entries,
};
use prroute_common::observe::{WrongUplinkKey, wrong_uplinks};
use prroute_common::reason::REASON_SLOTS;
use prroute_common::time::Ticks;
use prroute_common::trace::{self, Filter, Rate};
use prroute_common::udp_origin::{
    self, HostPeer, PORT_WORDS, Peer, SOCKET_REASON_SLOTS, UdpOrigin,
};
use prroute_common::uplink::{
    IfindexSlot, MAX_FACTS, MAX_MAIN_ROUTES, MAX_ON_LINK, MAX_UPLINKS, OnLink4, OnLink6,
    UplinkFacts, UplinkIdentity,
};
use prroute_ebpf::wire::{Ipv4, Ipv6, Wire};

/// Has the values begin on a page (Linux 5.5), so that no line of memory has parts of two uplinks.
const BPF_F_MMAPABLE: u32 = 1 << 10;

/// Confirmed flows of TCP, which numbers have proved.
#[map]
static FLOWS4: LruHashMap<FlowKey4, Flow> =
    LruHashMap::with_max_entries(confirmed_entries(MAX_DEFAULT_FLOWS), 0);

#[map]
static FLOWS6: LruHashMap<FlowKey6, Flow> =
    LruHashMap::with_max_entries(confirmed_entries(MAX_DEFAULT_FLOWS), 0);

/// Confirmed flows of everything else: packets both ways prove nothing, and must not evict TCP.
#[map]
static DATAGRAMS4: LruHashMap<FlowKey4, Flow> =
    LruHashMap::with_max_entries(confirmed_entries(MAX_DEFAULT_FLOWS), 0);

#[map]
static DATAGRAMS6: LruHashMap<FlowKey6, Flow> =
    LruHashMap::with_max_entries(confirmed_entries(MAX_DEFAULT_FLOWS), 0);

/// Unconfirmed flows: small, so that a flood of SYNs evicts nothing that works.
#[map]
static NEW4: LruHashMap<FlowKey4, Flow> =
    LruHashMap::with_max_entries(unconfirmed_entries(MAX_DEFAULT_FLOWS), 0);

#[map]
static NEW6: LruHashMap<FlowKey6, Flow> =
    LruHashMap::with_max_entries(unconfirmed_entries(MAX_DEFAULT_FLOWS), 0);

/// SYNs to an address of the uplink that they came in on.
#[map]
pub(super) static SYN_CACHE: Array<u64> =
    Array::with_max_entries(prroute_common::syn_cache::ELEMENTS, 0);

/// Packets that leave in fragments, of both families.
#[map]
pub(super) static FRAGMENTS: LruHashMap<FragmentKey, FragmentVerdict> =
    LruHashMap::with_max_entries(fragmented_packets(MAX_DEFAULT_FLOWS), 0);

#[map]
static ADDRESSES4: HashMap<Address4, LocalAddress> =
    HashMap::with_max_entries(MAX_ADDRESSES, BPF_F_NO_PREALLOC);

#[map]
static ADDRESSES6: HashMap<Address6, LocalAddress> =
    HashMap::with_max_entries(MAX_ADDRESSES, BPF_F_NO_PREALLOC);

#[map]
static LOCAL_PREFIXES4: LpmTrie<Address4, u32> =
    LpmTrie::with_max_entries(MAX_LOCAL_PREFIXES, BPF_F_NO_PREALLOC);

#[map]
static LOCAL_PREFIXES6: LpmTrie<PrefixAddress6, u32> =
    LpmTrie::with_max_entries(MAX_LOCAL_PREFIXES, BPF_F_NO_PREALLOC);

#[map]
static ON_LINK4: LpmTrie<OnLink4, u32> = LpmTrie::with_max_entries(MAX_ON_LINK, BPF_F_NO_PREALLOC);

#[map]
static ON_LINK6: LpmTrie<OnLink6, u32> = LpmTrie::with_max_entries(MAX_ON_LINK, BPF_F_NO_PREALLOC);

/// Prefixes that `main` routes over an uplink, more specific than a default route.
#[map]
static MAIN_ROUTES4: LpmTrie<OnLink4, u32> =
    LpmTrie::with_max_entries(MAX_MAIN_ROUTES, BPF_F_NO_PREALLOC);

#[map]
static MAIN_ROUTES6: LpmTrie<OnLink6, u32> =
    LpmTrie::with_max_entries(MAX_MAIN_ROUTES, BPF_F_NO_PREALLOC);

#[map]
pub(super) static IFINDEX_SLOTS: Array<IfindexSlot> =
    Array::with_max_entries(prroute_common::uplink::IFINDEX_SLOTS, 0);

#[map]
pub(super) static ACTIVE_FACTS: Array<u32> = Array::with_max_entries(MAX_UPLINKS, 0);

#[map]
pub(super) static UPLINK_FACTS: Array<UplinkFacts> =
    Array::with_max_entries(MAX_FACTS, BPF_F_MMAPABLE);

/// For the daemon alone.
#[map]
static UPLINK_IDS: Array<UplinkIdentity> = Array::with_max_entries(MAX_UPLINKS, 0);

/// When an address of an uplink was last seen on another one, by uplink id: says whether the flows of
/// its addresses have to be looked up there.
#[map]
pub(super) static EXPOSED: Array<Ticks> = Array::with_max_entries(MAX_UPLINKS, 0);

/// The devices of the uplinks, by their index. The kernel takes a device out when it is deleted or
/// leaves the network namespace, and never puts in another one that gets its index.
#[map]
pub(super) static DEVICES: DevMapHash = DevMapHash::with_max_entries(MAX_UPLINKS, 0);

#[map]
pub(super) static COUNTERS: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(MAX_UPLINKS * REASON_SLOTS, 0);

/// Where packets are only observed: how many left by the wrong uplink.
#[map]
pub(super) static WRONG_UPLINK: LruPerCpuHashMap<WrongUplinkKey, u64> =
    LruPerCpuHashMap::with_max_entries(wrong_uplinks(1), 0);

/// Which packets are reported: one element.
#[map]
pub(super) static TRACE_FILTER: Array<Filter> = Array::with_max_entries(1, 0);

/// How many were: one element. Apart from what every packet reads.
#[map]
pub(super) static TRACE_RATE: Array<Rate> = Array::with_max_entries(1, 0);

#[map]
pub(super) static TRACE_REPORTS: RingBuf = RingBuf::with_byte_size(trace::RING_BYTES, 0);

/// The address that each UDP peer asked.
#[map]
static UDP_ORIGIN4: LruHashMap<Peer<Address4>, UdpOrigin<Address4>> =
    LruHashMap::with_max_entries(udp_origin::entries(MAX_DEFAULT_FLOWS), 0);

#[map]
static UDP_ORIGIN6: LruHashMap<Peer<Address6>, UdpOrigin<Address6>> =
    LruHashMap::with_max_entries(udp_origin::entries(MAX_DEFAULT_FLOWS), 0);

/// Peers to whom a socket of ours has sent without being asked. Only sockets write here: an entry is
/// forgotten when the host itself sends to many others, not by what comes in.
#[map]
static HOST_PEERS4: LruHashMap<Peer<Address4>, HostPeer> =
    LruHashMap::with_max_entries(udp_origin::host_peers(MAX_DEFAULT_FLOWS), 0);

#[map]
static HOST_PEERS6: LruHashMap<Peer<Address6>, HostPeer> =
    LruHashMap::with_max_entries(udp_origin::host_peers(MAX_DEFAULT_FLOWS), 0);

/// A bit for each local port from which a socket of ours was told its source: only requests
/// to such a port are recorded after a conversation's first. A local user alone can set none: it
/// takes a request from outside. Bits are never cleared; one too many costs a lookup.
#[map]
pub(super) static WILDCARD_PORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

#[map]
pub(super) static SOCKET_COUNTERS: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(SOCKET_REASON_SLOTS, 0);

/// A family with its maps.
pub(super) trait Maps: Wire {
    /// Confirmed flows of TCP.
    fn flows() -> &'static LruHashMap<Self::Key, Flow>;
    /// Confirmed flows of everything else.
    fn datagrams() -> &'static LruHashMap<Self::Key, Flow>;
    /// Unconfirmed flows.
    fn new_flows() -> &'static LruHashMap<Self::Key, Flow>;
    fn addresses() -> &'static HashMap<Self::Address, LocalAddress>;
    fn udp_origin() -> &'static LruHashMap<Peer<Self::Address>, UdpOrigin<Self::Address>>;
    fn host_peers() -> &'static LruHashMap<Peer<Self::Address>, HostPeer>;
    /// Whether a route makes `address` one of the host's own.
    fn is_in_local_prefix(address: &Self::Address) -> bool;
    /// Whether `address` is in one of the uplink's further on-link prefixes.
    fn is_in_on_link(uplink: u16, address: Self::Address) -> bool;
    /// Whether `main` routes `address` over the uplink, more specifically than by default.
    fn is_in_main_routes(uplink: u16, address: Self::Address) -> bool;
}

/// Runs an expression with `$family` as the type of the family that `$value` says.
macro_rules! by_family {
    ($value:expr, $family:ident => $run:expr) => {
        match $value {
            prroute_ebpf::wire::Family::Ipv4 => {
                type $family = prroute_ebpf::wire::Ipv4;
                $run
            }
            prroute_ebpf::wire::Family::Ipv6 => {
                type $family = prroute_ebpf::wire::Ipv6;
                $run
            }
        }
    };
}
pub(super) use by_family;

macro_rules! maps {
    ($family:ty, $flows:ident, $datagrams:ident, $new:ident, $addresses:ident, $origin:ident,
     $peers:ident, $prefixes:ident, $on_link:ident, $main:ident,
     $bits:literal, $prefix:ident) => {
        impl Maps for $family {
            #[inline(always)]
            fn flows() -> &'static LruHashMap<Self::Key, Flow> {
                &$flows
            }

            #[inline(always)]
            fn datagrams() -> &'static LruHashMap<Self::Key, Flow> {
                &$datagrams
            }

            #[inline(always)]
            fn new_flows() -> &'static LruHashMap<Self::Key, Flow> {
                &$new
            }

            #[inline(always)]
            fn addresses() -> &'static HashMap<Self::Address, LocalAddress> {
                &$addresses
            }

            #[inline(always)]
            fn udp_origin() -> &'static LruHashMap<Peer<Self::Address>, UdpOrigin<Self::Address>> {
                &$origin
            }

            #[inline(always)]
            fn host_peers() -> &'static LruHashMap<Peer<Self::Address>, HostPeer> {
                &$peers
            }

            #[inline(never)]
            fn is_in_local_prefix(address: &Self::Address) -> bool {
                $prefixes.get(Key::new($bits, bytemuck::must_cast(*address))).is_some()
            }

            #[inline(always)]
            fn is_in_on_link(uplink: u16, address: Self::Address) -> bool {
                $on_link.get(Key::new(32 + $bits, $prefix::new(uplink, address))).is_some()
            }

            #[inline(always)]
            fn is_in_main_routes(uplink: u16, address: Self::Address) -> bool {
                $main.get(Key::new(32 + $bits, $prefix::new(uplink, address))).is_some()
            }
        }
    };
}

maps!(
    Ipv4,
    FLOWS4,
    DATAGRAMS4,
    NEW4,
    ADDRESSES4,
    UDP_ORIGIN4,
    HOST_PEERS4,
    LOCAL_PREFIXES4,
    ON_LINK4,
    MAIN_ROUTES4,
    32,
    OnLink4
);
maps!(
    Ipv6,
    FLOWS6,
    DATAGRAMS6,
    NEW6,
    ADDRESSES6,
    UDP_ORIGIN6,
    HOST_PEERS6,
    LOCAL_PREFIXES6,
    ON_LINK6,
    MAIN_ROUTES6,
    128,
    OnLink6
);
