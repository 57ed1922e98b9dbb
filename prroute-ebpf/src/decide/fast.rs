//! The fast path: the decisions for packets with plain headers whose flow adds nothing new.
//!
//! Whatever is answered here is what [`super::inbound`] and [`super::outbound`] answer, from less: not whose
//! address it is, nor whether there is a second entry. For all else the answer is `SlowPath`.

use prroute_common::flow::{Flow, Origin};

use super::beside::{continues, is_finished};
use super::inbound::with_acknowledged;
use super::outbound::{has_numbers_of, with_progress};
use super::{FlowEntry, InboundPacket, OutboundPacket, UplinkRef, worth_writing};
use crate::wire::fast_headers::FastL4;
use crate::wire::parse::Kind;

/// What a packet needs, before any table is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the kernel's own way, and nothing to write.
    Pass,
    /// To be kept in the SYN cache; then the kernel's own way.
    CacheSyn,
    /// Its flow.
    LookUp,
    SlowPath,
}

/// For a packet that came in. `is_quiet` says that its destination is owned by this uplink, which is
/// not in last-hop mode, and that no address of it was lately asked elsewhere; `is_smaller` that
/// another uplink has a larger MTU.
#[inline(always)]
pub fn inbound_step(l4: FastL4, is_quiet: bool, is_smaller: bool) -> Step {
    match l4 {
        FastL4::TcpSyn if is_quiet && !is_smaller => Step::CacheSyn,
        FastL4::TcpSegment | FastL4::TcpOther if is_quiet => Step::Pass,
        FastL4::EchoReply => Step::Pass,
        FastL4::TcpSegment | FastL4::Datagram | FastL4::EchoRequest => Step::LookUp,
        FastL4::TcpSyn | FastL4::TcpOther => Step::SlowPath,
    }
}

/// For a packet that is about to leave. `is_quiet` says the same of its source, `keeps_own` that the host's
/// own packets may go to the owner of their source.
#[inline(always)]
pub fn outbound_step(l4: FastL4, is_quiet: bool, keeps_own: bool) -> Step {
    match l4 {
        FastL4::EchoRequest if !keeps_own => Step::Pass,
        FastL4::TcpSyn | FastL4::TcpSegment | FastL4::TcpOther if is_quiet => Step::Pass,
        FastL4::TcpSegment | FastL4::Datagram | FastL4::EchoReply => Step::LookUp,
        FastL4::TcpSyn | FastL4::TcpOther | FastL4::EchoRequest => Step::SlowPath,
    }
}

/// The decision for a packet that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastIn {
    SlowPath,
    /// In the entry that was found.
    Write(Flow),
}

/// Decides for a packet that came in, whose flow is known. `exposes` says that its destination may be
/// owned by another uplink: the slow path notes that each time when it writes a stamp, and of answers to
/// the host that come in elsewhere always.
#[inline(always)]
pub fn decide_inbound(packet: &InboundPacket, entry: &FlowEntry, exposes: bool) -> FastIn {
    if !is_steady_in(packet, entry) {
        return FastIn::SlowPath;
    }
    let is_here = entry.uplink() == packet.here;
    let flow = entry.flow.with_last_in(packet.now);
    let flow = match entry.origin {
        Origin::Host if is_here => flow.with_heard_here(),
        Origin::Inbound if packet.kind == Kind::Tcp => with_acknowledged(flow, &packet.tcp),
        _ => flow,
    };
    let flow = worth_writing(&entry.flow, &flow);
    if exposes && !(is_here && flow.has_times_of(&entry.flow)) {
        return FastIn::SlowPath;
    }
    FastIn::Write(flow)
}

/// Whether the packet is of this entry, whatever other one there is, and can change no more of it than
/// stamps and numbers.
#[inline(always)]
fn is_steady_in(packet: &InboundPacket, entry: &FlowEntry) -> bool {
    let is_tcp = match packet.kind {
        Kind::Tcp => true,
        Kind::Datagram | Kind::EchoRequest => false,
        _ => return false,
    };
    if entry.is_aged || (is_tcp && !(entry.confirmed && packet.tcp.acknowledges)) {
        return false;
    }
    let flow = &entry.flow;
    match entry.origin {
        Origin::Host if is_tcp => !is_finished(entry, packet.now),
        Origin::Host => entry.confirmed && flow.is_heard_here(),
        Origin::Inbound => {
            // An answered one is confirmed by its next packet, and the socket of what is for nobody may
            // be there by now.
            let settles = !entry.confirmed && flow.is_answered();
            entry.uplink() == packet.here
                && (packet.router == 0 || flow.router() == packet.router)
                && !settles
                && !flow.is_for_nobody()
        }
    }
}

/// The decision for a packet that is about to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastOut {
    SlowPath,
    /// The host's own.
    Own(Flow),
    /// To the uplink that its flow came in on; it may be there already.
    Reply {
        uplink: UplinkRef,
        router: u64,
        flow: Flow,
    },
}

/// Decides for a packet that is about to leave, whose flow is known.
#[inline(always)]
pub fn decide_outbound(packet: &OutboundPacket, entry: &FlowEntry) -> FastOut {
    if !is_steady_out(packet, entry) {
        return FastOut::SlowPath;
    }
    let flow = entry.flow.with_last_out(packet.now);
    if entry.origin == Origin::Host {
        return FastOut::Own(worth_writing(&entry.flow, &flow));
    }
    let flow = if packet.kind == Kind::Tcp { with_progress(flow, packet) } else { flow };
    let flow = worth_writing(&entry.flow, &flow);
    FastOut::Reply { uplink: entry.uplink(), router: flow.router(), flow }
}

/// As [`is_steady_in`].
#[inline(always)]
fn is_steady_out(packet: &OutboundPacket, entry: &FlowEntry) -> bool {
    let is_tcp = match packet.kind {
        Kind::Tcp => true,
        Kind::Datagram | Kind::EchoReply => false,
        _ => return false,
    };
    if entry.is_aged {
        return false;
    }
    match entry.origin {
        // The host's next packet confirms its flow.
        Origin::Host => entry.confirmed,
        Origin::Inbound if is_tcp => {
            entry.confirmed
                && packet.tcp.acknowledges
                && continues(entry, packet)
                && has_numbers_of(&entry.flow, &packet.tcp)
                && entry.flow.is_answered()
        }
        Origin::Inbound => entry.flow.is_answered(),
    }
}
