//! Two entries of one key: a connection on the ports of an older one.
//!
//! While a confirmed flow may still be alive, whoever sends a SYN with its ports elsewhere is recorded
//! beside it, unconfirmed. What belongs to the newer connection is told by its numbers, and when
//! that is confirmed it replaces the older one.

use prroute_common::flow::{Origin, TCP_REBIND_IDLE};
use prroute_common::time::Ticks;

use super::inbound::is_elsewhere;
use super::outbound::{answers_syn, is_owner};
use super::{Arrival, Departure, Known};
use crate::parse::Kind;

/// Whether a TCP segment that came in may belong to a newer connection than the confirmed flow.
#[inline(always)]
pub fn may_be_superseded_in(confirmed: &Known, arrival: &Arrival) -> bool {
    let says_so =
        arrival.kind == Kind::TcpOpening || (arrival.kind == Kind::Tcp && arrival.tcp.acknowledges);
    says_so
        && match confirmed.origin {
            Origin::Host => is_finished(confirmed, arrival.now),
            Origin::Inbound => is_elsewhere(arrival, confirmed),
        }
}

/// Whether it does belong to the newer, unconfirmed one: it acknowledges the SYN-ACK that left, or is
/// another SYN.
#[inline(always)]
pub fn is_preferred_in(newer: &Known, arrival: &Arrival) -> bool {
    arrival.kind == Kind::TcpOpening
        || (newer.origin == Origin::Inbound
            && !is_elsewhere(arrival, newer)
            && newer.flow.sent() == Some(arrival.tcp.acknowledgement))
}

/// Likewise for a segment that is about to leave, from an address whose packets in are not looked at.
#[inline(always)]
pub fn may_be_superseded_out(confirmed: &Known, departure: &Departure) -> bool {
    departure.kind == Kind::Tcp
        && departure.source.is_owned()
        && !is_owner(departure, confirmed)
        && confirmed.origin == Origin::Inbound
}

/// Whether it begins where the SYN-ACK of the newer one ended.
#[inline(always)]
pub fn is_preferred_out(newer: &Known, departure: &Departure) -> bool {
    newer.origin == Origin::Inbound
        && is_owner(departure, newer)
        && newer.flow.sent() == Some(departure.tcp.sequence)
}

/// Whether the host's SYN-ACK, or reset without a number, answers the SYN of the unconfirmed entry and
/// not that of a confirmed flow beside it.
#[inline(always)]
pub fn is_answered(newer: &Known, acknowledgement: u32) -> bool {
    answers_syn(&newer.flow, acknowledgement)
}

/// Whether a connection of the host's own is over, as far as a SYN with its ports is concerned. An
/// attempt that is not answered yet is not.
#[inline(always)]
pub(super) fn is_finished(known: &Known, now: Ticks) -> bool {
    known.confirmed && known.flow.idle(now) >= TCP_REBIND_IDLE
}
