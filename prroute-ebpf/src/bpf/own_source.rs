//! The host's own packets go to the owner of their source (R2), where no rules see to that.

use prroute_common::uplink::UplinkFacts;
use prroute_ebpf::wire::fast_headers::FastHeaders;

use super::maps::Maps;
use super::skb::Skb;
use super::{address, uplink};

/// For the fast path: where a packet of the host's own goes that is no reply.
#[inline(always)]
pub(super) fn owner<F: Maps>(
    skb: &Skb,
    here: &UplinkFacts,
    headers: &FastHeaders<F::Address>,
) -> Option<&'static UplinkFacts> {
    uplink::with_id(owner_id::<F>(skb, here, headers, true) as u16)
}

/// For the fast path: where a TCP segment of the host's own goes whatever its flow is: to the owner of
/// its source, whose packets come in there and nowhere else. Not where the router must be known.
#[inline(always)]
pub(super) fn quiet_owner<F: Maps>(
    skb: &Skb,
    here: &UplinkFacts,
    headers: &FastHeaders<F::Address>,
) -> Option<&'static UplinkFacts> {
    let owner = uplink::with_id(owner_id::<F>(skb, here, headers, false) as u16)?;
    (owner.flags & F::LAST_HOP == 0).then_some(owner)
}

/// The id of another uplink; 0 for none. A function of its own in the object.
#[inline(never)]
fn owner_id<F: Maps>(
    skb: &Skb,
    here: &UplinkFacts,
    headers: &FastHeaders<F::Address>,
    may_be_exposed: bool,
) -> u32 {
    // SAFETY: the entry may be recycled while it is read; its words are valid on their own.
    let Some(local) = (unsafe { F::addresses().get(&headers.source) }) else { return 0 };
    let leaves = local.owner != u32::from(here.id)
        && (may_be_exposed || !address::is_recent(local.exposed_at))
        && F::is_unicast(&headers.destination)
        && !skb.is_bound_to_device()
        && !address::is_specific::<F>(here, &headers.destination);
    if leaves { local.owner } else { 0 }
}
