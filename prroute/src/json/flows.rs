//! `prroute flows --json`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::datapath::flows::FlowRecord;

#[derive(Serialize)]
pub(crate) struct FlowsJson {
    schema: &'static str,
    flows: Vec<FlowJson>,
    /// How many more were asked for, which are idle for longer.
    left_out: usize,
    summary: FlowsSummaryJson,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct FlowsSummaryJson {
    /// All that are recorded, also those that are too old to count.
    pub(crate) total: usize,
    /// Those that were asked for; the rest is about them.
    pub(crate) matching: usize,
    /// Those that were asked for, too, but for their age.
    pub(crate) hidden: usize,
    pub(crate) new: usize,
    pub(crate) ok: usize,
    pub(crate) idle: usize,
    pub(crate) ipv4: usize,
    pub(crate) ipv6: usize,
    /// How many by the name of the uplink; by `#` and its id where it is gone.
    pub(crate) uplinks: BTreeMap<String, usize>,
    /// Local addresses and ports that were asked, the busiest first: a few.
    pub(crate) services: Vec<ServiceJson>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ServiceJson {
    pub(crate) protocol: Cow<'static, str>,
    pub(crate) local: IpAddr,
    pub(crate) local_port: u16,
    pub(crate) flows: usize,
}

#[derive(Serialize)]
struct FlowJson {
    /// `new`: not confirmed yet; `ok`: both ends take part; `idle`: too old to count.
    state: &'static str,
    /// By its name, where it has a common one; else the number.
    protocol: Cow<'static, str>,
    protocol_number: u8,
    local: IpAddr,
    local_port: u16,
    remote: IpAddr,
    remote_port: u16,
    opened_inbound: bool,
    confirmed: bool,
    uplink: u16,
    /// `null`: the uplink is gone, or its id has come to another device.
    uplink_name: Option<String>,
    generation: u16,
    idle_seconds: f64,
}

impl FlowsJson {
    /// `facts` tells a flow's state and the name of its uplink.
    pub(crate) fn of<'a>(
        records: &[FlowRecord],
        facts: impl Fn(&FlowRecord) -> (&'static str, Option<&'a str>),
        left_out: usize,
        summary: FlowsSummaryJson,
    ) -> Self {
        let flow = |record: &FlowRecord| {
            let (state, name) = facts(record);
            FlowJson {
                state,
                protocol: protocol_name(record.protocol),
                protocol_number: record.protocol,
                local: record.local,
                local_port: record.local_port,
                remote: record.remote,
                remote_port: record.remote_port,
                opened_inbound: record.opened_inbound,
                confirmed: record.confirmed,
                uplink: record.uplink.0,
                uplink_name: name.map(str::to_owned),
                generation: record.generation,
                idle_seconds: record.idle_seconds,
            }
        };
        let flows = records.iter().map(flow).collect();
        Self { schema: "prroute.flows/2", flows, left_out, summary }
    }
}

/// As /etc/protocols has it, of those that are common.
pub(crate) fn protocol_name(number: u8) -> Cow<'static, str> {
    match number {
        1 => "icmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        58 => "icmpv6".into(),
        132 => "sctp".into(),
        number => number.to_string().into(),
    }
}
