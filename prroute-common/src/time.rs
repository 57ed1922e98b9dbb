//! Time as the datapath keeps it.
//!
//! A tick is 2^27 ns (134 ms) of the kernel's coarse monotonic clock
//! (`bpf_ktime_get_coarse_ns`, Linux 5.11; before that of the fine one): fine enough for idle
//! limits of seconds. A stamp has 32 bits, which are used up after 18 years.

/// A point in time in ticks, or a number of ticks.
pub type Ticks = u32;

const SHIFT: u32 = 27;

/// Length of a tick in nanoseconds.
pub const TICK_NS: u64 = 1 << SHIFT;

/// How far ahead of a reading of the clock a stamp may lie that another CPU has just written: a
/// little more than a second. One that lies further ahead is old.
pub const AHEAD: Ticks = seconds(1) + 1;

/// The tick in which a coarse clock reading lies; never 0, which stands for "never".
#[inline(always)]
pub const fn from_ns(ns: u64) -> Ticks {
    let ticks = (ns >> SHIFT) as u32;
    if ticks == 0 { 1 } else { ticks }
}

/// A duration in ticks, rounded down.
pub const fn seconds(seconds: u64) -> Ticks {
    ((seconds * 1_000_000_000) >> SHIFT) as u32
}

/// Ticks from `then` to `now`; 0 when `then` lies at most [`AHEAD`] in the future.
#[inline(always)]
pub const fn since(now: Ticks, then: Ticks) -> Ticks {
    let passed = now.wrapping_sub(then);
    if then.wrapping_sub(now) <= AHEAD { 0 } else { passed }
}

/// Whether `then` lies less than `limit` ago, or at most [`AHEAD`] in the future: `since(now, then) < limit`
/// by one comparison, for limits from 1 to `u32::MAX` - [`AHEAD`].
#[inline(always)]
pub const fn is_within(now: Ticks, then: Ticks, limit: Ticks) -> bool {
    now.wrapping_sub(then).wrapping_add(AHEAD) < limit + AHEAD
}
