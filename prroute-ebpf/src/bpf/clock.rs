//! The time, read from the kernel's clock once in a jiffy: reading it is a call and a few lines of
//! memory, while the jiffies are one word that the kernel itself keeps warm.

use core::cell::UnsafeCell;

use aya_ebpf::Global;
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_coarse_ns, bpf_ktime_get_ns};
use prroute_common::time::{self, Ticks};

/// 0: the kernel has no coarse clock for programs (before Linux 5.11), and its fine one is read: at most
/// one jiffy ahead, and as seldom. A constant to the verifier, which never sees the other call.
#[unsafe(no_mangle)]
static COARSE_CLOCK: Global<u32> = Global::new(1);

/// What the clock said last, to any CPU, and in the high half the jiffies of that time: one word, so
/// that it is read and written whole.
struct Reading(UnsafeCell<u64>);

// SAFETY: the word is aligned, and each of its values is valid; a later one wins or is made again.
unsafe impl Sync for Reading {}

static READING: Reading = Reading(UnsafeCell::new(0));

const JIFFIES: u32 = 32;

#[inline(always)]
pub(super) fn now() -> Ticks {
    // SAFETY: the helper takes no arguments and reads a counter.
    let jiffies = unsafe { bpf_jiffies64() } << JIFFIES;
    // SAFETY: the pointer is to a static word. Volatile: other CPUs write it.
    let reading = unsafe { READING.0.get().read_volatile() };
    if reading >> JIFFIES == jiffies >> JIFFIES {
        reading as Ticks
    } else {
        read(jiffies, reading >> JIFFIES << JIFFIES)
    }
}

/// The kernel counts a jiffy a moment before it moves the clock. After a pause the clock may be as late as
/// the pause was long: the first reading may be stale, and is not cached for other CPUs.
#[inline(always)]
fn read(jiffies: u64, before: u64) -> Ticks {
    const JIFFY: u64 = 1 << JIFFIES;
    let is_next = jiffies.wrapping_sub(before) <= JIFFY;
    let read_in = if is_next { jiffies } else { jiffies.wrapping_sub(JIFFY) };
    let is_coarse = COARSE_CLOCK.load() != 0;
    // SAFETY: the helpers take no arguments and read a clock.
    let ns = unsafe { if is_coarse { bpf_ktime_get_coarse_ns() } else { bpf_ktime_get_ns() } };
    let now = time::from_ns(ns);
    // SAFETY: as above.
    unsafe { READING.0.get().write_volatile(read_in | u64::from(now)) };
    now
}
