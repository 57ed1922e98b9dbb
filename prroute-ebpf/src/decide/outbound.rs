//! For packets that are about to leave: which uplink must they leave by?

use prroute_common::flow::{Flow, Origin};
use prroute_common::time::Ticks;

use super::closing::{is_end, with_end_of_host};
use super::confirm::shows_remote;
use super::{FlowEntry, Locality, UplinkRef, is_between};
use crate::wire::parse::{Kind, Numbers};

/// A packet that is about to leave.
#[derive(Clone, Copy, Debug)]
pub struct OutboundPacket<L = Locality> {
    pub kind: Kind,
    pub tcp: Numbers,
    /// Bytes behind the transport header.
    pub payload: u32,
    pub source: L,
    pub here: UplinkRef,
    /// Where it goes if it is no reply: `here`, or to the owner of its source ([`owner_for_own`]).
    pub leaves_by: UplinkRef,
    /// It came in through another interface.
    pub forwarded: bool,
    /// It leaves from a port that the kernel gives to clients.
    pub from_client_port: bool,
    pub now: Ticks,
}

impl<L: Copy> OutboundPacket<L> {
    /// With its source's locality in another form.
    #[inline(always)]
    pub fn map<M>(&self, form: impl Fn(L) -> M) -> OutboundPacket<M> {
        OutboundPacket {
            kind: self.kind,
            tcp: self.tcp,
            payload: self.payload,
            source: form(self.source),
            here: self.here,
            leaves_by: self.leaves_by,
            forwarded: self.forwarded,
            from_client_port: self.from_client_port,
            now: self.now,
        }
    }
}

/// What to write of a flow.
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
        uplink: UplinkRef,
        router: u64,
        write: Write,
    },
    /// A reply of a flow that has not proved itself: passes.
    Unproved,
    /// A reply without a record, forwarded or of TCP: to the owner of its source address.
    ToOwner(u16),
}

/// An [`Outbound`] without what it says beside, as the programs keep it in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum OutboundKind {
    Pass = 0,
    OpenByHost = 1,
    Own = 2,
    Reply = 3,
    Unproved = 4,
    ToOwner = 5,
}

impl Outbound {
    #[inline(always)]
    pub const fn kind(&self) -> OutboundKind {
        match self {
            Self::Pass => OutboundKind::Pass,
            Self::OpenByHost(_) => OutboundKind::OpenByHost,
            Self::Own(_) => OutboundKind::Own,
            Self::Reply { .. } => OutboundKind::Reply,
            Self::Unproved => OutboundKind::Unproved,
            Self::ToOwner(_) => OutboundKind::ToOwner,
        }
    }
}

impl OutboundKind {
    pub const ALL: [Self; 6] =
        [Self::Pass, Self::OpenByHost, Self::Own, Self::Reply, Self::Unproved, Self::ToOwner];

    /// What the decision log says, as [`super::InboundKind::name`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::OpenByHost => "record as the host's own",
            Self::Own => "the host's own",
            Self::Reply => "reply, to its uplink",
            Self::Unproved => "reply, not proved yet",
            Self::ToOwner => "reply, to the owner of its source",
        }
    }
}

/// The uplink that a packet of the host's own goes to because of its source, where the routing table
/// has nothing more specific than a default route (R2). `is_kept_here` says that the datapath sees to
/// that, and not rules; `has_own_gateway` that the source's subnet has a gateway of its own on `here`;
/// `is_specific` that `main` routes the destination over this uplink.
#[inline(always)]
pub fn owner_for_own(
    is_kept_here: bool,
    forwarded: bool,
    source: Locality,
    here: u16,
    has_own_gateway: impl FnOnce() -> bool,
    is_specific: impl FnOnce() -> bool,
) -> Option<u16> {
    if !is_kept_here || forwarded {
        return None;
    }
    let owner = match source {
        Locality::OwnedBy(owner) => owner,
        Locality::OwnedHere if has_own_gateway() => here,
        _ => return None,
    };
    (!is_specific()).then_some(owner)
}

