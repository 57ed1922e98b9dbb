//! The maps. The loader pins each under its own name and sets `max_entries` of all LRU maps.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, DevMapHash, HashMap, LpmTrie, LruHashMap, PerCpuArray};
use prroute_common::address::{
    Address4, Address6, LocalAddress, MAX_ADDRESSES, MAX_LOCAL_PREFIXES, PrefixAddress6,
};
use prroute_common::flow::{
    Flow, FlowKey4, FlowKey6, FragmentKey, FragmentWay, MAX_DEFAULT_FLOWS, confirmed_entries,
    fragmented_packets, unconfirmed_entries,
};
use prroute_common::reason::REASON_SLOTS;
use prroute_common::syn_cache;
use prroute_common::time::Ticks;
use prroute_common::uplink::{
    IfindexSlot, MAX_FACTS, MAX_MAIN_ROUTES, MAX_ON_LINK, MAX_UPLINKS, OnLink4, OnLink6,
    UplinkFacts,
};

/// Entries are allocated as they come: most hosts have few, and only the loader adds them. LPM tries
/// exist only like this.
const BPF_F_NO_PREALLOC: u32 = 1;

/// Has the values begin on a page (Linux 5.5), so that no line of memory has parts of two uplinks.
const BPF_F_MMAPABLE: u32 = 1 << 10;

/// Confirmed flows of TCP, which numbers have proved.
#[map]
pub(super) static FLOWS4: LruHashMap<FlowKey4, Flow> =
    LruHashMap::with_max_entries(confirmed_entries(MAX_DEFAULT_FLOWS), 0);

#[map]
pub(super) static FLOWS6: LruHashMap<FlowKey6, Flow> =
    LruHashMap::with_max_entries(confirmed_entries(MAX_DEFAULT_FLOWS), 0);

/// Confirmed flows of everything else: packets both ways prove nothing, and must not evict TCP.
#[map]
pub(super) static DATAGRAMS4: LruHashMap<FlowKey4, Flow> =
    LruHashMap::with_max_entries(confirmed_entries(MAX_DEFAULT_FLOWS), 0);

#[map]
pub(super) static DATAGRAMS6: LruHashMap<FlowKey6, Flow> =
    LruHashMap::with_max_entries(confirmed_entries(MAX_DEFAULT_FLOWS), 0);

/// Unconfirmed flows: small, so that a flood of openings evicts nothing that works.
#[map]
pub(super) static NEW4: LruHashMap<FlowKey4, Flow> =
    LruHashMap::with_max_entries(unconfirmed_entries(MAX_DEFAULT_FLOWS), 0);

#[map]
pub(super) static NEW6: LruHashMap<FlowKey6, Flow> =
    LruHashMap::with_max_entries(unconfirmed_entries(MAX_DEFAULT_FLOWS), 0);

/// SYNs to an address of the uplink that they came in on.
#[map]
pub(super) static SYN_CACHE: Array<u64> = Array::with_max_entries(syn_cache::ELEMENTS, 0);

/// Packets that leave in fragments, of both families.
#[map]
pub(super) static FRAGMENTS: LruHashMap<FragmentKey, FragmentWay> =
    LruHashMap::with_max_entries(fragmented_packets(MAX_DEFAULT_FLOWS), 0);

#[map]
pub(super) static ADDRESSES4: HashMap<Address4, LocalAddress> =
    HashMap::with_max_entries(MAX_ADDRESSES, BPF_F_NO_PREALLOC);

#[map]
pub(super) static ADDRESSES6: HashMap<Address6, LocalAddress> =
    HashMap::with_max_entries(MAX_ADDRESSES, BPF_F_NO_PREALLOC);

#[map]
pub(super) static LOCAL_PREFIXES4: LpmTrie<Address4, u32> =
    LpmTrie::with_max_entries(MAX_LOCAL_PREFIXES, BPF_F_NO_PREALLOC);

#[map]
pub(super) static LOCAL_PREFIXES6: LpmTrie<PrefixAddress6, u32> =
    LpmTrie::with_max_entries(MAX_LOCAL_PREFIXES, BPF_F_NO_PREALLOC);

#[map]
pub(super) static ON_LINK4: LpmTrie<OnLink4, u32> =
    LpmTrie::with_max_entries(MAX_ON_LINK, BPF_F_NO_PREALLOC);

#[map]
pub(super) static ON_LINK6: LpmTrie<OnLink6, u32> =
    LpmTrie::with_max_entries(MAX_ON_LINK, BPF_F_NO_PREALLOC);

#[map]
pub(super) static MAIN_ROUTES4: LpmTrie<OnLink4, u32> =
    LpmTrie::with_max_entries(MAX_MAIN_ROUTES, BPF_F_NO_PREALLOC);

#[map]
pub(super) static MAIN_ROUTES6: LpmTrie<OnLink6, u32> =
    LpmTrie::with_max_entries(MAX_MAIN_ROUTES, BPF_F_NO_PREALLOC);

#[map]
pub(super) static IFINDEX_SLOTS: Array<IfindexSlot> =
    Array::with_max_entries(prroute_common::uplink::IFINDEX_SLOTS, 0);

#[map]
pub(super) static ACTIVE_FACTS: Array<u32> = Array::with_max_entries(MAX_UPLINKS, 0);

#[map]
pub(super) static UPLINK_FACTS: Array<UplinkFacts> =
    Array::with_max_entries(MAX_FACTS, BPF_F_MMAPABLE);

/// When an address of an uplink was last seen on another one, by uplink id: says whether
/// asking for the address itself can matter.
#[map]
pub(super) static EXPOSED: Array<Ticks> = Array::with_max_entries(MAX_UPLINKS, 0);

/// The devices of the uplinks, by their index. The kernel takes a device out when it is deleted or
/// leaves the network namespace, and never puts in another one that gets its index.
#[map]
pub(super) static DEVICES: DevMapHash = DevMapHash::with_max_entries(MAX_UPLINKS, 0);

#[map]
pub(super) static COUNTERS: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(MAX_UPLINKS * REASON_SLOTS, 0);
