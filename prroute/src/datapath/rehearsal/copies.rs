//! What the live maps have of a packet's flow, in the copies that a rehearsal writes to.

use std::net::IpAddr;

use aya::Ebpf;
use aya::maps::{Array, HashMap, Map, MapData};
use prroute_common::address::{Address4, Address6, LocalAddress, address4, address6};
use prroute_common::flow::{Flow, FlowKey4, FlowKey6, is_over};
use prroute_common::names;
use prroute_common::trace::{Filter, Rate};
use prroute_common::udp_origin::{Peer, UdpOrigin};
use prroute_common::uplink::{UplinkFacts, flag};

use super::packet::{Kind, Packet};
use crate::datapath::error::{DatapathError, Result};
use crate::datapath::maps::{failed, is_absent, open};
use crate::datapath::pins::Pins;
use crate::datapath::{batch, flows};

/// Every map that a program on an uplink writes, and the facts, of which one is made to fit.
pub(super) const COPIED: [&str; 20] = [
    names::FLOWS4,
    names::FLOWS6,
    names::DATAGRAMS4,
    names::DATAGRAMS6,
    names::NEW4,
    names::NEW6,
    names::SYN_CACHE,
    names::FRAGMENTS,
    names::ADDRESSES4,
    names::ADDRESSES6,
    names::UPLINK_FACTS,
    names::EXPOSED,
    names::COUNTERS,
    names::WRONG_UPLINK,
    names::UDP_ORIGIN4,
    names::UDP_ORIGIN6,
    names::SOCKET_COUNTERS,
    names::TRACE_FILTER,
    names::TRACE_RATE,
    names::TRACE_REPORTS,
];

/// Those of them whose size is the number of flows.
pub(super) const TABLES: [&str; 10] = [
    names::FLOWS4,
    names::FLOWS6,
    names::DATAGRAMS4,
    names::DATAGRAMS6,
    names::NEW4,
    names::NEW6,
    names::FRAGMENTS,
    names::WRONG_UPLINK,
    names::UDP_ORIGIN4,
    names::UDP_ORIGIN6,
];

/// Copies what no packet chooses.
pub(super) fn of_the_host(ebpf: &mut Ebpf, pins: &Pins) -> Result<()> {
    whole::<Address4, LocalAddress>(ebpf, pins, names::ADDRESSES4)?;
    whole::<Address6, LocalAddress>(ebpf, pins, names::ADDRESSES6)?;
    words::<UplinkFacts>(ebpf, pins, names::UPLINK_FACTS, |facts| {
        let flags = facts.flags | flag::TRACED;
        UplinkFacts { flags, ..facts }
    })?;
    words::<u32>(ebpf, pins, names::EXPOSED, |time| time)?;
    // Every packet is asked for, for as long as this lasts.
    let until = flows::coarse_now().wrapping_add(u32::MAX / 4);
    let filter = Filter { until, most: u32::MAX, ..Filter::NONE };
    array::<Filter>(ebpf, names::TRACE_FILTER)?
        .set(0, filter, 0)
        .map_err(failed("write", names::TRACE_FILTER))?;
    array::<Rate>(ebpf, names::TRACE_RATE)?
        .set(0, Rate::default(), 0)
        .map_err(failed("write", names::TRACE_RATE))
}

