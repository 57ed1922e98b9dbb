//! For packets that are about to leave: which uplink must they leave by?

use prroute_common::flow::{Flow, Origin};
use prroute_common::time::Ticks;

use super::{Known, Locality, Place, is_between};
use crate::parse::{Kind, Numbers};

/// A packet that is about to leave.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    pub kind: Kind,
    pub tcp: Numbers,
    /// Bytes behind the transport header.
    pub payload: u32,
    pub source: Locality,
    pub here: Place,
    /// It came in through another interface.
    pub forwarded: bool,
    /// It leaves from a port that the kernel gives to clients.
    pub from_client_port: bool,
    pub now: Ticks,
}

/// What to note of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Nothing,
    /// In the entry it has.
    Refresh(Flow),
    /// As confirmed.
    Confirm(Flow),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    Pass,
    /// Record as opened by this host; passes.
    OpenByHost(Flow),
    /// The host's own flow: note what is new; passes.
    Own(Write),
    /// A reply, to the uplink its flow came in on; it may be there already.
    Reply {
        place: Place,
        router: u64,
        write: Write,
    },
    /// A reply of a flow that has not proved itself: passes.
    Unproved,
    /// A reply without a record, forwarded or of TCP: to the owner of its source address.
    ToOwner(u16),
}

impl Outbound {
    /// For [`Outbound::name`].
    pub const fn number(&self) -> u32 {
        match self {
            Self::Pass => 0,
            Self::OpenByHost(_) => 1,
            Self::Own(_) => 2,
            Self::Reply { .. } => 3,
            Self::Unproved => 4,
            Self::ToOwner(_) => 5,
        }
    }

    /// What the decision log calls the verdict of this number. No table: an array of strings is
    /// one of pointers, which a BPF program cannot have.
    pub const fn name(number: u32) -> Option<&'static str> {
        Some(match number {
            0 => "pass",
            1 => "record as the host's own",
            2 => "the host's own",
            3 => "reply, to its uplink",
            4 => "reply, not proved yet",
            5 => "reply, to the owner of its source",
            _ => return None,
        })
    }
}

/// Whether a packet about to leave needs its flow at all. `noted` says that the uplink notes
/// routers (last-hop mode).
#[inline(always)]
pub fn outbound_needs_flow(kind: Kind, source: Locality, exposed: bool, noted: bool) -> bool {
    match (kind, source) {
        (Kind::EchoRequest, _) => false,
        (Kind::TcpOpening, Locality::OwnedHere | Locality::NotLocal) => exposed,
        (Kind::Tcp | Kind::TcpAnswer | Kind::TcpReset, Locality::OwnedHere) => exposed || noted,
        _ => true,
    }
}

/// Decides for a packet that is about to leave.
#[inline(always)]
pub fn outbound(departure: &Departure, known: Option<Known>) -> Outbound {
    let by_host = Flow::by_host(departure.here.uplink, departure.here.generation, departure.now);
    let Some(known) = known else { return unknown(departure, by_host) };
    if known.is_aged && !speaks_first_after_pause(departure, &known) {
        return unknown(departure, by_host);
    }
    let flow = known.flow.with_last_out(departure.now);
    if known.origin == Origin::Host {
        return Outbound::Own(match departure.kind {
            Kind::Error => Write::Nothing,
            // The answer to its SYN came in, wherever: it is no mere attempt any more. Nor is what is
            // sent again, for which nobody outside has to answer.
            Kind::Tcp | Kind::Datagram if !known.confirmed => Write::Confirm(flow),
            _ => Write::Refresh(flow),
        });
    }
    let reply =
        |write| Outbound::Reply { place: known.place(), router: known.flow.router(), write };
    let Numbers { sequence, acknowledgement, acknowledges } = departure.tcp;
    let received =
        |flow: Flow| if acknowledges { flow.with_received(acknowledgement) } else { flow };
    match departure.kind {
        // Never redirected. The record keeps its answers from being taken for a request.
        Kind::TcpOpening => Outbound::OpenByHost(by_host),
        // The host accepts a connection: whatever was known of an older one's numbers is void.
        Kind::TcpAnswer => {
            let accepted = flow.without_numbers().with_sent(sequence.wrapping_add(1));
            let accepted = accepted.with_received(acknowledgement).with_heard(sequence);
            if known.confirmed {
                reply(Write::Refresh(accepted))
            } else if takes_data(&flow, acknowledgement) {
                reply(Write::Confirm(accepted))
            } else {
                reply(Write::Refresh(flow.with_sent(sequence.wrapping_add(1))))
            }
        }
        Kind::TcpReset if !known.confirmed && !is_answer_to(&flow, sequence) => unproved(departure),
        Kind::TcpReset | Kind::Error => reply(Write::Nothing),
        Kind::Tcp if is_of_another(departure, &known) => unproved(departure),
        Kind::Tcp => {
            let end = sequence.wrapping_add(departure.payload);
            let flow = if is_news(&flow, end) { flow.with_sent(end) } else { flow };
            let flow = received(flow);
            if known.confirmed {
                reply(Write::Refresh(flow))
            } else if is_owner(departure, &known) || flow.heard() == Some(sequence) {
                // Who acknowledged exactly what the host sends next, or again, sees its packets.
                reply(Write::Confirm(flow))
            } else {
                unproved(departure)
            }
        }
        _ => reply(Write::Refresh(flow)),
    }
}

