//! The decision log: off unless the loader sets `AYA_LOG_LEVEL`, and then folded away by the
//! verifier, so that it costs nothing.

use aya_log_ebpf::info;
use aya_log_ebpf::macro_support::{Level, level_enabled};
use core::net::{Ipv4Addr, Ipv6Addr};
use prroute_common::address::{octets4, octets6};
use prroute_ebpf::family::{Ipv4, Ipv6};
use prroute_ebpf::verdict::{Inbound, Outbound};

use super::scratch::{Scratched, Way};
use super::skb::Skb;

/// A family whose addresses can be logged.
pub(super) trait Logged: Scratched {
    /// `way` is a [`Way`].
    fn write(skb: &Skb, way: u32);
}

/// Whether decisions are logged; a constant to the verifier.
#[inline(always)]
pub(super) fn is_on() -> bool {
    level_enabled(Level::Info)
}

/// Nothing was decided for the packet in the scratch memory.
pub(super) const UNDECIDED: u32 = u32::MAX;

/// Notes in the scratch memory what was decided for a packet whose flow was looked up: the
/// verdict's number, or [`UNDECIDED`].
#[inline(always)]
pub(super) fn note(decided: &mut u32, number: u32) {
    if is_on() {
        *decided = number;
    }
}

/// Logs what was decided for the packet in the scratch memory of `way`, if anything was.
///
/// It is done when the functions that decide have returned: the verifier of Linux 6.1 goes through
/// all of this again for each state in which it is called.
#[inline(always)]
pub(super) fn decision<F: Logged>(skb: &Skb, way: Way) {
    if is_on() {
        F::write(skb, way as u32);
    }
}

macro_rules! logged {
    ($family:ty, $address:expr) => {
        impl Logged for $family {
            #[inline(never)]
            fn write(skb: &Skb, way: u32) {
                let Some(scratch) = Self::scratch(way) else { return };
                let (direction, verdict) = if way == Way::In as u32 {
                    ("in", Inbound::name(scratch.decided))
                } else {
                    ("out", Outbound::name(scratch.decided))
                };
                let Some(verdict) = verdict else { return };
                let segment = &scratch.segment;
                info!(
                    skb.context(),
                    "{} interface {}: protocol {} {:i} port {} to {:i} port {}: {}",
                    direction,
                    skb.ifindex(),
                    segment.protocol,
                    ($address)(segment.source),
                    u16::from_be_bytes(segment.source_port),
                    ($address)(segment.destination),
                    u16::from_be_bytes(segment.destination_port),
                    verdict,
                );
            }
        }
    };
}

logged!(Ipv4, |address: u32| Ipv4Addr::from(octets4(address)));
logged!(Ipv6, |address| Ipv6Addr::from(octets6(address)));
