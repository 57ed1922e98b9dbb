//! From which address a wildcard UDP server answers.
//!
//! A peer's first question decides. A question to another of the host's addresses takes over at
//! once while nothing is confirmed, as when a client tries one address after the other from one
//! port. Once confirmed (question, answer, question), it takes over only after the first address
//! was idle for [`OTHER_REBIND_IDLE`]; until then it gets exactly one answer. So whoever asks
//! another address with somebody else's source gets no more than the answer to its question.

use prroute_common::flow::{OTHER_IDLE, OTHER_REBIND_IDLE, SEEN_REFRESH};
use prroute_common::source::{Asked, CONFIRMED, DUE};
use prroute_common::time::{Ticks, since};

use crate::family::Family;

/// What is noted of a peer's first question.
#[inline(always)]
pub fn first<A: Copy>(address: A, now: Ticks) -> Asked<A> {
    Asked { address, elsewhere: address, last_answer: 0, last_question: now, flags: 0 }
}

/// Notes a further question to `address`, in place.
#[inline(always)]
pub fn question<F: Family>(asked: &mut Asked<F::Address>, address: F::Address, now: Ticks) {
    let is_same = asked.address == address;
    if is_same && !is_over(asked, now) {
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

/// The source of an answer, which is noted in place; `None` when the question is too long ago.
#[inline(always)]
pub fn answer<A: Copy>(asked: &mut Asked<A>, now: Ticks) -> Option<A> {
    if is_over(asked, now) {
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

/// Whether neither side was heard for so long that the conversation counts as over.
#[inline(always)]
pub fn is_over<A>(asked: &Asked<A>, now: Ticks) -> bool {
    let answered = asked.last_answer != 0 && since(now, asked.last_answer) <= OTHER_IDLE;
    !answered && since(now, asked.last_question) > OTHER_IDLE
}
