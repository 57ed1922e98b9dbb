//! From packet facts to map entries. Reads only, but for the stamps of [`expose`].

use core::ptr;

use aya_ebpf::helpers::generated::bpf_map_lookup_elem;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{HashMap, LruHashMap};
use prroute_common::address::{EXPOSURE, EXPOSURE_REFRESH, LocalAddress};
use prroute_common::flow::Flow;
use prroute_common::time::{Ticks, since};
use prroute_common::uplink::{
    IFINDEX_PROBES, IfindexSlot, MAX_UPLINKS, OnLink4, OnLink6, UplinkFacts, flag,
};
use prroute_ebpf::family::{Address4, Address6, Family, Ipv4, Ipv6, is_inline_address};
use prroute_ebpf::parse::protocol;
use prroute_ebpf::verdict::{self, Known, Locality, Place};

use super::scratch::{CONFIRMED, FoundEntry, NOWHERE, UNCONFIRMED};
use super::{clock, maps};

/// A family with its maps.
pub(super) trait Tables: Family + Sized {
    /// Confirmed flows of TCP.
    fn flows() -> &'static LruHashMap<Self::Key, Flow>;
    /// Confirmed flows of everything else.
    fn datagrams() -> &'static LruHashMap<Self::Key, Flow>;
    /// Unconfirmed flows.
    fn new_flows() -> &'static LruHashMap<Self::Key, Flow>;
    fn addresses() -> &'static HashMap<Self::Address, LocalAddress>;
    /// Flag of hosts that have [`Self::is_in_local_prefix`] something.
    const LOCAL_PREFIXES: u32;
    /// Whether a route makes `address` one of the host's own.
    fn is_in_local_prefix(address: &Self::Address) -> bool;
    /// Whether `address` is reached from the uplink without a gateway.
    fn is_on_link(uplink: &UplinkFacts, address: Self::Address) -> bool;
}

impl Tables for Ipv4 {
    #[inline(always)]
    fn flows() -> &'static LruHashMap<Self::Key, Flow> {
        &maps::FLOWS4
    }

    #[inline(always)]
    fn datagrams() -> &'static LruHashMap<Self::Key, Flow> {
        &maps::DATAGRAMS4
    }

    #[inline(always)]
    fn new_flows() -> &'static LruHashMap<Self::Key, Flow> {
        &maps::NEW4
    }

    #[inline(always)]
    fn addresses() -> &'static HashMap<Address4, LocalAddress> {
        &maps::ADDRESSES4
    }

    const LOCAL_PREFIXES: u32 = flag::LOCAL_PREFIXES4;

    #[inline(never)]
    fn is_in_local_prefix(address: &Address4) -> bool {
        maps::LOCAL_PREFIXES4.get(Key::new(32, *address)).is_some()
    }

    #[inline(always)]
    fn is_on_link(uplink: &UplinkFacts, address: Address4) -> bool {
        if uplink.on_link4.iter().any(|prefix| prefix.contains(address)) {
            return true;
        }
        if uplink.flags & flag::MORE_ON_LINK4 == 0 {
            return false;
        }
        let data = OnLink4 { uplink: u32::from(uplink.id).to_be_bytes(), address };
        maps::ON_LINK4.get(aya_ebpf::maps::lpm_trie::Key::new(64, data)).is_some()
    }
}

impl Tables for Ipv6 {
    #[inline(always)]
    fn flows() -> &'static LruHashMap<Self::Key, Flow> {
        &maps::FLOWS6
    }

    #[inline(always)]
    fn datagrams() -> &'static LruHashMap<Self::Key, Flow> {
        &maps::DATAGRAMS6
    }

    #[inline(always)]
    fn new_flows() -> &'static LruHashMap<Self::Key, Flow> {
        &maps::NEW6
    }

    #[inline(always)]
    fn addresses() -> &'static HashMap<Address6, LocalAddress> {
        &maps::ADDRESSES6
    }

    const LOCAL_PREFIXES: u32 = flag::LOCAL_PREFIXES6;

    #[inline(never)]
    fn is_in_local_prefix(address: &Address6) -> bool {
        maps::LOCAL_PREFIXES6.get(Key::new(128, bytemuck::cast(*address))).is_some()
    }

    #[inline(always)]
    fn is_on_link(uplink: &UplinkFacts, address: Address6) -> bool {
        if uplink.on_link6.iter().any(|prefix| prefix.contains(address)) {
            return true;
        }
        if uplink.flags & flag::MORE_ON_LINK6 == 0 {
            return false;
        }
        let id = u32::from(uplink.id).to_be_bytes();
        let data = OnLink6 { uplink: id, address: bytemuck::cast(address) };
        maps::ON_LINK6.get(aya_ebpf::maps::lpm_trie::Key::new(160, data)).is_some()
    }
}

