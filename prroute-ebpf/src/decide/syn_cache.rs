//! The SYN cache: SYNs to an address of the uplink that they come in on, in one word each. Most are never
//! asked about again, so that a flow entry would cost more than it is worth.
//!
//! ```text
//!  63              40 39           36 35     28 27            0
//! +------------------+---------------+---------+---------------+
//! | mark of the key  | generation    | uplink  | time in ticks |
//! +------------------+---------------+---------+---------------+
//! ```
//!
//! The cache is direct-mapped: the slot is a part of the key's hash, and a later SYN overwrites the slot.
//! The time wraps after 416 days.

use prroute_common::flow::UNCONFIRMED_IDLE;
use prroute_common::syn_cache::{KEYS, SLOTS};
use prroute_common::time::{AHEAD, Ticks};

use crate::decide::UplinkRef;

/// Where the word of a flow is, and the mark that tells it from others of the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynSlot {
    pub index: u32,
    mark: u64,
}

/// An odd number without structure: the fraction of the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const MARK: u64 = !0 << 40;
const UPLINK: u32 = 28;
const GENERATION: u32 = 36;
const GENERATIONS: u16 = 0xf;
const TIME: Ticks = (1 << UPLINK) - 1;

impl SynSlot {
    /// `secret` gives each word a number of its own: each pair is multiplied by what nobody knows
    /// (NH, RFC 4418), so that who chooses keys cannot tell which of them share a slot.
    #[inline(always)]
    pub fn of<const N: usize>(key: [u32; N], secret: impl Fn(usize) -> u32) -> Self {
        const { assert!(N.is_multiple_of(2) && N <= KEYS) };
        let mut hash = 0u64;
        for pair in 0..N / 2 {
            let at = 2 * pair;
            let (one, other) =
                (key[at].wrapping_add(secret(at)), key[at + 1].wrapping_add(secret(at + 1)));
            hash = hash.wrapping_add(u64::from(one) * u64::from(other));
        }
        let hash = mixed(mixed(hash));
        Self { index: (hash >> 48) as u32 & (SLOTS - 1), mark: hash << MARK.trailing_zeros() }
    }

    /// The word of a SYN that comes in now.
    #[inline(always)]
    pub const fn word(self, uplink: UplinkRef, now: Ticks) -> u64 {
        let generation = ((uplink.generation & GENERATIONS) as u64) << GENERATION;
        self.mark | generation | (uplink.id as u64) << UPLINK | (now & TIME) as u64
    }

    /// When a SYN of this flow came in and on which uplink, if `word` speaks of it and it counts still.
    #[inline(always)]
    pub fn cached(self, word: u64, now: Ticks) -> Option<CachedSyn> {
        let passed = now.wrapping_sub(word as Ticks) & TIME;
        let ahead = passed.wrapping_neg() & TIME;
        let time = if ahead <= AHEAD {
            now.wrapping_add(ahead)
        } else if passed <= UNCONFIRMED_IDLE {
            now.wrapping_sub(passed)
        } else {
            return None;
        };
        (word != 0 && word & MARK == self.mark).then_some(CachedSyn { word, time })
    }
}

/// Has each bit depend on many, as neither a product's low bits nor those of a progression do.
#[inline(always)]
const fn mixed(hash: u64) -> u64 {
    (hash ^ hash >> 32).wrapping_mul(SPREAD)
}

/// A SYN that is in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedSyn {
    word: u64,
    pub time: Ticks,
}

impl CachedSyn {
    #[inline(always)]
    pub const fn uplink(&self) -> u16 {
        (self.word >> UPLINK) as u16 & 0xff
    }

    /// Whether the uplink that has the id is the one that had it then.
    #[inline(always)]
    pub const fn is_of(&self, generation: u16) -> bool {
        (self.word >> GENERATION) as u16 & GENERATIONS == generation & GENERATIONS
    }
}
