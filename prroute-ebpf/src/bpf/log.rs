//! The decision log: off unless the loader sets `AYA_LOG_LEVEL`, and then folded away by the
//! verifier, so that it costs nothing.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_log_ebpf::info;
use aya_log_ebpf::macro_support::{Level, level_enabled};
use core::net::{Ipv4Addr, Ipv6Addr};
use prroute_common::address::{octets4, octets6};
use prroute_ebpf::family::{Ipv4, Ipv6};
use prroute_ebpf::verdict;

use super::scratch::{Scratched, Way};
use super::skb::Skb;

/// What was decided about the packet at hand, per [`Way`]: one more than the verdict's number, 0
/// when nothing was. Kept here until the program is about to end: where the decision is made the
/// verifier is in too many states to follow the log from each of them.
#[map]
static DECISIONS: PerCpuArray<u32> = PerCpuArray::with_max_entries(2, 0);

/// A family whose addresses can be logged.
pub(super) trait Logged: Scratched {
    fn write(skb: &Skb, way: u32, number: u32);
}

/// Whether decisions are logged; a constant to the verifier.
#[inline(always)]
pub(super) fn is_on() -> bool {
    level_enabled(Level::Info)
}

/// Notes the number of the verdict about a packet whose flow was looked up.
#[inline(always)]
pub(super) fn decided(way: Way, number: u32) {
    if is_on() {
        note(way, number + 1);
    }
}

#[inline(always)]
fn note(way: Way, decision: u32) {
    if let Some(noted) = DECISIONS.get_ptr_mut(way as u32) {
        // SAFETY: the pointer is to this CPU's own element, as in `scratch`.
        unsafe { *noted = decision };
    }
}

/// Logs what was decided, if anything was.
#[inline(always)]
pub(super) fn tell<F: Logged>(skb: &Skb, way: Way) {
    if !is_on() {
        return;
    }
    let Some(noted) = DECISIONS.get(way as u32) else { return };
    if *noted != 0 {
        let number = *noted - 1;
        note(way, 0);
        F::write(skb, way as u32, number);
    }
}

/// All names are of one length, so that the verifier need not tell them apart.
#[inline(always)]
fn name(number: u32) -> &'static str {
    let name = &verdict::NAMES[number as usize % verdict::NAMES.len()];
    // SAFETY: the names are ASCII.
    unsafe { core::str::from_utf8_unchecked(name) }
}

macro_rules! logged {
    ($family:ty, $address:expr) => {
        impl Logged for $family {
            #[inline(never)]
            fn write(skb: &Skb, way: u32, number: u32) {
                let Some(scratch) = Self::scratch(way) else { return };
                let segment = &scratch.segment;
                info!(
                    skb.context(),
                    "{} interface {}: protocol {} {:i} port {} to {:i} port {}: {}",
                    if way == Way::In as u32 { "in" } else { "out" },
                    skb.ifindex(),
                    segment.protocol,
                    ($address)(segment.source),
                    u16::from_be_bytes(segment.source_port),
                    ($address)(segment.destination),
                    u16::from_be_bytes(segment.destination_port),
                    name(number),
                );
            }
        }
    };
}

logged!(Ipv4, |address: u32| Ipv4Addr::from(octets4(address)));
logged!(Ipv6, |address| Ipv6Addr::from(octets6(address)));
