//! For packets that came in: which uplink does their flow belong to?

mod packet;

use prroute_common::flow::{ANSWER_TIME, Flow, HOST_FIRST, Origin, ROUTER_IDLE};
use prroute_common::time::{is_within, since};

use super::beside::is_finished;
use super::closing::with_said_by_remote;
use super::proof::proves;
use super::{FlowEntry, Locality, is_between, opened_at};
use crate::wire::parse::{Kind, Numbers, protocol};

pub use packet::{Inbound, InboundKind, InboundPacket};

/// Whether a packet coming in needs its flow at all. `noted` says that the uplink notes routers
/// (last-hop mode).
#[inline(always)]
pub fn inbound_needs_flow(kind: Kind, destination: Locality, exposed: bool, noted: bool) -> bool {
    match (kind, destination) {
        (Kind::EchoReply | Kind::Error, _) => false,
        (Kind::Tcp | Kind::TcpAnswer | Kind::TcpReset, Locality::OwnedHere) => exposed || noted,
        _ => true,
    }
}

/// Decides for a packet that came in. `recorded_is_up` says whether the uplink of a flow that is
/// bound elsewhere still exists and is up.
#[inline(always)]
pub fn inbound(packet: &InboundPacket, entry: Option<FlowEntry>, recorded_is_up: bool) -> Inbound {
    let Some(entry) = entry else { return unknown(packet) };
    if entry.is_aged && !stays_the_hosts(packet, &entry) {
        return unknown(packet);
    }
    if entry.origin == Origin::Host {
        return answer_to_host(packet, &entry);
    }
    if entry.uplink() == packet.here {
        return at_home(packet, &entry);
    }
    elsewhere(packet, &entry, recorded_is_up)
}

/// A client's port is asked nothing: to whom the host has sent from there, that peer's datagrams are
/// answers, however late.
#[inline(always)]
fn stays_the_hosts(packet: &InboundPacket, entry: &FlowEntry) -> bool {
    entry.origin == Origin::Host && packet.protocol == protocol::UDP && packet.to_client_port
}

#[inline(always)]
fn opens(kind: Kind) -> bool {
    // The answers to the host's own requests open nothing (R3).
    matches!(kind, Kind::TcpOpening | Kind::EchoRequest | Kind::Datagram)
}

#[inline(always)]
fn fresh(packet: &InboundPacket) -> Flow {
    let flow = opened_at(packet.here, packet.now).with_router(packet.router);
    if packet.kind == Kind::TcpOpening { with_syn(flow, packet) } else { flow }
}

/// Notes where the data behind a SYN begins, and how much came with it.
#[inline(always)]
fn with_syn(flow: Flow, packet: &InboundPacket) -> Flow {
    flow.with_received(behind_syn(packet)).with_syn_data(packet.payload as u16)
}

/// The number behind a SYN's own.
#[inline(always)]
fn behind_syn(packet: &InboundPacket) -> u32 {
    packet.tcp.sequence.wrapping_add(1)
}

#[inline(always)]
fn unknown(packet: &InboundPacket) -> Inbound {
    if opens(packet.kind) {
        return Inbound::Open(fresh(packet));
    }
    // Not for an owned address: a connection that the host opened from there has no record, and
    // must not be taken for a request because its answers come in elsewhere (R3).
    let is_shared = packet.destination == Locality::Shared;
    if packet.kind == Kind::Tcp && packet.tcp.acknowledges() && is_shared {
        return Inbound::Adopt(fresh(packet).with_heard(packet.tcp.acknowledgement));
    }
    Inbound::Pass
}

#[inline(always)]
fn answer_to_host(packet: &InboundPacket, entry: &FlowEntry) -> Inbound {
    // A new connection may take over the ports of a finished one.
    if packet.kind == Kind::TcpOpening && is_finished(entry, packet.now) {
        return Inbound::Open(fresh(packet));
    }
    if is_request(packet, entry) {
        return Inbound::Rebind(fresh(packet));
    }
    let flow = entry.flow.with_last_in(packet.now);
    let flow = if entry.uplink() == packet.here { flow.with_heard_here() } else { flow };
    if entry.confirmed { Inbound::Refresh(flow) } else { Inbound::Confirm(flow) }
}

