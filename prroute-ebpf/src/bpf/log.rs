//! The decision log: off unless the loader sets `AYA_LOG_LEVEL`, and then folded away by the
//! verifier, so that it costs nothing.

use aya_log_ebpf::info;
use core::net::{Ipv4Addr, Ipv6Addr};
use prroute_ebpf::family::{Family, Ipv4, Ipv6};
use prroute_ebpf::parse::Segment;

use super::skb::Skb;

/// A family whose addresses can be logged.
pub(super) trait Logged: Family {
    fn log(skb: &Skb, way: &str, segment: &Segment<Self::Address>, verdict: &str);
}

macro_rules! logged {
    ($family:ty, $address:ty) => {
        impl Logged for $family {
            #[inline(always)]
            fn log(skb: &Skb, way: &str, segment: &Segment<Self::Address>, verdict: &str) {
                info!(
                    skb.context(),
                    "{} interface {}: protocol {} {:i} port {} to {:i} port {}: {}",
                    way,
                    skb.ifindex(),
                    segment.protocol,
                    <$address>::from(segment.source),
                    u16::from_be_bytes(segment.source_port),
                    <$address>::from(segment.destination),
                    u16::from_be_bytes(segment.destination_port),
                    verdict,
                );
            }
        }
    };
}

logged!(Ipv4, Ipv4Addr);
logged!(Ipv6, Ipv6Addr);

/// Logs what was decided for a packet whose flow was looked up.
#[inline(always)]
pub(super) fn decision<F: Logged>(
    skb: &Skb,
    way: &str,
    segment: &Segment<F::Address>,
    verdict: &str,
) {
    F::log(skb, way, segment, verdict);
}
