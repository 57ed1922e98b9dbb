//! What the host's own segments show of an unconfirmed flow: that its remote end takes part.

use prroute_common::flow::Flow;

use super::{FlowEntry, Locality, OutboundPacket};
use crate::wire::parse::{Kind, Numbers};

/// Whether a segment has what only a socket of its connection sends. An acknowledgement alone Linux sends
/// also while it has no more than a SYN, to another SYN of the same ports.
#[inline(always)]
fn has_data(packet: &OutboundPacket) -> bool {
    packet.payload | u32::from(packet.tcp.fin()) != 0
}

/// Whether an acknowledgement takes data that came with the SYN: the client has a cookie that it got at this
/// address (TCP Fast Open, RFC 7413).
#[inline(always)]
pub(super) fn takes_data(flow: &Flow, acknowledgement: u32) -> bool {
    let Some(behind_syn) = flow.received() else { return false };
    acknowledgement.wrapping_sub(behind_syn).wrapping_sub(1) < u32::from(flow.syn_data())
}

/// Whether a SYN-ACK, or a reset without a number, answers the SYN that was recorded, as far as that is known.
/// What was adopted had none: only a SYN-ACK that was acknowledged already, and is sent again, is of it.
#[inline(always)]
pub(super) fn answers_syn(flow: &Flow, packet: &OutboundPacket) -> bool {
    let Numbers { sequence, acknowledgement, .. } = packet.tcp;
    match flow.received() {
        Some(behind_syn) => acknowledgement.wrapping_sub(behind_syn) <= u32::from(flow.syn_data()),
        None => flow.heard().is_none_or(|heard| {
            packet.kind == Kind::TcpAnswer && heard == sequence.wrapping_add(1)
        }),
    }
}

/// Whether the flow is bound to the uplink that owns its local address: its packets in were not
/// looked at.
#[inline(always)]
pub(super) fn is_owner(packet: &OutboundPacket, entry: &FlowEntry) -> bool {
    match packet.source {
        Locality::OwnedHere => entry.uplink() == packet.here,
        Locality::OwnedBy(owner) => owner == entry.flow.uplink(),
        Locality::Shared | Locality::NotLocal => false,
    }
}

/// Whether the host's segment shows that the remote end of an unconfirmed flow takes part.
#[inline(always)]
pub(super) fn shows_remote(packet: &OutboundPacket, entry: &FlowEntry) -> bool {
    let (flow, Numbers { sequence, acknowledgement, .. }) = (&entry.flow, packet.tcp);
    // Who acknowledged exactly what the host sends next, or again, sees its packets.
    if flow.heard() == Some(sequence) {
        return true;
    }
    // Its first data, before the SYN-ACK is acknowledged, has a connection whose SYN's data it took.
    let is_early = || flow.sent() == Some(sequence) && takes_data(flow, acknowledgement);
    has_data(packet) && (is_owner(packet, entry) || is_early())
}