/// Whether a datagram to one of the host's services asks, although the host spoke first: the peer never
/// answered where the host's datagrams went, and speaks elsewhere, at its own time. Not when the host
/// has gone on for long: it does not expect an answer then, and whoever pretends to be its peer would
/// get the rest.
#[inline(always)]
fn is_request(packet: &InboundPacket, entry: &FlowEntry) -> bool {
    packet.protocol == protocol::UDP
        && packet.kind == Kind::Datagram
        && !packet.to_client_port
        && packet.destination == Locality::Shared
        && !entry.flow.is_heard_here()
        && entry.uplink() != packet.here
        && !is_within(packet.now, entry.flow.last_out(), ANSWER_TIME)
        && since(packet.now, entry.flow.opened_at()) <= HOST_FIRST
}

/// Whether the packet came another way than the flow's packets: on another uplink, or from another
/// router on the link.
#[inline(always)]
pub(super) fn is_elsewhere(packet: &InboundPacket, entry: &FlowEntry) -> bool {
    entry.uplink() != packet.here || is_other_router(packet, entry)
}

#[inline(always)]
fn is_other_router(packet: &InboundPacket, entry: &FlowEntry) -> bool {
    let router = entry.flow.router();
    packet.router != 0 && router != 0 && packet.router != router
}

/// The packet came in where its flow belongs.
#[inline(always)]
fn at_home(packet: &InboundPacket, entry: &FlowEntry) -> Inbound {
    if entry.confirmed && entry.flow.router() != packet.router && packet.router != 0 {
        return from_router(packet, entry);
    }
    let flow = entry.flow.with_last_in(packet.now);
    let flow = if packet.router == 0 { flow } else { flow.with_router(packet.router) };
    continued(packet, entry, flow)
}

/// The packet of a confirmed flow came in on its uplink, from a router that is not the noted one.
#[inline(always)]
fn from_router(packet: &InboundPacket, entry: &FlowEntry) -> Inbound {
    let flow = entry.flow.with_last_in(packet.now);
    let moved = flow.with_router(packet.router);
    if packet.protocol != protocol::TCP {
        let is_silent = !is_within(packet.now, entry.flow.last_in(), ROUTER_IDLE);
        // Otherwise the old one counts as silent still.
        return Inbound::Refresh(if entry.flow.router() == 0 || is_silent {
            moved
        } else {
            entry.flow
        });
    }
    match packet.kind {
        Kind::TcpOpening if entry.is_idle(protocol::TCP, packet.now) => {
            Inbound::Open(fresh(packet))
        }
        Kind::Tcp if packet.tcp.acknowledges() && proves(&entry.flow, &packet.tcp) => {
            continued(packet, entry, moved)
        }
        _ => Inbound::Refresh(flow),
    }
}

