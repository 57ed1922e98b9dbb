//! A packet as a line, and as JSON.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use etherparse::{LaxSlicedPacket, TransportSlice};
use humantime::format_rfc3339_millis;
use prroute_common::reason::Reason;
use prroute_common::trace::Verdict;

use crate::datapath::trace::{Decision, NextHop, TracedPacket};
use crate::json::{Format, TracedJson, protocol_name};
use crate::state::uplink::UplinkId;

/// What devices and uplinks are called.
pub(super) trait Names {
    fn device(&self, index: u32) -> String;
    fn uplink(&self, id: UplinkId) -> String;
}

/// When it was: `clock` is the time of day at which the monotonic clock began.
pub(super) fn time(clock: SystemTime, since_boot: Duration) -> String {
    format_rfc3339_millis(clock + since_boot).to_string()
}

/// The time of a line: without the date, unless that is wanted.
pub(super) fn shown_time(time: &str, with_date: bool) -> &str {
    if with_date { time } else { time.split_once('T').map_or(time, |(_, time)| time) }
}

pub(super) fn text(packet: &TracedPacket, names: &impl Names) -> String {
    let TracedPacket { source, source_port, destination, destination_port, .. } = packet;
    let mut line = format!(
        "{} {} {} {} > {}",
        direction(packet),
        names.device(packet.device.0),
        protocol_name(packet.protocol),
        end(*source, *source_port),
        end(*destination, *destination_port),
    );
    for word in [flags(packet), fragment(packet)].into_iter().flatten() {
        write!(line, " {word}").unwrap_or_default();
    }
    write!(line, "  {}", outcome(&packet.decision, names)).unwrap_or_default();
    line
}

const fn direction(packet: &TracedPacket) -> &'static str {
    if packet.decision.came_in { "in " } else { "out" }
}

fn fragment(packet: &TracedPacket) -> Option<String> {
    packet.later_fragment.then(|| "frag".to_owned())
}

fn end(address: IpAddr, port: u16) -> String {
    if port == 0 { address.to_string() } else { SocketAddr::new(address, port).to_string() }
}

/// TCP's flags, as tcpdump has them.
pub(super) fn flags(packet: &TracedPacket) -> Option<String> {
    const TCP: u8 = 6;
    if packet.protocol != TCP || packet.later_fragment {
        return None;
    }
    let sliced = match packet.has_link_header {
        true => LaxSlicedPacket::from_ethernet(&packet.bytes).ok()?,
        false => LaxSlicedPacket::from_ip(&packet.bytes).ok()?,
    };
    let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { return None };
    let all = [
        (tcp.syn(), 'S'),
        (tcp.fin(), 'F'),
        (tcp.rst(), 'R'),
        (tcp.psh(), 'P'),
        (tcp.urg(), 'U'),
        (tcp.ack(), '.'),
    ];
    Some(all.into_iter().filter_map(|(is_set, letter)| is_set.then_some(letter)).collect())
}

/// What became of it.
pub(super) fn outcome(decision: &Decision, names: &impl Names) -> String {
    if decision.came_in { came_in(decision, names) } else { leaves(decision, names) }
}

fn came_in(decision: &Decision, names: &impl Names) -> String {
    let Some(about) = decision.about_flow else {
        return "no flow is needed".to_owned();
    };
    match decision.verdict {
        Verdict::Refused => {
            let place = decision.flow_on.map(|id| names.uplink(id)).unwrap_or_default();
            format!("REFUSED: its flow lives on {place}")
        }
        _ => about.to_owned(),
    }
}

fn leaves(decision: &Decision, names: &impl Names) -> String {
    let target = decision.target.map(|id| names.uplink(id));
    let by_source = if decision.own_source { ", by its source" } else { "" };
    let reason = decision.reason.map(Reason::name);
    match (decision.verdict, target) {
        (Verdict::Moved, Some(target)) => {
            format!("MOVED to {target}{}{by_source}", via(decision))
        }
        (Verdict::Held, Some(target)) => match decision.reason {
            Some(Reason::UplinkDown) => format!("HELD: {target} is down"),
            Some(Reason::NoNextHop) => format!("HELD: {target} has no usable gateway"),
            _ => format!("HELD: {target} cannot be used"),
        },
        (Verdict::Dropped, Some(target)) => format!("DROPPED: too big for {target}"),
        (Verdict::Told, Some(target)) => {
            format!("TOLD its sender: too big for {target}")
        }
        (Verdict::Refused, _) => "PASSED: the other end has not confirmed its flow yet".to_owned(),
        (_, Some(target)) if decision.next_hop == Some(NextHop::AsItIs) => {
            format!("passed: {target} is right{by_source}")
        }
        (_, Some(target)) if decision.observed && decision.next_hop.is_some() => {
            format!("OBSERVED: belongs on {target}{}{by_source}", via(decision))
        }
        (_, Some(target)) => {
            let reason = reason.unwrap_or("left to the kernel");
            format!("PASSED, not moved to {target}: {reason}")
        }
        (_, None) => match decision.about_flow {
            Some(about) => format!("passed: {about}"),
            None => "passed: no flow is needed".to_owned(),
        },
    }
}

fn via(decision: &Decision) -> String {
    match decision.next_hop {
        Some(NextHop::SubnetGateway) => " via its subnet's gateway".to_owned(),
        Some(NextHop::Destination) => ", on its link".to_owned(),
        Some(NextHop::Router(mac)) => {
            let octets = mac.map(|octet| format!("{octet:02x}")).join(":");
            format!(" via router {octets}")
        }
        // As usual.
        Some(NextHop::Gateway | NextHop::Device | NextHop::AsItIs) | None => String::new(),
    }
}

pub(super) fn json(
    packet: &TracedPacket,
    kind: &str,
    time: String,
    names: &impl Names,
) -> TracedJson {
    let decision = &packet.decision;
    TracedJson {
        schema: Format::Monitor.id().to_owned(),
        time,
        kind: kind.to_owned(),
        direction: if decision.came_in { "in" } else { "out" }.to_owned(),
        dev: names.device(packet.device.0),
        protocol: protocol_name(packet.protocol).into_owned(),
        source: packet.source,
        source_port: packet.source_port,
        destination: packet.destination,
        destination_port: packet.destination_port,
        flags: flags(packet),
        fragment: packet.later_fragment,
        length: packet.length,
        verdict: decision.verdict.name().to_owned(),
        flow: decision.about_flow.map(str::to_owned),
        flow_on: decision.flow_on.map(|id| names.uplink(id)),
        reason: decision.reason.map(|reason| reason.name().to_owned()),
        uplink: decision.target.map(|id| names.uplink(id)),
        observed: decision.observed,
        text: outcome(decision, names),
    }
}

#[cfg(test)]
mod tests;
