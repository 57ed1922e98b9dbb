//! Uplinks: their facts, and whether their devices are there.

use core::ptr;

use aya_ebpf::helpers::generated::bpf_map_lookup_elem;
use prroute_common::uplink::{IFINDEX_PROBES, IfindexSlot, UplinkFacts, flag};
use prroute_ebpf::decide::UplinkRef;

use super::maps;
use super::skb::Skb;

/// The facts of the uplink with this ifindex; `None` for an interface that is no uplink.
#[inline(always)]
pub(super) fn at(ifindex: u32) -> Option<&'static UplinkFacts> {
    let slot = maps::IFINDEX_SLOTS.get(IfindexSlot::position(ifindex, 0))?;
    if slot.ifindex == ifindex {
        return maps::UPLINK_FACTS.get(slot.facts & !IfindexSlot::DISPLACED);
    }
    if slot.facts & IfindexSlot::DISPLACED == 0 {
        return None;
    }
    maps::UPLINK_FACTS.get(displaced(ifindex))
}

/// Where the facts are of an interface whose slot another one has; no index at all for one that
/// is no uplink.
#[inline(never)]
fn displaced(ifindex: u32) -> u32 {
    for probe in 1..=IFINDEX_PROBES {
        let Some(slot) = maps::IFINDEX_SLOTS.get(IfindexSlot::position(ifindex, probe)) else {
            break;
        };
        if slot.ifindex == ifindex {
            return slot.facts & !IfindexSlot::DISPLACED;
        }
    }
    u32::MAX
}

/// The facts of the uplink a flow is bound to, unless the id has come to another device since.
#[inline(always)]
pub(super) fn of(uplink: UplinkRef) -> Option<&'static UplinkFacts> {
    with_id(uplink.id).filter(|facts| facts.generation == uplink.generation)
}

/// The facts of the uplink that has this id now.
#[inline(always)]
pub(super) fn with_id(id: u16) -> Option<&'static UplinkFacts> {
    let active = maps::ACTIVE_FACTS.get(u32::from(id))?;
    if *active == 0 {
        return None;
    }
    let facts = maps::UPLINK_FACTS.get(*active)?;
    (facts.id == id).then_some(facts)
}

/// Whether an uplink can carry packets. The loader says whether it is up; that its device still is
/// the one that it was the kernel says, for the time when there is no loader.
#[inline(always)]
pub(super) fn is_up(facts: &UplinkFacts) -> bool {
    facts.flags & flag::UP != 0 && exists(&facts.ifindex)
}

/// Whether the device with this index is the one that the loader saw. The key stays where it is: the
/// stack has no room to spare.
#[inline(always)]
pub(super) fn exists(ifindex: &u32) -> bool {
    let map = (&raw const maps::DEVICES).cast_mut().cast();
    // SAFETY: the map lives as long as the program, and its key is one word.
    let device = unsafe { bpf_map_lookup_elem(map, ptr::from_ref(ifindex).cast()) };
    !device.is_null()
}

/// Whether a packet that leaves came in through an interface that is no uplink; through another one it
/// is in transit.
#[inline(always)]
pub(super) fn is_from_guest(skb: &Skb) -> bool {
    skb.is_forwarded() && at(skb.ingress_ifindex()).is_none()
}