/// Whether a packet about to leave needs its flow at all. `noted` says that the uplink notes
/// routers (last-hop mode), `has_owner` that it goes to the owner of its source anyway.
#[inline(always)]
pub fn outbound_needs_flow(
    kind: Kind,
    source: Locality,
    exposed: bool,
    noted: bool,
    has_owner: bool,
) -> bool {
    match (kind, source) {
        (Kind::TcpOpening | Kind::Tcp | Kind::TcpAnswer | Kind::TcpReset, Locality::OwnedBy(_))
            if has_owner =>
        {
            exposed || noted
        }
        (Kind::EchoRequest, _) => false,
        (Kind::TcpOpening, Locality::OwnedHere | Locality::NotLocal) => exposed,
        (Kind::Tcp | Kind::TcpAnswer | Kind::TcpReset, Locality::OwnedHere) => exposed || noted,
        _ => true,
    }
}

/// Decides for a packet that is about to leave.
#[inline(always)]
pub fn outbound(packet: &OutboundPacket, entry: Option<FlowEntry>) -> Outbound {
    let by_host = Flow::by_host(packet.leaves_by.id, packet.leaves_by.generation, packet.now);
    let Some(entry) = entry else { return unknown(packet, by_host) };
    if is_foreign(packet) && entry.origin == Origin::Inbound && !entry.flow.is_answered() {
        return Outbound::Pass;
    }
    if entry.is_aged && !speaks_first_after_pause(packet, &entry) {
        return unknown(packet, by_host);
    }
    let flow = entry.flow.with_last_out(packet.now);
    if entry.origin == Origin::Host {
        return Outbound::Own(match packet.kind {
            Kind::Error => Write::Nothing,
            // The answer to its SYN came in, wherever: it is no mere attempt any more. Nor is what is
            // sent again, for which nobody outside has to answer.
            Kind::Tcp | Kind::Datagram if !entry.confirmed => Write::Confirm(flow),
            _ => Write::Refresh(flow),
        });
    }
    let reply =
        |write| Outbound::Reply { uplink: entry.uplink(), router: entry.flow.router(), write };
    let Numbers { sequence, acknowledgement, .. } = packet.tcp;
    match packet.kind {
        // Never redirected. The record keeps its answers from being taken for a request.
        Kind::TcpOpening => Outbound::OpenByHost(by_host),
        // The host accepts a connection: whatever was known of an older one's numbers is void.
        Kind::TcpAnswer if entry.confirmed => {
            let accepted = flow.without_numbers().with_sent(sequence.wrapping_add(1));
            reply(Write::Refresh(accepted.with_received(acknowledgement).with_heard(sequence)))
        }
        // Which proves nothing: the host answers whoever sends a SYN.
        Kind::TcpAnswer => reply(Write::Refresh(flow.with_sent(sequence.wrapping_add(1)))),
        Kind::TcpReset if !entry.confirmed && !is_answer_to(&flow, sequence) => unproved(packet),
        Kind::TcpReset if entry.confirmed && is_end(&flow, sequence) => {
            reply(Write::Refresh(flow.with_reset()))
        }
        Kind::TcpReset | Kind::Error => reply(Write::Nothing),
        Kind::Tcp if is_of_another(packet, &entry) => unproved(packet),
        Kind::Tcp if !entry.confirmed && !shows_remote(packet, &entry) => unproved(packet),
        Kind::Tcp => {
            let flow = with_end_of_host(with_progress(flow, packet), &entry.flow, packet);
            reply(if entry.confirmed { Write::Refresh(flow) } else { Write::Confirm(flow) })
        }
        _ => reply(Write::Refresh(flow)),
    }
}

#[inline(always)]
fn unknown(packet: &OutboundPacket, by_host: Flow) -> Outbound {
    match (packet.kind, packet.source) {
        _ if is_foreign(packet) => Outbound::Pass,
        (Kind::Error, _) => Outbound::Pass,
        (Kind::TcpOpening, _) => Outbound::OpenByHost(by_host),
        (_, Locality::OwnedBy(owner)) if packet.forwarded => Outbound::ToOwner(owner),
        // A connection that the host opened over another uplink than the owner's has a record.
        (Kind::Tcp | Kind::TcpAnswer | Kind::TcpReset, Locality::OwnedBy(owner)) => {
            Outbound::ToOwner(owner)
        }
        (Kind::Datagram, _) => Outbound::OpenByHost(by_host),
        _ => Outbound::Pass,
    }
}

