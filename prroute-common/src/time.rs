//! Time as the datapath keeps it.
//!
//! A tick is 2^27 ns (134 ms) of the kernel's coarse monotonic clock
//! (`bpf_ktime_get_coarse_ns`, Linux 5.11): fine enough for idle limits of seconds. A stamp has
//! 24 bits, so that a flow's two stamps share a word with its uplink; it wraps after 26 days,
//! long after every limit, and differences are taken modulo that.

/// A point in time in ticks, or a number of ticks; below 2^24.
pub type Ticks = u32;

/// A stamp's bits.
pub const MASK: Ticks = 0x00ff_ffff;

const SHIFT: u32 = 27;

/// Length of a tick in nanoseconds.
pub const TICK_NS: u64 = 1 << SHIFT;

/// The tick in which a coarse clock reading lies; never 0, which stands for "never".
#[inline(always)]
pub const fn from_ns(ns: u64) -> Ticks {
    let ticks = (ns >> SHIFT) as u32 & MASK;
    if ticks == 0 { 1 } else { ticks }
}

/// A duration in ticks, rounded down.
pub const fn seconds(seconds: u64) -> Ticks {
    ((seconds * 1_000_000_000) >> SHIFT) as u32
}

/// Ticks from `then` to `now`; 0 when `then` lies ahead, as a stamp by another CPU may.
#[inline(always)]
pub const fn since(now: Ticks, then: Ticks) -> Ticks {
    let passed = now.wrapping_sub(then) & MASK;
    if passed > MASK / 2 { 0 } else { passed }
}
