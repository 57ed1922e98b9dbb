//! Who sends a TCP segment that can only come from a party to its connection?
//!
//! A segment proves itself by both of its numbers. How many pairs of them count is how many guesses
//! in 2^64 are right; ADR 5 has the sum.

use prroute_common::flow::Flow;

use super::is_between;
use crate::wire::parse::Numbers;

/// Where nothing was acknowledged yet that was looked at, so many bytes may be in flight.
const UNHEARD: u32 = 1 << 20;

/// A segment may begin so far before or behind the host's last acknowledgement: that may be lost, and
/// the host acknowledges late.
const NEAR: u32 = 1 << 20;

/// Whether the segment's numbers are those that the connection's remote end may send next.
///
/// * What begins at the next byte, or at the one before (keepalives and probes of a closed window),
///   may acknowledge anything that is in flight.
/// * What begins near it (data that is sent again because its acknowledgement was lost, or
///   is ahead of it) must acknowledge exactly what was acknowledged before, or all that was sent.
///
/// All that was sent may have a FIN behind it.
#[inline(always)]
pub(super) fn proves(flow: &Flow, numbers: &Numbers) -> bool {
    let (Some(sent), Some(received)) = (flow.sent(), flow.received()) else { return false };
    let acknowledged = numbers.acknowledgement;
    let end = sent.wrapping_add(1);
    let first = match flow.heard() {
        Some(heard) => heard,
        None => sent.wrapping_sub(UNHEARD),
    };
    let offset = numbers.sequence.wrapping_sub(received);
    if offset == 0 || offset == u32::MAX {
        return is_between(acknowledged, first, end);
    }
    let is_near = offset.wrapping_add(NEAR) < 2 * NEAR;
    let is_exact =
        acknowledged == sent || acknowledged == end || flow.heard() == Some(acknowledged);
    is_near && is_exact
}