/// Notes what the packet says of its flow, whose time and router are noted.
#[inline(always)]
fn continued(packet: &InboundPacket, entry: &FlowEntry, flow: Flow) -> Inbound {
    let number = packet.tcp.acknowledgement;
    match packet.kind {
        // What is known of a confirmed connection's numbers is void when the host accepts a new one.
        Kind::TcpOpening if entry.confirmed => Inbound::Refresh(flow),
        // The same SYN again, from a client whose SYN-ACK is late. The host need not answer each of them.
        Kind::TcpOpening if flow.received() == Some(behind_syn(packet)) => Inbound::Refresh(flow),
        Kind::TcpOpening => Inbound::Refresh(with_syn(flow.without_numbers(), packet)),
        Kind::Tcp | Kind::TcpReset | Kind::TcpAnswer if entry.confirmed => {
            Inbound::Refresh(with_said_by_remote(flow, packet))
        }
        Kind::Tcp | Kind::TcpReset | Kind::TcpAnswer if !packet.tcp.acknowledges() => {
            Inbound::Refresh(flow)
        }
        Kind::Tcp | Kind::TcpReset | Kind::TcpAnswer => match (flow.heard(), flow.sent()) {
            (_, Some(sent)) => {
                if packet.kind == Kind::Tcp && number == sent {
                    Inbound::Confirm(flow.with_heard(number))
                } else {
                    Inbound::Refresh(flow)
                }
            }
            // Adopted. What a SYN opened is proved by the host's SYN-ACK and nothing else: the host may
            // have opened it itself, where nobody looks.
            (Some(_), None) => Inbound::Refresh(flow.with_heard(number)),
            (None, None) => Inbound::Refresh(flow),
        },
        _ if !entry.confirmed && flow.is_answered() => Inbound::Confirm(flow),
        _ => Inbound::Refresh(flow),
    }
}

/// Notes what a segment of a confirmed connection acknowledges, if it proves itself: whoever forges
/// acknowledgements here would know elsewhere what was acknowledged last.
#[inline(always)]
pub(super) fn with_acknowledged(flow: Flow, tcp: &Numbers) -> Flow {
    let number = tcp.acknowledgement;
    match flow.sent() {
        Some(sent) if is_news(flow.heard(), number, sent) && proves(&flow, tcp) => {
            flow.with_heard(number)
        }
        _ => flow,
    }
}

/// Whether a number acknowledges more than was heard, and no more than was sent.
#[inline(always)]
pub(super) fn is_news(heard: Option<u32>, number: u32, sent: u32) -> bool {
    match heard {
        Some(heard) => number != heard && is_between(number, heard, sent),
        None => sent.wrapping_sub(number) < 1 << 31,
    }
}

/// The packet came in on another uplink than its flow's.
#[inline(always)]
fn elsewhere(packet: &InboundPacket, entry: &FlowEntry, recorded_is_up: bool) -> Inbound {
    let is_replaced = packet.kind == Kind::TcpOpening && is_mere_acknowledgement(entry);
    if recorded_is_up && !is_replaced && !entry.is_idle(packet.protocol, packet.now) {
        return Inbound::RefuseRebind;
    }
    let number = packet.tcp.acknowledgement;
    let acknowledges = packet.kind == Kind::Tcp && packet.tcp.acknowledges();
    if packet.protocol != protocol::TCP {
        return if opens(packet.kind) {
            Inbound::Rebind(fresh(packet))
        } else {
            Inbound::RefuseRebind
        };
    }
    match (entry.confirmed, packet.kind) {
        // Beside the confirmed flow, which stays until the new connection is confirmed.
        (true, Kind::TcpOpening) => Inbound::Open(fresh(packet)),
        (false, Kind::TcpOpening) => Inbound::Rebind(fresh(packet)),
        // Not of an owned address, to which nothing is adopted either.
        (false, _)
            if acknowledges && (packet.destination == Locality::Shared || !recorded_is_up) =>
        {
            Inbound::Rebind(fresh(packet).with_heard(number))
        }
        (true, _) if acknowledges && proves(&entry.flow, &packet.tcp) => {
            let place = packet.here;
            let flow = entry.flow.rebound(place.id, place.generation, packet.now);
            let flow = flow.with_heard(number).with_router(packet.router);
            Inbound::Rebind(if packet.tcp.fin() { flow.with_remote_fin() } else { flow })
        }
        _ => Inbound::RefuseRebind,
    }
}

/// Whether nothing is known of a connection but that somebody acknowledged something: anybody can do that, and
/// it keeps no connection from being opened elsewhere until the host has sent something of it.
#[inline(always)]
fn is_mere_acknowledgement(entry: &FlowEntry) -> bool {
    let flow = &entry.flow;
    !entry.confirmed && flow.heard().is_some() && flow.sent().is_none() && flow.received().is_none()
}