#[inline(always)]
fn unknown(departure: &Departure, by_host: Flow) -> Outbound {
    match (departure.kind, departure.source) {
        (Kind::Error, _) => Outbound::Pass,
        (Kind::TcpOpening, _) => Outbound::OpenByHost(by_host),
        (_, Locality::OwnedBy(owner)) if departure.forwarded => Outbound::ToOwner(owner),
        // A connection that the host opened over another uplink than the owner's has a record.
        (Kind::Tcp | Kind::TcpAnswer | Kind::TcpReset, Locality::OwnedBy(owner)) => {
            Outbound::ToOwner(owner)
        }
        (Kind::Datagram, _) => Outbound::OpenByHost(by_host),
        _ => Outbound::Pass,
    }
}

/// Whether a datagram goes on with a conversation that its peer began, after a pause in which the
/// flow has aged: a call to a telephone that has registered, a VPN that renews its keys. From a client's
/// port, where the host asks more often than it is asked, only when its peer has asked twice.
#[inline(always)]
fn speaks_first_after_pause(departure: &Departure, known: &Known) -> bool {
    departure.kind == Kind::Datagram
        && known.origin == Origin::Inbound
        && known.flow.is_answered()
        && (known.confirmed || !departure.from_client_port)
}

/// A segment that its entry does not explain: as without one.
#[inline(always)]
fn unproved(departure: &Departure) -> Outbound {
    match departure.source {
        Locality::OwnedBy(owner) => Outbound::ToOwner(owner),
        _ => Outbound::Unproved,
    }
}

/// Whether a SYN-ACK acknowledges data that came with the SYN: the client has a cookie that it got at
/// this address (TCP Fast Open, RFC 7413).
#[inline(always)]
fn takes_data(flow: &Flow, acknowledgement: u32) -> bool {
    flow.received().is_some_and(|behind_syn| behind_syn != acknowledgement)
        && answers_syn(flow, acknowledgement)
}

/// Whether a SYN-ACK answers the SYN that was recorded, as far as that is known.
#[inline(always)]
pub(super) fn answers_syn(flow: &Flow, acknowledgement: u32) -> bool {
    match flow.received() {
        Some(behind_syn) => acknowledgement.wrapping_sub(behind_syn) <= u32::from(flow.syn_data()),
        None => true,
    }
}

/// Whether a segment from an owned address is not of the connection that was confirmed elsewhere than on
/// the owner, whose ports it has, but of a newer one that came in on the owner, where nobody looks: its
/// numbers are none of the old one's.
#[inline(always)]
fn is_of_another(departure: &Departure, known: &Known) -> bool {
    // What was sent lies further apart than what was received: a server's answers are the longer ones.
    const SENT: u32 = 1 << 28;
    const RECEIVED: u32 = 1 << 26;
    let owner = match departure.source {
        Locality::OwnedBy(owner) => owner,
        Locality::OwnedHere => departure.here.uplink,
        Locality::Shared | Locality::NotLocal => return false,
    };
    let Numbers { sequence, acknowledgement, acknowledges } = departure.tcp;
    let is_near = |number: u32, other: u32, limit: u32| {
        other.wrapping_sub(number).wrapping_add(limit) < 2 * limit
    };
    let is_sent = match (known.flow.heard(), known.flow.sent()) {
        (_, None) => true,
        (_, Some(sent)) if is_near(sent, sequence, SENT) => true,
        // In flight, however much that is.
        (Some(heard), Some(sent)) => is_between(sequence, heard, sent),
        (None, Some(_)) => false,
    };
    let is_received = match known.flow.received() {
        Some(received) => is_near(received, acknowledgement, RECEIVED),
        None => true,
    };
    known.confirmed && owner != known.flow.uplink() && acknowledges && !(is_sent && is_received)
}

/// Whether the host sent further than was noted.
#[inline(always)]
fn is_news(flow: &Flow, end: u32) -> bool {
    match flow.sent() {
        Some(sent) => end != sent && end.wrapping_sub(sent) < 1 << 31,
        None => true,
    }
}

/// Whether the flow is bound to the uplink that owns its local address: its packets in were not
/// looked at, and the host's own data there is proof enough.
#[inline(always)]
pub(super) fn is_owner(departure: &Departure, known: &Known) -> bool {
    match departure.source {
        Locality::OwnedHere => known.place() == departure.here,
        Locality::OwnedBy(owner) => owner == known.flow.uplink(),
        Locality::Shared | Locality::NotLocal => false,
    }
}

/// Whether a reset answers what came in unconfirmed (RFC 9293, 3.10.7.1: to a SYN it has sequence
/// number 0, to another segment the number that was acknowledged), or takes a SYN-ACK back. That
/// of a connection the entry knows nothing of is somebody else's.
#[inline(always)]
fn is_answer_to(flow: &Flow, sequence: u32) -> bool {
    sequence == 0 || flow.heard() == Some(sequence) || flow.sent() == Some(sequence)
}
