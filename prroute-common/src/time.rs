//! Time as the datapath keeps it.
//!
//! A tick is 2^24 ns (16.8 ms) of the kernel's coarse monotonic clock
//! (`bpf_ktime_get_coarse_ns`, Linux 5.11): fine enough for idle limits of seconds, and a word
//! holds two of them. The counter wraps after 2.3 years; differences are taken modulo that.

/// Ticks since boot, or a number of ticks.
pub type Ticks = u32;

/// The tick in which a coarse clock reading lies; never 0, which stands for "never".
#[inline(always)]
pub const fn from_ns(ns: u64) -> Ticks {
    let ticks = (ns >> 24) as u32;
    if ticks == 0 { 1 } else { ticks }
}

/// A duration in ticks, rounded down.
pub const fn seconds(seconds: u64) -> Ticks {
    ((seconds * 1_000_000_000) >> 24) as u32
}

/// Ticks from `then` to `now`; 0 when `then` lies ahead, as a stamp by another CPU may.
#[inline(always)]
pub const fn since(now: Ticks, then: Ticks) -> Ticks {
    let passed = now.wrapping_sub(then);
    if passed > u32::MAX / 2 { 0 } else { passed }
}
