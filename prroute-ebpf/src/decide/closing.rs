//! When a TCP connection that came in has closed: both ends have sent a FIN, or one has reset it.
//!
//! The host's own segments are taken at their word. What comes in may be forged: a FIN must prove itself by
//! both of its numbers, as whoever would move the connection, and a reset at least by the one that the host
//! goes by. A connection whose host sends more data is not closed, whatever was noted.

use prroute_common::flow::Flow;

use super::inbound::is_news;
use super::proof::proves;
use super::{InboundPacket, OutboundPacket};
use crate::wire::parse::Kind;

/// Notes what a segment of the remote end, which came in where its confirmed connection belongs, says: what
/// it acknowledges, as [`super::inbound::with_acknowledged`], and whether the connection ends.
#[inline(always)]
pub(super) fn with_said_by_remote(flow: Flow, packet: &InboundPacket) -> Flow {
    let tcp = &packet.tcp;
    let is_proved = tcp.acknowledges() && proves(&flow, tcp);
    // The host resets the connection for the number that it expects next, with or without an
    // acknowledgement (RFC 9293, 3.10.7.4).
    let is_next = flow.received() == Some(tcp.sequence);
    let flow = match flow.sent() {
        Some(sent) if is_proved && is_news(flow.heard(), tcp.acknowledgement, sent) => {
            flow.with_heard(tcp.acknowledgement)
        }
        _ => flow,
    };
    match packet.kind {
        Kind::Tcp if tcp.fin() && is_proved => flow.with_remote_fin(),
        Kind::TcpReset if is_proved || is_next => flow.with_reset(),
        _ => flow,
    }
}

/// Notes whether a segment of the host ends its connection. The segment's numbers `flow` has already;
/// `before` was known before it.
#[inline(always)]
pub(super) fn with_end_of_host(flow: Flow, before: &Flow, packet: &OutboundPacket) -> Flow {
    let is_new = flow.sent() != before.sent();
    match packet.tcp.fin() {
        true if is_near(before, packet.tcp.sequence) => flow.with_local_fin(),
        false if is_new && packet.payload > 0 && before.has_local_fin() => flow.without_fins(),
        _ => flow,
    }
}

/// Whether a FIN of the host is of this connection: it begins near what was sent last.
#[inline(always)]
fn is_near(flow: &Flow, sequence: u32) -> bool {
    const NEAR: u32 = 1 << 28;
    flow.sent().is_some_and(|sent| sent.wrapping_sub(sequence).wrapping_add(NEAR) < 2 * NEAR)
}

/// Whether a reset of the host ends its confirmed connection at the remote end: that expects this number,
/// with a FIN before it perhaps, or has acknowledged up to it.
#[inline(always)]
pub(super) fn is_end(flow: &Flow, sequence: u32) -> bool {
    let is_next = flow.sent().is_some_and(|sent| sequence.wrapping_sub(sent) <= 1);
    is_next || flow.heard() == Some(sequence)
}
