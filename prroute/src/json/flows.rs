//! `prroute flows --json`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::Serialize;

use super::Format;
use crate::datapath::flows::FlowRecord;

#[derive(JsonSchema, Serialize)]
pub(crate) struct FlowsJson<'a> {
    /// Name and number of this format.
    schema: &'static str,
    /// Those that were asked for, the most recently used first.
    flows: Vec<FlowJson<'a>>,
    /// How many more were asked for, which are idle for longer.
    left_out: usize,
    /// How many there are, of those that are not listed too.
    summary: FlowsSummaryJson,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub(crate) struct FlowsSummaryJson {
    /// All that are recorded, also those that are too old to count.
    pub(crate) total: usize,
    /// Those that were asked for; the rest is about them.
    pub(crate) matching: usize,
    /// Those that were asked for, too, but are too old to count, or have closed.
    pub(crate) hidden: usize,
    /// Of these, those that have closed.
    pub(crate) hidden_fin: usize,
    /// Not confirmed yet.
    pub(crate) new: usize,
    /// Both ends take part.
    pub(crate) ok: usize,
    /// Their uplink cannot be used.
    pub(crate) fall: usize,
    /// Closed.
    pub(crate) fin: usize,
    /// Too old to count.
    pub(crate) idle: usize,
    /// Of IPv4.
    pub(crate) ipv4: usize,
    /// Of IPv6.
    pub(crate) ipv6: usize,
    /// How many by the name of the uplink; by `#` and its id where it is gone.
    pub(crate) uplinks: BTreeMap<String, usize>,
    /// Local addresses and ports that were asked, the busiest first: a few.
    pub(crate) services: Vec<ServiceJson>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub(crate) struct ServiceJson {
    /// By its name, where it has a common one; else the number.
    pub(crate) protocol: Cow<'static, str>,
    /// The address that is asked.
    pub(crate) local: IpAddr,
    /// The port that is asked.
    pub(crate) local_port: u16,
    /// How many.
    pub(crate) flows: usize,
}

/// What is known of a flow beside its record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlowFacts<'a> {
    pub(crate) state: &'static str,
    pub(crate) uplink_name: Option<&'a str>,
    pub(crate) obstacle: Option<&'static str>,
    pub(crate) guest: Option<SocketAddr>,
}

#[derive(JsonSchema, Serialize)]
struct FlowJson<'a> {
    /// `new`: not confirmed yet; `ok`: both ends take part; `fall`: its uplink cannot be used; `fin`: it has
    /// closed; `idle`: too old to count.
    state: &'static str,
    /// Of one in `fall`: `uplink_gone`, `uplink_down`, `no_next_hop` or `reply_off`.
    obstacle: Option<&'static str>,
    /// By its name, where it has a common one; else the number.
    protocol: Cow<'static, str>,
    /// As in the IP header.
    protocol_number: u8,
    /// The host's end, or a guest's before translation.
    local: IpAddr,
    /// 0 for protocols without ports; of an echo its identifier.
    local_port: u16,
    /// The other end.
    remote: IpAddr,
    /// 0 for protocols without ports.
    remote_port: u16,
    /// Whom it is translated to (DNAT); `null`: nobody, as far as is known.
    guest: Option<IpAddr>,
    /// The port that it is translated to.
    guest_port: Option<u16>,
    /// The remote end sent first; else the host, and it is never moved.
    opened_inbound: bool,
    /// Both ends have shown that they take part.
    confirmed: bool,
    /// The id of the uplink that it came in on.
    uplink: u16,
    /// `null`: the uplink is gone, or its id has come to another device.
    uplink_name: Option<&'a str>,
    /// Of the id: another device may have it later.
    generation: u16,
    /// Since the last packet that was noted.
    idle_seconds: f64,
}

impl<'a> FlowsJson<'a> {
    pub(crate) fn of(
        records: &[FlowRecord],
        facts: impl Fn(&FlowRecord) -> FlowFacts<'a>,
        left_out: usize,
        summary: FlowsSummaryJson,
    ) -> Self {
        let flow = |record: &FlowRecord| {
            let FlowFacts { state, uplink_name, obstacle, guest } = facts(record);
            FlowJson {
                state,
                obstacle,
                protocol: protocol_name(record.protocol),
                protocol_number: record.protocol,
                local: record.local,
                local_port: record.local_port,
                remote: record.remote,
                remote_port: record.remote_port,
                guest: guest.map(|guest| guest.ip()),
                guest_port: guest.map(|guest| guest.port()),
                opened_inbound: record.opened_inbound,
                confirmed: record.confirmed,
                uplink: record.uplink.0,
                uplink_name,
                generation: record.generation,
                idle_seconds: record.idle_seconds,
            }
        };
        let flows = records.iter().map(flow).collect();
        Self { schema: Format::Flows.id(), flows, left_out, summary }
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