/// Copies what is known of the flow of a packet that comes in, and returns the record that counts.
pub(super) fn of_flow(ebpf: &mut Ebpf, pins: &Pins, packet: &Packet) -> Result<Option<Flow>> {
    let Packet { protocol, source, destination, .. } = *packet;
    let (local_port, remote_port) = match packet.kind {
        // An identifier is the port of the side that is asked.
        Kind::EchoRequest | Kind::EchoReply => (packet.source_port, 0),
        _ => (packet.destination_port, packet.source_port),
    };
    let (local_port, remote_port) = (local_port.to_be_bytes(), remote_port.to_be_bytes());
    let mut known = None;
    let mut note = |flow: Option<Flow>, is_confirmed| {
        let now = flows::coarse_now();
        known = known.or(flow.filter(|flow| !is_over(flow, is_confirmed, protocol, now)));
    };
    match (destination, source) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            let (local, remote) = (address4(local.octets()), address4(remote.octets()));
            let key = FlowKey4 { local, remote, local_port, remote_port, protocol, pad: [0; 3] };
            for name in [names::FLOWS4, names::DATAGRAMS4, names::NEW4] {
                note(one::<_, Flow>(ebpf, pins, name, key)?, name != names::NEW4);
            }
            let peer = Peer { remote, remote_port, local_port, pad: [0; 4] };
            one::<_, UdpOrigin<Address4>>(ebpf, pins, names::UDP_ORIGIN4, peer)?;
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            let (local, remote) = (address6(local.octets()), address6(remote.octets()));
            let key = FlowKey6 { local, remote, local_port, remote_port, protocol, pad: [0; 3] };
            for name in [names::FLOWS6, names::DATAGRAMS6, names::NEW6] {
                note(one::<_, Flow>(ebpf, pins, name, key)?, name != names::NEW6);
            }
            let peer = Peer { remote, remote_port, local_port, pad: [0; 4] };
            one::<_, UdpOrigin<Address6>>(ebpf, pins, names::UDP_ORIGIN6, peer)?;
        }
        _ => {}
    }
    if matches!(packet.kind, Kind::Syn | Kind::SynAck | Kind::TcpSegment) {
        words::<u64>(ebpf, pins, names::SYN_CACHE, |word| word)?;
    }
    Ok(known)
}

/// A copy, to be written.
pub(super) fn array<'a, V: aya::Pod>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<Array<&'a mut MapData, V>> {
    let map = ebpf.map_mut(name).ok_or(DatapathError::Missing(name))?;
    map.try_into().map_err(failed("open the copy of", name))
}

fn table<'a, K: aya::Pod, V: aya::Pod>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<HashMap<&'a mut MapData, K, V>> {
    let map = ebpf.map_mut(name).ok_or(DatapathError::Missing(name))?;
    map.try_into().map_err(failed("open the copy of", name))
}

fn whole<K: aya::Pod, V: aya::Pod>(ebpf: &mut Ebpf, pins: &Pins, name: &'static str) -> Result<()> {
    let (entries, _) = batch::read::<K, V>(pins, name)?;
    let mut copy = table::<K, V>(ebpf, name)?;
    for (key, value) in entries {
        copy.insert(key, value, 0).map_err(failed("write the copy of", name))?;
    }
    Ok(())
}

/// The entry with this key, if there is one.
fn one<K: aya::Pod, V: aya::Pod>(
    ebpf: &mut Ebpf,
    pins: &Pins,
    name: &'static str,
    key: K,
) -> Result<Option<V>> {
    let live: HashMap<MapData, K, V> = open(pins, name, Map::LruHashMap)?;
    let mut copy = table::<K, V>(ebpf, name)?;
    match live.get(&key, 0) {
        Ok(value) => {
            copy.insert(key, value, 0).map_err(failed("write the copy of", name))?;
            Ok(Some(value))
        }
        Err(error) if is_absent(&error) => match copy.remove(&key) {
            Err(error) if !is_absent(&error) => Err(failed("write the copy of", name)(error)),
            _ => Ok(None),
        },
        Err(error) => Err(failed("read", name)(error)),
    }
}

/// Those elements of an array that are not as they were made, each `changed`.
fn words<V: aya::Pod + PartialEq + bytemuck::Zeroable>(
    ebpf: &mut Ebpf,
    pins: &Pins,
    name: &'static str,
    changed: impl Fn(V) -> V,
) -> Result<()> {
    let (elements, _) = batch::read::<u32, V>(pins, name)?;
    let mut copy = array::<V>(ebpf, name)?;
    for (index, value) in elements.into_iter().filter(|(_, value)| *value != V::zeroed()) {
        copy.set(index, changed(value), 0).map_err(failed("write the copy of", name))?;
    }
    Ok(())
}