/// The facts of the uplink with this ifindex; `None` for an interface that is no uplink.
#[inline(always)]
pub(super) fn uplink_at(ifindex: u32) -> Option<&'static UplinkFacts> {
    let slot = maps::IFINDEX_SLOTS.get(IfindexSlot::position(ifindex, 0))?;
    if slot.ifindex == ifindex {
        return maps::UPLINK_FACTS.get(slot.facts);
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
            return slot.facts;
        }
    }
    u32::MAX
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
pub(super) fn locality<F: Tables>(here: &UplinkFacts, address: &F::Address) -> Locality {
    Locality::from_code(locality_code::<F>(here, address))
}

/// A [`Locality::code`]. A function of its own, which returns a number: the compiler would keep the
/// payload of every variant in a register, also of those that have none.
#[inline(never)]
fn locality_code<F: Tables>(here: &UplinkFacts, address: &F::Address) -> u32 {
    if is_inline_address::<F>(here, address) {
        return Locality::OwnedHere.code();
    }
    // SAFETY: the entry may be recycled while it is read; its words are valid on their own.
    match unsafe { F::addresses().get(address) } {
        None if here.flags & F::LOCAL_PREFIXES != 0 && F::is_in_local_prefix(address) => {
            Locality::Shared.code()
        }
        None => Locality::NotLocal.code(),
        Some(LocalAddress { owner: 0, .. }) => Locality::Shared.code(),
        Some(LocalAddress { owner, .. }) if *owner == u32::from(here.id) => {
            Locality::OwnedHere.code()
        }
        Some(LocalAddress { owner, .. }) => Locality::OwnedBy(*owner as u16).code(),
    }
}

/// Whether packets for any address that `here` owns came in elsewhere within [`EXPOSURE`].
#[inline(always)]
pub(super) fn may_be_exposed(here: &UplinkFacts) -> bool {
    let Some(exposed_at) = maps::EXPOSED.get(u32::from(here.id)) else { return true };
    *exposed_at != 0 && since(clock::now(), *exposed_at) < EXPOSURE
}

