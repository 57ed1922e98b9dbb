//! SYNs to an address of the uplink that they come in on, in one word each: most are never asked
//! about again, so that a record of its own would cost more than it is worth.
//!
//! ```text
//!        63                        24 23            0
//!        +---------------------------+---------------+
//!        | mark of the flow's key    | time          |
//!        +---------------------------+---------------+
//! ```
//!
//! The word's place is a part of the key's hash too, and whoever comes later takes it.

use prroute_common::flow::UNCONFIRMED_IDLE;
use prroute_common::opening::SLOTS;
use prroute_common::time::{MASK, Ticks, since};

/// Of a flow's key: where its word is, and its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    pub slot: u32,
    mark: u64,
}

/// An odd number without structure: the fraction of the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Opening {
    /// `secret` keeps others from finding keys that share a place.
    #[inline(always)]
    pub fn of<const N: usize>(key: &[u64; N], secret: u64) -> Self {
        let mut hash = secret;
        for word in key {
            hash = (hash ^ word).wrapping_mul(SPREAD);
            hash ^= hash >> 32;
        }
        Self { slot: (hash >> 40) as u32 & (SLOTS - 1), mark: hash << MASK.count_ones() }
    }

    /// The word of a SYN that comes in now.
    #[inline(always)]
    pub const fn at(self, now: Ticks) -> u64 {
        self.mark | now as u64
    }

    /// When a SYN of this flow came in, if `word` speaks of it and it counts still.
    #[inline(always)]
    pub fn time(self, word: u64, now: Ticks) -> Option<Ticks> {
        let is_ours = word & !u64::from(MASK) == self.mark && word != 0;
        let time = word as Ticks & MASK;
        (is_ours && since(now, time) <= UNCONFIRMED_IDLE).then_some(time)
    }
}
