//! The fast path: the decisions for packets with plain headers whose flow adds nothing new.
//!
//! Whatever is answered here is what [`super::inbound`] and [`super::outbound`] answer, from less: not whose
//! address it is, nor whether there is a second entry. For all else the answer is `SlowPath`.

use prroute_common::flow::{Flow, Origin, SEEN_REFRESH, TCP_REBIND_IDLE, is_over};
use prroute_common::time::{Ticks, is_within};

use super::beside::continues;
use super::inbound::with_acknowledged;
use super::outbound::{has_numbers_of, with_progress};
use super::{InboundPacket, OutboundPacket, UplinkRef};
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
/// another uplink has a larger MTU: what offers a segment size is looked at.
#[inline(always)]
pub fn inbound_step(l4: FastL4, is_quiet: bool, is_smaller: bool) -> Step {
    match l4 {
        FastL4::TcpSyn if is_quiet && !is_smaller => Step::CacheSyn,
        FastL4::TcpSegment if is_quiet => Step::Pass,
        FastL4::TcpOther if is_quiet && !is_smaller => Step::Pass,
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

/// What a table has for a packet's flow.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub flow: &'a Flow,
    pub confirmed: bool,
    pub protocol: u8,
}

impl Entry<'_> {
    #[inline(always)]
    fn uplink(&self) -> UplinkRef {
        UplinkRef { id: self.flow.uplink(), generation: self.flow.generation() }
    }

    /// Whether it counts; one whose stamp is not written yet does.
    #[inline(always)]
    fn lives(&self, stamp: Ticks, is_fresh: bool, now: Ticks) -> bool {
        (is_fresh && stamp != 0) || !is_over(self.flow, self.confirmed, self.protocol, now)
    }
}

/// The decision for a packet that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastIn {
    SlowPath,
    /// Nothing is written.
    Nothing,
    /// In the entry that was found.
    Write(Flow),
}

/// Decides for a packet that came in, whose flow is known. `exposes` says that its destination may be
/// owned by another uplink: the slow path notes that each time when it writes a stamp, and of answers to
/// the host that come in elsewhere always.
#[inline(always)]
pub fn decide_inbound(packet: &InboundPacket, entry: &Entry<'_>, exposes: bool) -> FastIn {
    let flow = entry.flow;
    let is_fresh = is_within(packet.now, flow.last_in(), SEEN_REFRESH);
    let is_here = entry.uplink() == packet.here;
    if !entry.lives(flow.last_in(), is_fresh, packet.now)
        || !is_steady_in(packet, entry, is_here)
        || (exposes && !(is_here && is_fresh))
    {
        return FastIn::SlowPath;
    }
    let stamped = if is_fresh { *flow } else { flow.with_last_in(packet.now) };
    match (packet.kind, flow.origin()) {
        (Kind::Tcp, Some(Origin::Inbound)) => {
            FastIn::Write(with_acknowledged(stamped, &packet.tcp))
        }
        (Kind::Tcp, _) if is_here => FastIn::Write(stamped.with_heard_here()),
        _ if is_fresh => FastIn::Nothing,
        _ => FastIn::Write(stamped),
    }
}

/// Whether the packet is of this entry, whatever other one there is, and can change no more of it than
/// stamps and numbers.
#[inline(always)]
fn is_steady_in(packet: &InboundPacket, entry: &Entry<'_>, is_here: bool) -> bool {
    let is_tcp = match packet.kind {
        Kind::Tcp => true,
        Kind::Datagram | Kind::EchoRequest => false,
        _ => return false,
    };
    if is_tcp && (packet.tcp.fin() || !(entry.confirmed && packet.tcp.acknowledges())) {
        return false;
    }
    let flow = entry.flow;
    match flow.origin() {
        None => false,
        // The ports of a finished one may be another connection's.
        Some(Origin::Host) if is_tcp => flow.idle(packet.now) < TCP_REBIND_IDLE,
        Some(Origin::Host) => entry.confirmed && flow.is_heard_here(),
        Some(Origin::Inbound) => {
            // An answered one is confirmed by its next packet, and the socket of what is for nobody may
            // be there by now.
            let settles = !entry.confirmed && flow.is_answered();
            is_here
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
    /// The host's own; what the entry becomes, which may be what it is.
    Own(Flow),
    /// To the uplink that its flow came in on; it may be there already.
    Reply {
        uplink: UplinkRef,
        router: u64,
        becomes: Flow,
    },
}

/// Decides for a packet that is about to leave, whose flow is known.
#[inline(always)]
pub fn decide_outbound(packet: &OutboundPacket, entry: &Entry<'_>) -> FastOut {
    let flow = entry.flow;
    let is_fresh = is_within(packet.now, flow.last_out(), SEEN_REFRESH);
    if !entry.lives(flow.last_out(), is_fresh, packet.now) || !is_steady_out(packet, entry) {
        return FastOut::SlowPath;
    }
    // An entry that is steady is answered, or the host's own.
    let stamped = flow.with_last_out(packet.now);
    let stamped = if is_fresh { stamped.with_times_of(flow) } else { stamped };
    if flow.origin() == Some(Origin::Host) {
        let is_same = is_fresh && flow.is_answered();
        return FastOut::Own(if is_same { *flow } else { stamped });
    }
    let becomes = match packet.kind {
        Kind::Tcp => with_progress(stamped, packet),
        _ if is_fresh => *flow,
        _ => stamped,
    };
    FastOut::Reply { uplink: entry.uplink(), router: flow.router(), becomes }
}

/// As [`is_steady_in`].
#[inline(always)]
fn is_steady_out(packet: &OutboundPacket, entry: &Entry<'_>) -> bool {
    let is_tcp = match packet.kind {
        Kind::Tcp => true,
        Kind::Datagram | Kind::EchoReply => false,
        _ => return false,
    };
    let flow = entry.flow;
    match flow.origin() {
        None => false,
        // The host's next packet confirms its flow.
        Some(Origin::Host) => entry.confirmed,
        Some(Origin::Inbound) if is_tcp => {
            entry.confirmed
                && packet.tcp.acknowledges()
                && !packet.tcp.fin()
                && continues(flow, &packet.tcp)
                && has_numbers_of(flow, &packet.tcp)
                && flow.is_open_and_answered()
        }
        Some(Origin::Inbound) => flow.is_answered(),
    }
}
