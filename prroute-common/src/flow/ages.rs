//! After which time a flow counts for less, or for nothing.

use super::{Flow, Origin};
use crate::time::{Ticks, seconds};

/// A stamp is written at most this often: a store dirties the cache line of every CPU.
pub const SEEN_REFRESH: Ticks = 2;

/// A TCP flow without packets from its uplink for this long may be bound to another one.
pub const TCP_REBIND_IDLE: Ticks = seconds(3);

/// Likewise for every other protocol.
pub const OTHER_REBIND_IDLE: Ticks = seconds(30);

/// A datagram flow without packets from its router for this long may get another one on the link.
pub const ROUTER_IDLE: Ticks = seconds(3);

/// A confirmed entry without packets for this long is as good as none (TCP). The kernel's first
/// keepalive comes after 7,200 s and the last of nine 675 s later (tcp(7)), on a host or on its
/// client; RFC 5382 asks for at least 2 h 4 min.
pub const TCP_IDLE: Ticks = seconds(2 * 3600 + 30 * 60);

/// Likewise of a TCP connection that came in and has closed. What still leaves of it are a FIN that is sent
/// again, after 120 s at most (`TCP_RTO_MAX`, RFC 6298), and the acknowledgements of the other end's, which
/// does the same, for as long as its socket is there (60 s on Linux, 240 s in RFC 9293): no pause is longer
/// than that, but for the way.
pub const CLOSED_IDLE: Ticks = seconds(130);

/// Likewise for every other protocol, and for what the host opened.
pub const OTHER_IDLE: Ticks = seconds(180);

/// So young a datagram flow of the host's own that nobody answers may yet turn out to be its peer's.
pub const HOST_FIRST: Ticks = OTHER_IDLE;

/// A datagram that comes in so soon after one of the host's answers it, wherever it comes in.
pub const ANSWER_TIME: Ticks = seconds(1);

/// An unconfirmed inbound entry without packets for this long is as good as none.
pub const UNCONFIRMED_IDLE: Ticks = seconds(10);

/// TCP (IANA), which has idle limits of its own.
const TCP: u32 = 6;

/// Whether an entry is too old to count, or was written by no program.
#[inline(always)]
pub fn is_over(flow: &Flow, confirmed: bool, protocol: u8, now: Ticks) -> bool {
    prroute_is_over(flow.times, flow.origin, confirmed.into(), protocol.into(), now) != 0
}

/// A global function of numbers alone: the verifier walks it once for all calls, of which it follows none
/// (Linux 5.6).
#[inline(never)]
#[cfg_attr(target_arch = "bpf", unsafe(no_mangle))]
extern "C" fn prroute_is_over(
    times: u64,
    origin: u64,
    confirmed: u32,
    protocol: u32,
    now: Ticks,
) -> u32 {
    let flow = Flow { times, origin, ..Flow::default() };
    let (confirmed, is_tcp) = (confirmed != 0, protocol == TCP);
    let limit = match flow.origin() {
        None => return 1,
        Some(Origin::Inbound) if !confirmed => UNCONFIRMED_IDLE,
        Some(Origin::Inbound) if is_tcp && flow.is_closed() => CLOSED_IDLE,
        Some(Origin::Inbound) if is_tcp => TCP_IDLE,
        Some(Origin::Host) if confirmed && is_tcp => TCP_IDLE,
        _ => OTHER_IDLE,
    };
    (flow.idle(now) > limit).into()
}
