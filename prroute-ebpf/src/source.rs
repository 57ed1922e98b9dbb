//! From which address a wildcard UDP server answers.
//!
//! A peer's first question decides. A question to another of the host's addresses takes over at
//! once while nothing is confirmed, as when a client tries one address after the other from one
//! port. Once confirmed (question, answer, question), it takes over only after the first address
//! was idle for [`OTHER_REBIND_IDLE`]; until then it gets exactly one answer. So whoever asks
//! another address with somebody else's source gets no more than the answer to its question.
//!
//! A peer to whom the host has sent without being asked is the host's: its questions change nothing.
//! Where the host serves, it may become the peer's for [`HOST_FIRST`]: a telephone that is called before
//! it has asked again.

use prroute_common::flow::{HOST_FIRST, OTHER_IDLE, OTHER_REBIND_IDLE, SEEN_REFRESH};
use prroute_common::time::{Ticks, since};
use prroute_common::udp_origin::{CONFIRMED, DUE, HostPeer, UdpOrigin};

use crate::family::Family;

/// What is noted of a peer's first question.
#[inline(always)]
pub fn first<A: Copy>(address: A, now: Ticks) -> UdpOrigin<A> {
    UdpOrigin { address, elsewhere: address, last_answer: 0, last_question: now, flags: 0 }
}

/// Notes a further question to `address`, in place.
#[inline(always)]
pub fn question<F: Family>(asked: &mut UdpOrigin<F::Address>, address: F::Address, now: Ticks) {
    let is_same = asked.address == address;
    // A confirmed conversation goes on after a pause: its peer has shown that it hears.
    if is_same && (asked.flags & CONFIRMED != 0 || !is_over(asked, now)) {
        if asked.last_answer != 0 && asked.flags & CONFIRMED == 0 {
            asked.flags |= CONFIRMED;
        }
        if since(now, asked.last_question) >= SEEN_REFRESH {
            asked.last_question = now;
        }
        return;
    }
    let is_idle = since(now, asked.last_question) >= OTHER_REBIND_IDLE;
    if asked.flags & CONFIRMED == 0 || is_idle {
        asked.address = address;
        asked.last_question = now;
        asked.last_answer = 0;
        asked.flags = 0;
    } else {
        asked.elsewhere = address;
        asked.flags |= DUE;
    }
}

/// The source of an answer, which is noted in place; `None` when the question is too long ago. An
/// answered one is not where the host serves, which may speak first after a pause; at a client's port
/// the peer must have asked twice.
#[inline(always)]
pub fn answer<A: Copy>(asked: &mut UdpOrigin<A>, from_client_port: bool, now: Ticks) -> Option<A> {
    let speaks_first =
        if from_client_port { asked.flags & CONFIRMED != 0 } else { asked.last_answer != 0 };
    if is_over(asked, now) && !speaks_first {
        return None;
    }
    if asked.flags & DUE != 0 {
        asked.flags &= !DUE;
        return Some(asked.elsewhere);
    }
    if asked.last_answer == 0 || since(now, asked.last_answer) >= SEEN_REFRESH {
        asked.last_answer = now;
    }
    Some(asked.address)
}

/// Whether the last question is so long ago that the conversation counts as over. Answers prolong
/// nothing: a forged question would last for as long as the host sends.
#[inline(always)]
pub fn is_over<A>(asked: &UdpOrigin<A>, now: Ticks) -> bool {
    since(now, asked.last_question) > OTHER_IDLE
}

/// Whether questions of a peer to whom the host has sent change nothing: from a client's port for good,
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
