//! `prroute flows --json`.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Serialize;

use crate::datapath::flows::FlowRecord;

#[derive(Serialize)]
pub(crate) struct FlowsJson {
    schema: &'static str,
    flows: Vec<FlowJson>,
    /// How many more there are, which are idle for longer.
    left_out: usize,
}

#[derive(Serialize)]
struct FlowJson {
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
    /// `name_of` tells the name of a flow's uplink.
    pub(crate) fn of<'a>(
        records: &[FlowRecord],
        name_of: impl Fn(&FlowRecord) -> Option<&'a str>,
        left_out: usize,
    ) -> Self {
        let flow = |record: &FlowRecord| FlowJson {
            protocol: protocol_name(record.protocol),
            protocol_number: record.protocol,
            local: record.local,
            local_port: record.local_port,
            remote: record.remote,
            remote_port: record.remote_port,
            opened_inbound: record.opened_inbound,
            confirmed: record.confirmed,
            uplink: record.uplink.0,
            uplink_name: name_of(record).map(str::to_owned),
            generation: record.generation,
            idle_seconds: record.idle_seconds,
        };
        Self { schema: "prroute.flows/2", flows: records.iter().map(flow).collect(), left_out }
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
