//! For packets that came in: which uplink does their flow belong to?

use prroute_common::flow::{ANSWER_TIME, Flow, HOST_FIRST, Origin, ROUTER_IDLE};
use prroute_common::time::{Ticks, since};

use super::beside::is_finished;
use super::proof::proves;
use super::{Known, Locality, Place, is_between, opened_at};
use crate::parse::{Kind, Numbers, protocol};

/// A packet that came in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub kind: Kind,
    pub protocol: u8,
    pub tcp: Numbers,
    /// Bytes behind the transport header.
    pub payload: u32,
    pub destination: Locality,
    pub here: Place,
    /// The link-layer address it came from, 0 where that is not noted.
    pub router: u64,
    /// It is for a port that the kernel gives to clients.
    pub to_client_port: bool,
    pub now: Ticks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    Pass,
    /// Record as unconfirmed: opened inbound, here.
    Open(Flow),
    /// Record as unconfirmed, in the middle of a TCP connection.
    Adopt(Flow),
    /// The flow is known here: note what is new.
    Refresh(Flow),
    /// Record as confirmed.
    Confirm(Flow),
    /// The flow moves here from another uplink.
    Rebind(Flow),
    /// The flow lives on another uplink and stays there.
    RefuseRebind,
}

impl Inbound {
    /// For [`Inbound::name`].
    pub const fn number(&self) -> u32 {
        match self {
            Self::Pass => 0,
            Self::Open(_) => 1,
            Self::Adopt(_) => 2,
            Self::Refresh(_) => 3,
            Self::Confirm(_) => 4,
            Self::Rebind(_) => 5,
            Self::RefuseRebind => 6,
        }
    }

    /// What the decision log calls the verdict of this number. No table: an array of strings is
    /// one of pointers, which a BPF program cannot have.
    pub const fn name(number: u32) -> Option<&'static str> {
        Some(match number {
            0 => "pass",
            1 => "record",
            2 => "adopt",
            3 => "known here",
            4 => "confirm",
            5 => "rebind here",
            6 => "stays on its uplink",
            _ => return None,
        })
    }
}

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
pub fn inbound(arrival: &Arrival, known: Option<Known>, recorded_is_up: bool) -> Inbound {
    let Some(known) = known else { return unknown(arrival) };
    if known.is_aged && !stays_the_hosts(arrival, &known) {
        return unknown(arrival);
    }
    if known.origin == Origin::Host {
        return answer_to_host(arrival, &known);
    }
    if known.place() == arrival.here {
        return at_home(arrival, &known);
    }
    elsewhere(arrival, &known, recorded_is_up)
}

/// A client's port is asked nothing: to whom the host has sent from there, that peer's datagrams are
/// answers, however late.
#[inline(always)]
fn stays_the_hosts(arrival: &Arrival, known: &Known) -> bool {
    known.origin == Origin::Host && arrival.protocol == protocol::UDP && arrival.to_client_port
}

#[inline(always)]
fn opens(kind: Kind) -> bool {
    // The answers to the host's own requests open nothing (R3).
    matches!(kind, Kind::TcpOpening | Kind::EchoRequest | Kind::Datagram)
}

#[inline(always)]
fn fresh(arrival: &Arrival) -> Flow {
    let flow = opened_at(arrival.here, arrival.now).with_router(arrival.router);
    if arrival.kind == Kind::TcpOpening { with_syn(flow, arrival) } else { flow }
}

/// Notes where the data behind a SYN begins, and how much came with it.
#[inline(always)]
fn with_syn(flow: Flow, arrival: &Arrival) -> Flow {
    flow.with_received(arrival.tcp.sequence.wrapping_add(1)).with_syn_data(arrival.payload as u16)
}

#[inline(always)]
fn unknown(arrival: &Arrival) -> Inbound {
    if opens(arrival.kind) {
        return Inbound::Open(fresh(arrival));
    }
    // Not for an owned address: a connection that the host opened from there has no record, and
    // must not be taken for a request because its answers come in elsewhere (R3).
    let is_shared = arrival.destination == Locality::Shared;
    if arrival.kind == Kind::Tcp && arrival.tcp.acknowledges && is_shared {
        return Inbound::Adopt(fresh(arrival).with_heard(arrival.tcp.acknowledgement));
    }
    Inbound::Pass
}

#[inline(always)]
fn answer_to_host(arrival: &Arrival, known: &Known) -> Inbound {
    // A new connection may take over the ports of a finished one.
    if arrival.kind == Kind::TcpOpening && is_finished(known, arrival.now) {
        return Inbound::Open(fresh(arrival));
    }
    if is_request(arrival, known) {
        return Inbound::Rebind(fresh(arrival));
    }
    let flow = known.flow.with_last_in(arrival.now);
    let flow = if known.place() == arrival.here { flow.with_heard_here() } else { flow };
    if known.confirmed { Inbound::Refresh(flow) } else { Inbound::Confirm(flow) }
}

/// Whether a datagram to one of the host's services asks, although the host spoke first: the peer never
/// answered where the host's datagrams went, and speaks elsewhere, at its own time. Not when the host
/// has gone on for long: it does not expect an answer then, and whoever pretends to be its peer would
/// get the rest.
#[inline(always)]
fn is_request(arrival: &Arrival, known: &Known) -> bool {
    arrival.protocol == protocol::UDP
        && arrival.kind == Kind::Datagram
        && !arrival.to_client_port
        && arrival.destination == Locality::Shared
        && !known.flow.is_heard_here()
        && known.place() != arrival.here
        && since(arrival.now, known.flow.last_out()) >= ANSWER_TIME
        && since(arrival.now, known.flow.opened_at()) <= HOST_FIRST
}

