//! The decision log: off unless the loader sets `AYA_LOG_LEVEL`, and then folded away by the
//! verifier, so that it costs nothing.

use aya_log_ebpf::info;
use aya_log_ebpf::macro_support::{Level, level_enabled};
use core::net::{Ipv4Addr, Ipv6Addr};
use prroute_common::address::{octets4, octets6};
use prroute_ebpf::family::{Family, Ipv4, Ipv6};
use prroute_ebpf::parse::Segment;

use super::skb::Skb;

/// A family whose addresses can be logged.
pub(super) trait Logged: Family {
    fn write(skb: &Skb, came_in: bool, segment: &Segment<Self::Address>, verdict: &'static str);
}

/// Whether decisions are logged; a constant to the verifier.
#[inline(always)]
pub(super) fn is_on() -> bool {
    level_enabled(Level::Info)
}

/// Logs what was decided for a packet whose flow was looked up.
#[inline(always)]
pub(super) fn decision<F: Logged>(
    skb: &Skb,
    came_in: bool,
    segment: &Segment<F::Address>,
    verdict: &'static str,
) {
    if is_on() {
        F::write(skb, came_in, segment, verdict);
    }
}

macro_rules! logged {
    ($family:ty, $address:expr) => {
        impl Logged for $family {
            #[inline(never)]
            fn write(
                skb: &Skb,
                came_in: bool,
                segment: &Segment<Self::Address>,
                verdict: &'static str,
            ) {
                info!(
                    skb.context(),
                    "{} interface {}: protocol {} {:i} port {} to {:i} port {}: {}",
                    if came_in { "in" } else { "out" },
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
