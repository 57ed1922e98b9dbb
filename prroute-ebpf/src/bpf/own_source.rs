//! The host's own packets go to the owner of their source (R2), where no rules see to that.

use prroute_common::uplink::UplinkFacts;
use prroute_ebpf::decide::{Locality, owner_for_own};
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
    let is_exposed = !may_be_exposed && address::is_recent(local.exposed_at);
    if is_exposed || !F::is_unicast(&headers.destination) {
        return 0;
    }
    let source = Locality::of_owner(local.owner, here.id);
    let is_specific =
        || skb.is_bound_to_device() || address::is_specific::<F>(here, &headers.destination);
    // Where its subnet has a gateway of its own the packet has taken the slow path before.
    let owner = owner_for_own(true, false, source, here.id, || false, is_specific);
    owner.map_or(0, u32::from)
}