/// Whether the packet came another way than the flow's packets: on another uplink, or from another
/// router on the link.
#[inline(always)]
pub(super) fn is_elsewhere(arrival: &Arrival, known: &Known) -> bool {
    known.place() != arrival.here || is_other_router(arrival, known)
}

#[inline(always)]
fn is_other_router(arrival: &Arrival, known: &Known) -> bool {
    let router = known.flow.router();
    arrival.router != 0 && router != 0 && arrival.router != router
}

/// The packet came in where its flow belongs.
#[inline(always)]
fn at_home(arrival: &Arrival, known: &Known) -> Inbound {
    if known.confirmed && known.flow.router() != arrival.router && arrival.router != 0 {
        return from_router(arrival, known);
    }
    let flow = known.flow.with_last_in(arrival.now);
    let flow = if arrival.router == 0 { flow } else { flow.with_router(arrival.router) };
    continued(arrival, known, flow)
}

/// The packet of a confirmed flow came in on its uplink, from a router that is not the noted one.
#[inline(always)]
fn from_router(arrival: &Arrival, known: &Known) -> Inbound {
    let flow = known.flow.with_last_in(arrival.now);
    let moved = flow.with_router(arrival.router);
    if arrival.protocol != protocol::TCP {
        let is_silent = since(arrival.now, known.flow.last_in()) >= ROUTER_IDLE;
        // Otherwise the old one counts as silent still.
        return Inbound::Refresh(if known.flow.router() == 0 || is_silent {
            moved
        } else {
            known.flow
        });
    }
    match arrival.kind {
        Kind::TcpOpening if known.is_idle(protocol::TCP, arrival.now) => {
            Inbound::Open(fresh(arrival))
        }
        Kind::Tcp if arrival.tcp.acknowledges && proves(&known.flow, &arrival.tcp) => {
            continued(arrival, known, moved)
        }
        _ => Inbound::Refresh(flow),
    }
}

/// Notes what the packet says of its flow, whose time and router are noted.
#[inline(always)]
fn continued(arrival: &Arrival, known: &Known, flow: Flow) -> Inbound {
    let number = arrival.tcp.acknowledgement;
    match arrival.kind {
        // What is known of a confirmed connection's numbers is void when the host accepts a new one.
        Kind::TcpOpening if known.confirmed => Inbound::Refresh(flow),
        Kind::TcpOpening => Inbound::Refresh(with_syn(flow.without_numbers(), arrival)),
        Kind::Tcp | Kind::TcpReset | Kind::TcpAnswer if !arrival.tcp.acknowledges => {
            Inbound::Refresh(flow)
        }
        Kind::Tcp | Kind::TcpReset | Kind::TcpAnswer => match (flow.heard(), flow.sent()) {
            (_, Some(sent)) if !known.confirmed => {
                if arrival.kind == Kind::Tcp && number == sent {
                    Inbound::Confirm(flow.with_heard(number))
                } else {
                    Inbound::Refresh(flow)
                }
            }
            // Adopted. What a SYN opened is proved by the host's SYN-ACK and nothing else: the host may
            // have opened it itself, where nobody looks.
            (Some(_), None) if !known.confirmed => Inbound::Refresh(flow.with_heard(number)),
            // Whoever forges acknowledgements here would know elsewhere what was acknowledged last.
            (heard, Some(sent)) if is_news(heard, number, sent) && proves(&flow, &arrival.tcp) => {
                Inbound::Refresh(flow.with_heard(number))
            }
            _ => Inbound::Refresh(flow),
        },
        _ if !known.confirmed && flow.is_answered() => Inbound::Confirm(flow),
        _ => Inbound::Refresh(flow),
    }
}

/// Whether a number acknowledges more than was heard, and no more than was sent.
#[inline(always)]
fn is_news(heard: Option<u32>, number: u32, sent: u32) -> bool {
    match heard {
        Some(heard) => number != heard && is_between(number, heard, sent),
        None => sent.wrapping_sub(number) < 1 << 31,
    }
}

/// The packet came in on another uplink than its flow's.
#[inline(always)]
fn elsewhere(arrival: &Arrival, known: &Known, recorded_is_up: bool) -> Inbound {
    if recorded_is_up && !known.is_idle(arrival.protocol, arrival.now) {
        return Inbound::RefuseRebind;
    }
    let number = arrival.tcp.acknowledgement;
    let acknowledges = arrival.kind == Kind::Tcp && arrival.tcp.acknowledges;
    if arrival.protocol != protocol::TCP {
        return if opens(arrival.kind) {
            Inbound::Rebind(fresh(arrival))
        } else {
            Inbound::RefuseRebind
        };
    }
    match (known.confirmed, arrival.kind) {
        // Beside the confirmed flow, which stays until the new connection is confirmed.
        (true, Kind::TcpOpening) => Inbound::Open(fresh(arrival)),
        (false, Kind::TcpOpening) => Inbound::Rebind(fresh(arrival)),
        // Not of an owned address, to which nothing is adopted either.
        (false, _)
            if acknowledges && (arrival.destination == Locality::Shared || !recorded_is_up) =>
        {
            Inbound::Rebind(fresh(arrival).with_heard(number))
        }
        (true, _) if acknowledges && proves(&known.flow, &arrival.tcp) => {
            let place = arrival.here;
            let flow = known.flow.rebound(place.uplink, place.generation, arrival.now);
            Inbound::Rebind(flow.with_heard(number).with_router(arrival.router))
        }
        _ => Inbound::RefuseRebind,
    }
}
