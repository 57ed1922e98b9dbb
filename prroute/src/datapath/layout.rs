//! The shape of every pinned map, checked before an existing pin is used: aya takes a pinned
//! map as it is.

use std::path::Path;

use aya::maps::{MapInfo, MapType};
use prroute_common::address::{Address4, Address6, LocalAddress, PrefixAddress6};
use prroute_common::flow::{Flow, FlowKey4, FlowKey6, FragmentKey, FragmentVerdict};
use prroute_common::names;
use prroute_common::observe::WrongUplinkKey;
use prroute_common::trace::{Filter, Rate};
use prroute_common::udp_origin::{HostPeer, Peer, UdpOrigin};
use prroute_common::uplink::{IfindexSlot, OnLink4, OnLink6, UplinkFacts, UplinkIdentity};

use crate::datapath::error::{DatapathError, Result};
use crate::datapath::pins::Pins;

struct Shape {
    name: &'static str,
    kind: MapType,
    key: usize,
    value: usize,
}

const fn shape<K, V>(name: &'static str, kind: MapType) -> Shape {
    Shape { name, kind, key: size_of::<K>(), value: size_of::<V>() }
}

/// An LPM key starts with its prefix length.
const fn trie<K>(name: &'static str) -> Shape {
    Shape { name, kind: MapType::LpmTrie, key: 4 + size_of::<K>(), value: 4 }
}

const SHAPES: [Shape; names::MAPS.len()] = [
    shape::<FlowKey4, Flow>(names::FLOWS4, MapType::LruHash),
    shape::<FlowKey6, Flow>(names::FLOWS6, MapType::LruHash),
    shape::<FlowKey4, Flow>(names::DATAGRAMS4, MapType::LruHash),
    shape::<FlowKey6, Flow>(names::DATAGRAMS6, MapType::LruHash),
    shape::<FlowKey4, Flow>(names::NEW4, MapType::LruHash),
    shape::<FlowKey6, Flow>(names::NEW6, MapType::LruHash),
    shape::<u32, u64>(names::SYN_CACHE, MapType::Array),
    shape::<FragmentKey, FragmentVerdict>(names::FRAGMENTS, MapType::LruHash),
    shape::<Address4, LocalAddress>(names::ADDRESSES4, MapType::Hash),
    shape::<Address6, LocalAddress>(names::ADDRESSES6, MapType::Hash),
    trie::<Address4>(names::LOCAL_PREFIXES4),
    trie::<PrefixAddress6>(names::LOCAL_PREFIXES6),
    trie::<OnLink4>(names::ON_LINK4),
    trie::<OnLink6>(names::ON_LINK6),
    trie::<OnLink4>(names::MAIN_ROUTES4),
    trie::<OnLink6>(names::MAIN_ROUTES6),
    shape::<u32, IfindexSlot>(names::IFINDEX_SLOTS, MapType::Array),
    shape::<u32, u32>(names::ACTIVE_FACTS, MapType::Array),
    shape::<u32, UplinkFacts>(names::UPLINK_FACTS, MapType::Array),
    shape::<u32, UplinkIdentity>(names::UPLINK_IDS, MapType::Array),
    shape::<u32, u32>(names::EXPOSED, MapType::Array),
    // An interface index, and a program that nobody sets.
    shape::<u32, u64>(names::DEVICES, MapType::DevMapHash),
    shape::<u32, u64>(names::COUNTERS, MapType::PerCpuArray),
    shape::<WrongUplinkKey, u64>(names::WRONG_UPLINK, MapType::LruPerCpuHash),
    shape::<u32, Filter>(names::TRACE_FILTER, MapType::Array),
    shape::<u32, Rate>(names::TRACE_RATE, MapType::Array),
    // It has neither keys nor values.
    shape::<(), ()>(names::TRACE_REPORTS, MapType::RingBuf),
];

const SOCKET_SHAPES: [Shape; names::SOCKET_MAPS.len()] = [
    shape::<Peer<Address4>, UdpOrigin<Address4>>(names::UDP_ORIGIN4, MapType::LruHash),
    shape::<Peer<Address6>, UdpOrigin<Address6>>(names::UDP_ORIGIN6, MapType::LruHash),
    shape::<Peer<Address4>, HostPeer>(names::HOST_PEERS4, MapType::LruHash),
    shape::<Peer<Address6>, HostPeer>(names::HOST_PEERS6, MapType::LruHash),
    shape::<u32, u64>(names::WILDCARD_PORTS, MapType::Array),
    shape::<u32, u64>(names::SOCKET_COUNTERS, MapType::PerCpuArray),
];

/// Compares every pinned map with what this version expects; a map that is not pinned is fine.
pub(super) fn verify(pins: &Pins) -> Result<()> {
    for shape in SHAPES.iter().chain(&SOCKET_SHAPES) {
        let path = pins.map(shape.name);
        if path.exists() {
            expect(shape, &path)?;
        }
    }
    Ok(())
}

/// Whether the map that another version pinned is what this version would make. `entries`: of an array,
/// how many it has to have; the loader chooses those of other maps.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub(super) fn fits(name: &str, path: &Path, entries: Option<u32>) -> Result<bool> {
    let shape = SHAPES.iter().chain(&SOCKET_SHAPES).find(|shape| shape.name == name);
    let Some(shape) = shape.filter(|_| path.exists()) else { return Ok(false) };
    let info = match expect(shape, path) {
        Err(DatapathError::Layout { .. }) => return Ok(false),
        other => other?,
    };
    let is_array = matches!(shape.kind, MapType::Array | MapType::PerCpuArray);
    Ok(!is_array || entries.is_none_or(|entries| info.max_entries() == entries))
}

fn expect(shape: &Shape, path: &Path) -> Result<MapInfo> {
    let failed = |source| DatapathError::Map {
        operation: "open pinned map",
        object: path.display().to_string(),
        source,
    };
    let info = MapInfo::from_pin(path).map_err(failed)?;
    let kind = info.map_type().map_err(failed)?;
    let mismatch = |what, found: String, expected: String| {
        Err(DatapathError::Layout { path: path.to_owned(), what, found, expected })
    };
    if kind != shape.kind {
        return mismatch("type", format!("{kind:?}"), format!("{:?}", shape.kind));
    }
    if info.key_size() as usize != shape.key {
        return mismatch("key size", info.key_size().to_string(), shape.key.to_string());
    }
    if info.value_size() as usize != shape.value {
        return mismatch("value size", info.value_size().to_string(), shape.value.to_string());
    }
    Ok(info)
}