/// Whether packets for this address, owned by `here`, came in elsewhere within
/// [`EXPOSURE`].
#[inline(always)]
pub(super) fn is_exposed<F: Tables>(here: &UplinkFacts, address: &F::Address) -> bool {
    let Some(uplink_exposed_at) = maps::EXPOSED.get(u32::from(here.id)) else { return false };
    if *uplink_exposed_at == 0 {
        return false;
    }
    let now = clock::now();
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
pub(super) fn expose<F: Tables>(owner: u16, address: &F::Address, now: Ticks) {
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

/// What a table has for a key: perhaps too old, or of another layout.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) at: *mut Flow,
    pub(super) flow: Flow,
    pub(super) confirmed: bool,
}

/// A flow entry that may be written in place: an update would reallocate the element.
pub(super) struct Entry {
    pub(super) flow: *mut Flow,
    pub(super) known: Known,
}

/// Puts what was found into the scratch memory; where it was found.
#[inline(always)]
pub(super) fn keep(found: &mut FoundEntry, entry: Option<Entry>) -> *mut Flow {
    found.is_disowned = 0;
    let Some(entry) = entry else {
        found.table = NOWHERE;
        return ptr::null_mut();
    };
    found.flow = entry.known.flow;
    found.table = if entry.known.confirmed { CONFIRMED } else { UNCONFIRMED };
    entry.flow
}

#[inline(always)]
fn find<K>(table: &LruHashMap<K, Flow>, key: &K, confirmed: bool) -> Option<Found> {
    table.get_ptr_mut(key).map(|at| Found::again(at, confirmed))
}

impl Found {
    /// What was found there.
    #[inline(always)]
    fn again(at: *mut Flow, confirmed: bool) -> Self {
        // SAFETY: the pointer is to a live map value; another CPU may recycle it, which leaves
        // each of its words valid.
        Self { at, flow: unsafe { *at }, confirmed }
    }

    /// As an entry; one that no program wrote is none.
    #[inline(always)]
    pub(super) fn entry(self, protocol: u8, now: Ticks) -> Option<Entry> {
        let known = Known::from_entry(self.flow, self.confirmed, protocol, now)?;
        Some(Entry { flow: self.at, known })
    }

    /// An entry that is too old counts as none.
    #[inline(always)]
    fn live(self, protocol: u8, now: Ticks) -> Option<Entry> {
        self.entry(protocol, now).filter(|entry| !entry.known.is_aged)
    }
}

#[inline(always)]
fn confirmed<F: Tables>(key: &F::Key, protocol: u8) -> Option<Found> {
    if protocol == protocol::TCP {
        find(F::flows(), key, true)
    } else {
        find(F::datagrams(), key, true)
    }
}

#[inline(always)]
fn unconfirmed<F: Tables>(key: &F::Key) -> Option<Found> {
    find(F::new_flows(), key, false)
}

/// What the tables have for a datagram, the one of confirmed flows first.
#[inline(always)]
pub(super) fn datagram<F: Tables>(key: &F::Key) -> Option<Found> {
    find(F::datagrams(), key, true).or_else(|| unconfirmed::<F>(key))
}

/// What a first look has found of a flow.
#[derive(Clone, Copy)]
pub(super) enum Sought {
    /// It did not look.
    NotYet,
    Nowhere,
    Confirmed(*mut Flow),
    Unconfirmed(*mut Flow),
}

impl From<Found> for Sought {
    #[inline(always)]
    fn from(found: Found) -> Self {
        if found.confirmed { Self::Confirmed(found.at) } else { Self::Unconfirmed(found.at) }
    }
}

impl Sought {
    /// As arguments of a function.
    #[inline(always)]
    pub(super) fn parts(self) -> (*mut Flow, u32) {
        match self {
            Self::NotYet => (ptr::null_mut(), 0),
            Self::Nowhere => (ptr::null_mut(), 1),
            Self::Confirmed(at) => (at, 2),
            Self::Unconfirmed(at) => (at, 3),
        }
    }

    /// From [`Sought::parts`].
    #[inline(always)]
    pub(super) fn of((at, what): (*mut Flow, u32)) -> Self {
        match what {
            1 => Self::Nowhere,
            2 if !at.is_null() => Self::Confirmed(at),
            3 if !at.is_null() => Self::Unconfirmed(at),
            _ => Self::NotYet,
        }
    }
}

/// A flow that lives, of any protocol: a confirmed one wins over an unconfirmed one. Of a datagram
/// also one that does not live any more, if there is no other.
#[inline(always)]
pub(super) fn flow<F: Tables>(
    sought: Sought,
    key: &F::Key,
    protocol: u8,
    now: Ticks,
) -> Option<Entry> {
    let first = match sought {
        Sought::Nowhere => return None,
        Sought::Unconfirmed(at) => return Found::again(at, false).entry(protocol, now),
        Sought::Confirmed(at) => Some(Found::again(at, true)),
        Sought::NotYet => confirmed::<F>(key, protocol),
    };
    let first = first.and_then(|found| found.entry(protocol, now));
    if let Some(entry) = &first
        && !entry.known.is_aged
    {
        return first;
    }
    if protocol == protocol::TCP {
        return unconfirmed_flow::<F>(key, protocol, now);
    }
    match unconfirmed::<F>(key).and_then(|found| found.entry(protocol, now)) {
        Some(second) if first.is_none() || !second.known.is_aged => Some(second),
        _ => first,
    }
}

/// The flow that is not confirmed, if it lives.
#[inline(always)]
pub(super) fn unconfirmed_flow<F: Tables>(key: &F::Key, protocol: u8, now: Ticks) -> Option<Entry> {
    unconfirmed::<F>(key)?.live(protocol, now)
}

/// Looks up the flow of a SYN-ACK, or of a reset that answers a SYN: the unconfirmed one wins, if it is
/// the one whose SYN is acknowledged. If not, it is none.
#[inline(always)]
pub(super) fn opening_flow<F: Tables>(
    key: &F::Key,
    protocol: u8,
    acknowledgement: u32,
    now: Ticks,
) -> Option<Entry> {
    let newer = unconfirmed_flow::<F>(key, protocol, now);
    if let Some(entry) = &newer
        && verdict::is_answered(&entry.known, acknowledgement)
    {
        return newer;
    }
    confirmed::<F>(key, protocol)?.live(protocol, now)
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
