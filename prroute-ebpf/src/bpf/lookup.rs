//! From packet facts to map entries. Reads only, but for the stamps of [`expose`].

use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use aya_ebpf::maps::{HashMap, LruHashMap};
use prroute_common::address::{EXPOSURE, EXPOSURE_REFRESH, LocalAddress};
use prroute_common::flow::Flow;
use prroute_common::time::{Ticks, from_ns, since};
use prroute_common::uplink::{
    IFINDEX_PROBES, IfindexSlot, MAX_UPLINKS, OnLink4, OnLink6, UplinkFacts, flag,
};
use prroute_ebpf::family::{Family, Ipv4, Ipv6, is_inline_address};
use prroute_ebpf::verdict::{Found, Locality, Place};

use super::maps;

/// A family with its maps.
pub(super) trait Tables: Family + Sized
where
    Self::Key: 'static,
    Self::Address: 'static,
{
    fn flows() -> &'static LruHashMap<Self::Key, Flow>;
    fn addresses() -> &'static HashMap<Self::Address, LocalAddress>;
    /// Whether `address` is reached from the uplink without a gateway.
    fn is_on_link(uplink: u16, address: Self::Address) -> bool;
}

impl Tables for Ipv4 {
    #[inline(always)]
    fn flows() -> &'static LruHashMap<Self::Key, Flow> {
        &maps::FLOWS4
    }

    #[inline(always)]
    fn addresses() -> &'static HashMap<[u8; 4], LocalAddress> {
        &maps::ADDRESSES4
    }

    #[inline(always)]
    fn is_on_link(uplink: u16, address: [u8; 4]) -> bool {
        let data = OnLink4 { uplink: u32::from(uplink).to_be_bytes(), address };
        maps::ON_LINK4.get(aya_ebpf::maps::lpm_trie::Key::new(64, data)).is_some()
    }
}

impl Tables for Ipv6 {
    #[inline(always)]
    fn flows() -> &'static LruHashMap<Self::Key, Flow> {
        &maps::FLOWS6
    }

    #[inline(always)]
    fn addresses() -> &'static HashMap<[u8; 16], LocalAddress> {
        &maps::ADDRESSES6
    }

    #[inline(always)]
    fn is_on_link(uplink: u16, address: [u8; 16]) -> bool {
        let data = OnLink6 { uplink: u32::from(uplink).to_be_bytes(), address };
        maps::ON_LINK6.get(aya_ebpf::maps::lpm_trie::Key::new(160, data)).is_some()
    }
}

#[inline(always)]
pub(super) fn now() -> Ticks {
    // SAFETY: the helper takes no arguments and reads a clock.
    from_ns(unsafe { bpf_ktime_get_coarse_ns() })
}

/// The facts of the uplink with this ifindex; `None` for an interface that is no uplink.
#[inline(always)]
pub(super) fn uplink_at(ifindex: u32) -> Option<&'static UplinkFacts> {
    for probe in 0..=IFINDEX_PROBES {
        let slot = maps::IFINDEX_SLOTS.get(IfindexSlot::position(ifindex, probe))?;
        if slot.ifindex == ifindex {
            return maps::UPLINK_FACTS.get(slot.facts);
        }
    }
    None
}

/// The facts of the uplink a flow is bound to, unless the id has come to another device since.
#[inline(always)]
pub(super) fn uplink_of(place: Place) -> Option<&'static UplinkFacts> {
    let facts = uplink_by_id(place.uplink)?;
    (facts.generation == place.generation).then_some(facts)
}

/// The facts of the uplink that has this id now.
#[inline(always)]
pub(super) fn uplink_by_id(id: u16) -> Option<&'static UplinkFacts> {
    let active = maps::ACTIVE_FACTS.get(u32::from(id))?;
    if *active == 0 {
        return None;
    }
    let facts = maps::UPLINK_FACTS.get(*active)?;
    (facts.id == id).then_some(facts)
}

/// Whose address it is, seen from `here`.
#[inline(always)]
pub(super) fn locality<F: Tables>(here: &UplinkFacts, address: F::Address) -> Locality
where
    F::Key: 'static,
    F::Address: 'static,
{
    if is_inline_address::<F>(here, address) {
        return Locality::OwnedHere;
    }
    // SAFETY: the entry may be recycled while it is read; its words are valid on their own.
    match unsafe { F::addresses().get(address) } {
        None => Locality::NotLocal,
        Some(LocalAddress { owner: 0, .. }) => Locality::Shared,
        Some(LocalAddress { owner, .. }) if *owner == u32::from(here.id) => Locality::OwnedHere,
        Some(LocalAddress { owner, .. }) => Locality::OwnedBy(*owner as u16),
    }
}

/// Whether packets for this address, owned by `here`, came in elsewhere within
/// [`EXPOSURE`].
#[inline(always)]
pub(super) fn is_exposed<F: Tables>(here: &UplinkFacts, address: F::Address) -> bool
where
    F::Key: 'static,
    F::Address: 'static,
{
    let Some(uplink_exposed_at) = maps::EXPOSED.get(u32::from(here.id)) else { return false };
    if *uplink_exposed_at == 0 {
        return false;
    }
    let now = now();
    if since(now, *uplink_exposed_at) >= EXPOSURE {
        return false;
    }
    // SAFETY: as in `locality`.
    match unsafe { F::addresses().get(address) } {
        Some(local) => local.exposed_at != 0 && since(now, local.exposed_at) < EXPOSURE,
        None => false,
    }
}

/// Notes that a packet for an address of uplink `owner` came in elsewhere.
#[inline(always)]
pub(super) fn expose<F: Tables>(owner: u16, address: F::Address, now: Ticks)
where
    F::Key: 'static,
    F::Address: 'static,
{
    let Some(local) = F::addresses().get_ptr_mut(address) else { return };
    // SAFETY: the pointer is to a live map value; the stamp is one aligned word.
    let exposed_at = unsafe { &mut (*local).exposed_at };
    if *exposed_at != 0 && since(now, *exposed_at) < EXPOSURE_REFRESH {
        return;
    }
    *exposed_at = now;
    if let Some(uplink) = maps::EXPOSED.get_ptr_mut(u32::from(owner) & (MAX_UPLINKS - 1)) {
        // SAFETY: as above.
        unsafe { *uplink = now };
    }
}

/// A flow entry that may be written in place: an update would reallocate the element.
pub(super) struct Entry {
    pub(super) flow: *mut Flow,
    pub(super) found: Option<Found>,
}

/// Looks a flow up; the entry counts as none where it is too old.
#[inline(always)]
pub(super) fn flow<F: Tables>(key: &F::Key, protocol: u8, now: Ticks) -> Option<Entry>
where
    F::Key: 'static,
    F::Address: 'static,
{
    let flow = F::flows().get_ptr_mut(key)?;
    // SAFETY: the pointer is to a live map value; another CPU may recycle it, which leaves each
    // of its two words valid.
    let entry = unsafe { *flow };
    Some(Entry { flow, found: Found::from_entry(entry, protocol, now) })
}

/// Whether an uplink can carry packets.
#[inline(always)]
pub(super) fn is_up(facts: &UplinkFacts) -> bool {
    facts.flags & flag::UP != 0
}