/// Whether a program on this host sends with an address that is not its own, as transparent proxies do.
#[inline(always)]
fn is_foreign(packet: &OutboundPacket) -> bool {
    packet.source == Locality::NotLocal && !packet.forwarded && packet.kind != Kind::Error
}

/// Whether a datagram goes on with a conversation that its peer began, after a pause in which the
/// flow has aged: a call to a telephone that has registered, a VPN that renews its keys. From a client's
/// port, where the host asks more often than it is asked, only when its peer has asked twice.
#[inline(always)]
fn speaks_first_after_pause(packet: &OutboundPacket, entry: &FlowEntry) -> bool {
    packet.kind == Kind::Datagram
        && entry.origin == Origin::Inbound
        && entry.flow.is_answered()
        && (entry.confirmed || !packet.from_client_port)
}

/// A segment that its entry does not explain: as without one.
#[inline(always)]
fn unproved(packet: &OutboundPacket) -> Outbound {
    match packet.source {
        Locality::OwnedBy(owner) => Outbound::ToOwner(owner),
        _ => Outbound::Unproved,
    }
}

/// Whether a segment from an owned address is not of the connection that was confirmed elsewhere than on
/// the owner, whose ports it has, but of a newer one that came in on the owner, where nobody looks: its
/// numbers are none of the old one's.
#[inline(always)]
fn is_of_another(packet: &OutboundPacket, entry: &FlowEntry) -> bool {
    let owner = match packet.source {
        Locality::OwnedBy(owner) => owner,
        Locality::OwnedHere => packet.here.id,
        Locality::Shared | Locality::NotLocal => return false,
    };
    entry.confirmed
        && owner != entry.flow.uplink()
        && packet.tcp.acknowledges()
        && !has_numbers_of(&entry.flow, &packet.tcp)
}

/// Whether a segment's numbers are near those that are known of the connection.
#[inline(always)]
pub(super) fn has_numbers_of(flow: &Flow, numbers: &Numbers) -> bool {
    // What was sent lies further apart than what was received: a server's answers are the longer ones.
    const SENT: u32 = 1 << 28;
    const RECEIVED: u32 = 1 << 26;
    let is_near = |number: u32, other: u32, limit: u32| {
        other.wrapping_sub(number).wrapping_add(limit) < 2 * limit
    };
    let is_sent = match (flow.heard(), flow.sent()) {
        (_, None) => true,
        (_, Some(sent)) if is_near(sent, numbers.sequence, SENT) => true,
        // In flight, however much that is.
        (Some(heard), Some(sent)) => is_between(numbers.sequence, heard, sent),
        (None, Some(_)) => false,
    };
    let is_received = match flow.received() {
        Some(received) => is_near(received, numbers.acknowledgement, RECEIVED),
        None => true,
    };
    is_sent && is_received
}

/// Notes what the host has sent and received, as a segment of its own says.
#[inline(always)]
pub(super) fn with_progress(flow: Flow, packet: &OutboundPacket) -> Flow {
    let Numbers { sequence, acknowledgement, .. } = packet.tcp;
    let acknowledges = packet.tcp.acknowledges();
    let end = sequence.wrapping_add(packet.payload);
    let flow = if is_news(&flow, end) { flow.with_sent(end) } else { flow };
    if acknowledges { flow.with_received(acknowledgement) } else { flow }
}

/// Whether the host sent further than was noted.
#[inline(always)]
fn is_news(flow: &Flow, end: u32) -> bool {
    match flow.sent() {
        Some(sent) => end != sent && end.wrapping_sub(sent) < 1 << 31,
        None => true,
    }
}

/// Whether a reset answers what came in unconfirmed (RFC 9293, 3.10.7.1: to a SYN it has sequence
/// number 0, to another segment the number that was acknowledged), or takes a SYN-ACK back. That
/// of a connection the entry knows nothing of is somebody else's.
#[inline(always)]
fn is_answer_to(flow: &Flow, sequence: u32) -> bool {
    sequence == 0 || flow.heard() == Some(sequence) || flow.sent() == Some(sequence)
}
