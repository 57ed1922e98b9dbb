//! The recorded flows, for reading.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::maps::{HashMap, Map, MapData, MapError};
use nix::time::{ClockId, clock_gettime};
use prroute_common::flow::{Binding, Flow, FlowKey4, FlowKey6, Origin, Seen};
use prroute_common::names;
use prroute_common::time::from_ns;
use serde::Serialize;

use crate::datapath::error::Result;
use crate::datapath::pins::Pins;
use crate::datapath::tables::{failed, open};
use crate::state::uplink::UplinkId;

/// One entry of the flow table.
#[derive(Clone, Debug, Serialize)]
pub struct FlowRecord {
    /// IANA protocol number.
    pub protocol: u8,
    pub local: IpAddr,
    /// 0 for protocols without ports; the identifier for ICMP echo.
    pub local_port: u16,
    pub remote: IpAddr,
    pub remote_port: u16,
    /// Whether the remote end opened it; only such flows are steered.
    pub opened_inbound: bool,
    pub uplink: UplinkId,
    /// Generation of the uplink when the flow was bound.
    pub generation: u16,
    /// Seconds since the last packet that was looked up.
    pub idle_seconds: f64,
}

/// Reads both flow tables. Entries that vanish meanwhile are left out.
///
/// # Errors
///
/// When a table is not pinned or cannot be read.
pub fn read(pins: &Pins) -> Result<Vec<FlowRecord>> {
    let now = coarse_now();
    let flows4: HashMap<MapData, FlowKey4, Flow> = open(pins, names::FLOWS4, Map::LruHashMap)?;
    let flows6: HashMap<MapData, FlowKey6, Flow> = open(pins, names::FLOWS6, Map::LruHashMap)?;
    let mut records = Vec::new();
    for entry in &flows4 {
        let Some((key, flow)) = present(entry).map_err(failed("read", names::FLOWS4))? else {
            continue;
        };
        let local = Ipv4Addr::from(key.local).into();
        let remote = Ipv4Addr::from(key.remote).into();
        let ports = (key.local_port, key.remote_port);
        records.extend(record(key.protocol, local, remote, ports, flow, now));
    }
    for entry in &flows6 {
        let Some((key, flow)) = present(entry).map_err(failed("read", names::FLOWS6))? else {
            continue;
        };
        let local = Ipv6Addr::from(key.local).into();
        let remote = Ipv6Addr::from(key.remote).into();
        let ports = (key.local_port, key.remote_port);
        records.extend(record(key.protocol, local, remote, ports, flow, now));
    }
    Ok(records)
}

/// An LRU map may evict a key between its listing and its reading.
fn present<T>(entry: std::result::Result<T, MapError>) -> std::result::Result<Option<T>, MapError> {
    match entry {
        Ok(entry) => Ok(Some(entry)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn record(
    protocol: u8,
    local: IpAddr,
    remote: IpAddr,
    (local_port, remote_port): ([u8; 2], [u8; 2]),
    flow: Flow,
    now: u32,
) -> Option<FlowRecord> {
    let binding = Binding::unpack(flow.binding)?;
    let idle = Seen::unpack(flow.seen).idle(now);
    Some(FlowRecord {
        protocol,
        local,
        local_port: u16::from_be_bytes(local_port),
        remote,
        remote_port: u16::from_be_bytes(remote_port),
        opened_inbound: binding.origin == Origin::Inbound,
        uplink: UplinkId(binding.uplink),
        generation: binding.generation,
        idle_seconds: f64::from(idle) * TICK_SECONDS,
    })
}

/// Length of a datapath tick in seconds.
const TICK_SECONDS: f64 = (1u64 << 24) as f64 / 1e9;

/// The clock that the programs read.
fn coarse_now() -> u32 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64);
    from_ns(now)
}
