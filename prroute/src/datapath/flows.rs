//! The recorded flows, for reading.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::maps::{HashMap, Map, MapData};
use nix::time::{ClockId, clock_gettime};
use prroute_common::address::{octets4, octets6};
use prroute_common::flow::{Flow, FlowKey4, FlowKey6, Origin, is_over};
use prroute_common::names;
use prroute_common::time::{TICK_NS, from_ns};

use crate::datapath::error::Result;
use crate::datapath::pins::Pins;
use crate::datapath::{batch, maps};
use crate::state::uplink::UplinkId;

/// IANA protocol number.
const TCP: u8 = 6;

/// One entry of the flow table.
#[derive(Clone, Debug)]
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
    /// Whether a packet left since the first one came in.
    pub answered: bool,
    /// Whether both ends have shown that they take part in it.
    pub confirmed: bool,
    /// A TCP connection that came in: both ends have sent a FIN, or it was reset.
    pub closed: bool,
    /// It is too old to count: its entry stays until another flow needs the room.
    pub is_over: bool,
    pub uplink: UplinkId,
    /// Generation of the uplink when the flow was bound.
    pub generation: u16,
    /// The router that its last packet came from, as in [`Flow::router`].
    pub router: u64,
    /// Seconds since the last packet that was looked up.
    pub idle_seconds: f64,
}

/// Reads the flow tables. Of a flow that has two entries only the confirmed one is listed.
///
/// # Errors
///
/// When a table is not pinned or cannot be read.
pub fn read(pins: &Pins) -> Result<Vec<FlowRecord>> {
    let mut records = Vec::new();
    visit(pins, |record| records.push(record))?;
    Ok(records)
}

/// Likewise, one after the other: there may be millions.
///
/// # Errors
///
/// Likewise.
pub(crate) fn visit(pins: &Pins, mut take: impl FnMut(FlowRecord)) -> Result<()> {
    let now = coarse_now();
    let of4 = |confirmed| move |key: &FlowKey4, flow| record4(key, flow, confirmed, now);
    let of6 = |confirmed| move |key: &FlowKey6, flow| record6(key, flow, confirmed, now);
    for name in [names::FLOWS4, names::DATAGRAMS4] {
        batch::visit(pins, name, |key, flow| take_some(of4(true)(&key, flow), &mut take))?;
    }
    for name in [names::FLOWS6, names::DATAGRAMS6] {
        batch::visit(pins, name, |key, flow| take_some(of6(true)(&key, flow), &mut take))?;
    }
    // After those: one that is confirmed meanwhile is not listed twice.
    unconfirmed(pins, names::NEW4, [names::FLOWS4, names::DATAGRAMS4], of4(false), &mut take)?;
    unconfirmed(pins, names::NEW6, [names::FLOWS6, names::DATAGRAMS6], of6(false), &mut take)
}

/// TCP and everything else have a table of confirmed flows each.
fn unconfirmed<K: aya::Pod>(
    pins: &Pins,
    new: &'static str,
    confirmed: [&'static str; 2],
    record: impl Fn(&K, Flow) -> Option<FlowRecord>,
    take: &mut impl FnMut(FlowRecord),
) -> Result<()> {
    let [tcp, others] = confirmed;
    let (tcp, others) = (table::<K>(pins, tcp)?, table::<K>(pins, others)?);
    batch::visit(pins, new, |key: K, flow| {
        if tcp.get(&key, 0).is_err() && others.get(&key, 0).is_err() {
            take_some(record(&key, flow), take);
        }
    })?;
    Ok(())
}

fn table<K: aya::Pod>(pins: &Pins, name: &'static str) -> Result<HashMap<MapData, K, Flow>> {
    maps::open(pins, name, Map::LruHashMap)
}

fn take_some(record: Option<FlowRecord>, take: &mut impl FnMut(FlowRecord)) {
    if let Some(record) = record {
        take(record);
    }
}

fn record4(key: &FlowKey4, flow: Flow, confirmed: bool, now: u32) -> Option<FlowRecord> {
    let ends =
        (Ipv4Addr::from(octets4(key.local)).into(), Ipv4Addr::from(octets4(key.remote)).into());
    record(key.protocol, ends, (key.local_port, key.remote_port), flow, confirmed, now)
}

fn record6(key: &FlowKey6, flow: Flow, confirmed: bool, now: u32) -> Option<FlowRecord> {
    let ends =
        (Ipv6Addr::from(octets6(key.local)).into(), Ipv6Addr::from(octets6(key.remote)).into());
    record(key.protocol, ends, (key.local_port, key.remote_port), flow, confirmed, now)
}

fn record(
    protocol: u8,
    (local, remote): (IpAddr, IpAddr),
    (local_port, remote_port): ([u8; 2], [u8; 2]),
    flow: Flow,
    confirmed: bool,
    now: u32,
) -> Option<FlowRecord> {
    Some(FlowRecord {
        protocol,
        local,
        local_port: u16::from_be_bytes(local_port),
        remote,
        remote_port: u16::from_be_bytes(remote_port),
        opened_inbound: flow.origin()? == Origin::Inbound,
        answered: flow.is_answered(),
        confirmed,
        closed: protocol == TCP && flow.is_closed(),
        is_over: is_over(&flow, confirmed, protocol, now),
        uplink: UplinkId(flow.uplink()),
        generation: flow.generation(),
        router: flow.router(),
        idle_seconds: f64::from(flow.idle(now)) * TICK_NS as f64 / 1e9,
    })
}

/// The clock that the programs read.
pub(super) fn coarse_now() -> u32 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64);
    from_ns(now)
}
