//! Tables that were made for nothing, and are used now: a map cannot grow, another one takes its
//! place.

use aya::Ebpf;
use aya::maps::{HashMap, MapInfo};
use aya_obj::generated::BPF_NOEXIST;
use prroute_common::address::{Address4, Address6};
use prroute_common::flow::{Flow, FlowKey4, FlowKey6};
use prroute_common::names;
use prroute_common::udp_origin::{HostPeer, Peer, UdpOrigin};

use crate::datapath::batch;
use crate::datapath::error::{DatapathError, Result};
use crate::datapath::maps::failed;
use crate::datapath::pins::Pins;
use crate::datapath::sizes::is_small;

/// The pinned tables that are too small by now.
pub(super) fn find(pins: &Pins, tables: &[(&'static str, u32)]) -> Result<Vec<&'static str>> {
    let mut outgrown = Vec::new();
    for (name, wanted) in tables.iter().copied() {
        let pin = pins.map(name);
        if is_small(wanted) || !pin.exists() {
            continue;
        }
        let found = MapInfo::from_pin(pin).map_err(failed("open pinned map", name))?;
        if is_small(found.max_entries()) {
            outgrown.push(name);
        }
    }
    Ok(outgrown)
}

/// Copies what came meanwhile from the pinned table to the one that is to take its place.
pub(super) fn carry_over(ebpf: &mut Ebpf, pins: &Pins, name: &'static str) -> Result<()> {
    match name {
        names::UDP_ORIGIN4 => copy::<Peer<Address4>, UdpOrigin<Address4>>(ebpf, pins, name),
        names::UDP_ORIGIN6 => copy::<Peer<Address6>, UdpOrigin<Address6>>(ebpf, pins, name),
        names::HOST_PEERS4 => copy::<Peer<Address4>, HostPeer>(ebpf, pins, name),
        names::HOST_PEERS6 => copy::<Peer<Address6>, HostPeer>(ebpf, pins, name),
        names::FLOWS4 | names::DATAGRAMS4 | names::NEW4 => copy::<FlowKey4, Flow>(ebpf, pins, name),
        names::FLOWS6 | names::DATAGRAMS6 | names::NEW6 => copy::<FlowKey6, Flow>(ebpf, pins, name),
        // Fragments are never made for nothing, and what was observed is of another time.
        _ => Ok(()),
    }
}

fn copy<K: aya::Pod, V: aya::Pod>(ebpf: &mut Ebpf, pins: &Pins, name: &'static str) -> Result<()> {
    let (entries, _) = batch::read::<K, V>(pins, name)?;
    let map = ebpf.map_mut(name).ok_or(DatapathError::Missing(name))?;
    let mut larger: HashMap<_, K, V> = map.try_into().map_err(failed("open", name))?;
    for (key, value) in entries {
        larger.insert(key, value, u64::from(BPF_NOEXIST)).map_err(failed("write", name))?;
    }
    Ok(())
}
