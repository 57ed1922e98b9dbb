//! From which address a wildcard UDP server answers.
//!
//! A peer's first request decides. A request to another of the host's addresses takes over at
//! once while nothing is confirmed, as when a client tries one address after the other from one
//! port. Once confirmed (request, answer, request), it takes over only after the first address
//! was idle for [`OTHER_REBIND_IDLE`]; until then it gets one answer, in [`ANSWER_TIME`], and if the first
//! address is not asked before. So whoever asks another address with somebody else's source gets no more
//! than the answer to its request, and where the server has none, what it sends in that time.
//!
//! A peer to whom the host has sent without being asked is the host's: its requests change nothing.
//! Where the host serves, it may become the peer's for [`HOST_FIRST`]: a telephone that is called before
//! it has asked again.

use prroute_common::flow::{ANSWER_TIME, HOST_FIRST, OTHER_IDLE, OTHER_REBIND_IDLE, SEEN_REFRESH};
use prroute_common::time::{Ticks, is_within, since};
use prroute_common::udp_origin::{CONFIRMED, HostPeer, UdpOrigin};

use crate::wire::Wire;

/// What is noted of a peer's first request.
#[inline(always)]
pub fn first_request<A: Copy>(address: A, now: Ticks) -> UdpOrigin<A> {
    UdpOrigin { address, elsewhere: address, last_reply: 0, last_request: now, flags: 0 }
}

/// Notes a further request to `address`, in place.
#[inline(always)]
pub fn record_request<F: Wire>(
    origin: &mut UdpOrigin<F::Address>,
    address: F::Address,
    now: Ticks,
) {
    let is_same = origin.address == address;
    // A confirmed conversation goes on after a pause: its peer has shown that it hears.
    if is_same && (origin.flags & CONFIRMED != 0 || !is_over(origin, now)) {
        if origin.last_reply != 0 && origin.flags & CONFIRMED == 0 {
            origin.flags |= CONFIRMED;
        }
        // What the server sends next answers this.
        if origin.due_since().is_some() {
            origin.clear_due();
        }
        if !is_within(now, origin.last_request, SEEN_REFRESH) {
            origin.last_request = now;
        }
        return;
    }
    let is_idle = !is_within(now, origin.last_request, OTHER_REBIND_IDLE);
    if origin.flags & CONFIRMED == 0 || is_idle {
        origin.address = address;
        origin.last_request = now;
        origin.last_reply = 0;
        origin.flags = 0;
    } else {
        origin.elsewhere = address;
        origin.set_due(now);
    }
}

/// The source of an answer, which is noted in place; `None` when the request is too long ago. An
/// answered one is not where the host serves, which may speak first after a pause; at a client's port
/// the peer must have asked twice.
#[inline(always)]
pub fn source_for_reply<A: Copy>(
    origin: &mut UdpOrigin<A>,
    from_client_port: bool,
    now: Ticks,
) -> Option<A> {
    let speaks_first =
        if from_client_port { origin.flags & CONFIRMED != 0 } else { origin.last_reply != 0 };
    if is_over(origin, now) && !speaks_first {
        return None;
    }
    if let Some(then) = origin.due_since() {
        origin.clear_due();
        if is_within(now, then, ANSWER_TIME) {
            return Some(origin.elsewhere);
        }
    }
    if origin.last_reply == 0 || !is_within(now, origin.last_reply, SEEN_REFRESH) {
        origin.last_reply = now;
    }
    Some(origin.address)
}

/// Whether another request to `address` changes nothing: the usual one of a conversation.
#[inline(always)]
pub fn is_settled<A: PartialEq>(origin: &UdpOrigin<A>, address: &A, now: Ticks) -> bool {
    origin.address == *address
        && origin.flags & CONFIRMED != 0
        && origin.due_since().is_none()
        && is_within(now, origin.last_request, SEEN_REFRESH)
}

/// Whether the last request is so long ago that the conversation counts as over. Answers prolong
/// nothing: a forged request would last for as long as the host sends.
#[inline(always)]
pub fn is_over<A>(origin: &UdpOrigin<A>, now: Ticks) -> bool {
    since(now, origin.last_request) > OTHER_IDLE
}

/// Whether requests of a peer to whom the host has sent change nothing: from a client's port for good,
/// else while the host goes on, and when it has done so for long.
#[inline(always)]
pub fn is_hosts(peer: &HostPeer, from_client_port: bool, now: Ticks) -> bool {
    from_client_port
        || (since(now, peer.last_sent) <= OTHER_IDLE && since(now, peer.opened_at) > HOST_FIRST)
}

/// Notes that the host has sent to a peer once more.
#[inline(always)]
pub fn sent_unasked(peer: &mut HostPeer, now: Ticks) {
    let silence = since(now, peer.last_sent);
    if silence > OTHER_IDLE {
        peer.opened_at = now;
    }
    if silence >= SEEN_REFRESH {
        peer.last_sent = now;
    }
}
