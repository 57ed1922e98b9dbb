//! Two entries of one key: a connection on the ports of an older one.
//!
//! While a confirmed flow may still be alive, whoever sends a SYN with its ports elsewhere is recorded
//! beside it, unconfirmed. What belongs to the newer connection is told by its numbers, and when
//! that is confirmed it replaces the older one. Of datagrams an unconfirmed entry lies beside a confirmed one
//! that has aged.

use prroute_common::flow::{Flow, Origin, TCP_REBIND_IDLE};
use prroute_common::time::Ticks;

use super::confirm::{answers_syn, is_owner, takes_data};
use super::inbound::is_elsewhere;
use super::{FlowEntry, InboundPacket, OutboundPacket};
use crate::wire::parse::{Kind, Numbers};

/// Whether a TCP segment that came in may belong to a newer connection than the confirmed flow.
#[inline(always)]
pub fn may_be_superseded_in(confirmed: &FlowEntry, packet: &InboundPacket) -> bool {
    let says_so =
        packet.kind == Kind::TcpOpening || (packet.kind == Kind::Tcp && packet.tcp.acknowledges());
    says_so
        && match confirmed.origin {
            Origin::Host => is_finished(confirmed, packet.now),
            Origin::Inbound => is_elsewhere(packet, confirmed),
        }
}

/// Whether it does belong to the newer, unconfirmed one: it acknowledges the SYN-ACK that left, or is
/// another SYN.
#[inline(always)]
pub fn is_preferred_in(newer: &FlowEntry, packet: &InboundPacket) -> bool {
    packet.kind == Kind::TcpOpening
        || (newer.origin == Origin::Inbound
            && !is_elsewhere(packet, newer)
            && newer.flow.sent() == Some(packet.tcp.acknowledgement))
}

/// Likewise for a segment that is about to leave. What came in on the owner of its address was not looked at, and
/// the host may have taken data with a SYN.
#[inline(always)]
pub fn may_be_superseded_out(confirmed: &FlowEntry, packet: &OutboundPacket) -> bool {
    packet.kind == Kind::Tcp
        && !is_owner(packet, confirmed)
        && !continues(&confirmed.flow, &packet.tcp)
        && confirmed.origin == Origin::Inbound
}

/// Whether a segment begins exactly where the flow's last one ended: it is of this connection.
#[inline(always)]
pub(super) fn continues(flow: &Flow, tcp: &Numbers) -> bool {
    flow.sent() == Some(tcp.sequence)
}

/// Whether it begins where the SYN-ACK of the newer one ended.
#[inline(always)]
pub fn is_preferred_out(newer: &FlowEntry, packet: &OutboundPacket) -> bool {
    newer.origin == Origin::Inbound
        && newer.flow.sent() == Some(packet.tcp.sequence)
        && (is_owner(packet, newer) || takes_data(&newer.flow, packet.tcp.acknowledgement))
}

/// Which of two entries of a datagram flow that are both too old says where the host's next datagram goes:
/// whether the unconfirmed one does, because its peer was heard there last, and the host has answered. At a
/// client's port the peer must have asked twice.
#[inline(always)]
pub fn is_preferred_aged(unconfirmed: &Flow, confirmed: &Flow, at_client_port: bool) -> bool {
    let later = unconfirmed.last_in().wrapping_sub(confirmed.last_in()).cast_signed();
    unconfirmed.is_answered() && !at_client_port && later > 0
}

/// Whether the host's SYN-ACK, or reset without a number, answers the SYN of the unconfirmed entry and
/// not that of a confirmed flow beside it.
#[inline(always)]
pub fn is_answered(newer: &FlowEntry, packet: &OutboundPacket) -> bool {
    answers_syn(&newer.flow, packet)
}

/// Whether a connection of the host's own is over, as far as a SYN with its ports is concerned. An
/// attempt that is not answered yet is not.
#[inline(always)]
pub(super) fn is_finished(entry: &FlowEntry, now: Ticks) -> bool {
    entry.confirmed && entry.flow.idle(now) >= TCP_REBIND_IDLE
}
