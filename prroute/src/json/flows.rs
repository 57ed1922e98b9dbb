//! `prroute flows --json`.

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
    protocol: u8,
    local: IpAddr,
    local_port: u16,
    remote: IpAddr,
    remote_port: u16,
    opened_inbound: bool,
    confirmed: bool,
    uplink: u16,
    generation: u16,
    idle_seconds: f64,
}

impl FlowsJson {
    pub(crate) fn of(records: &[FlowRecord], left_out: usize) -> Self {
        Self {
            schema: "prroute.flows/1",
            flows: records.iter().map(Into::into).collect(),
            left_out,
        }
    }
}

impl From<&FlowRecord> for FlowJson {
    fn from(record: &FlowRecord) -> Self {
        Self {
            protocol: record.protocol,
            local: record.local,
            local_port: record.local_port,
            remote: record.remote,
            remote_port: record.remote_port,
            opened_inbound: record.opened_inbound,
            confirmed: record.confirmed,
            uplink: record.uplink.0,
            generation: record.generation,
            idle_seconds: record.idle_seconds,
        }
    }
}
