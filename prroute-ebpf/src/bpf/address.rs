//! Whose address it is, and what is reached how. Reads only, but for the stamps of [`expose`].

use prroute_common::address::{EXPOSURE, EXPOSURE_REFRESH, LocalAddress};
use prroute_common::time::{Ticks, is_within};
use prroute_common::uplink::{MAX_UPLINKS, UplinkFacts};
use prroute_ebpf::decide::{Locality, LocalityCode};
use prroute_ebpf::wire::{gateway_of_source, is_inline_address};

use super::clock;
use super::maps::{EXPOSED, Maps};
use super::skb::Skb;

/// Whose address it is, seen from `here`.
#[inline(always)]
pub(super) fn locality<F: Maps>(here: &UplinkFacts, address: &F::Address) -> Locality {
    Locality::from_code(locality_code::<F>(here, *address))
}

/// A [`Locality::code`]. A function of its own, which returns a number: the compiler would keep the
/// payload of every variant in a register, also of those that have none. It takes the address itself, not
/// where it lies: Linux 7.3 loses track of stacks two calls up (docs/kernel-support.md).
#[inline(never)]
fn locality_code<F: Maps>(here: &UplinkFacts, address: F::Address) -> LocalityCode {
    if is_inline_address::<F>(here, &address) {
        return Locality::OwnedHere.code();
    }
    // SAFETY: the entry may be recycled while it is read; its words are valid on their own.
    match unsafe { F::addresses().get(&address) } {
        None if here.flags & F::LOCAL_PREFIXES != 0 && F::is_in_local_prefix(&address) => {
            Locality::Shared.code()
        }
        None => Locality::NotLocal.code(),
        Some(LocalAddress { owner, .. }) => Locality::of_owner(*owner, here.id).code(),
    }
}

/// Whether packets for any address that `here` owns came in elsewhere within [`EXPOSURE`].
#[inline(always)]
pub(super) fn may_be_exposed(here: &UplinkFacts) -> bool {
    let Some(exposed_at) = EXPOSED.get(u32::from(here.id)) else { return true };
    is_recent(*exposed_at)
}

/// Whether packets for this address, which an uplink owns, came in elsewhere within [`EXPOSURE`].
#[inline(always)]
pub(super) fn is_exposed<F: Maps>(address: &F::Address) -> bool {
    // SAFETY: as in `locality_code`.
    unsafe { F::addresses().get(address) }.is_some_and(|local| is_recent(local.exposed_at))
}

/// Whether something that was exposed then still is.
#[inline(always)]
pub(super) fn is_recent(exposed_at: Ticks) -> bool {
    exposed_at != 0 && is_within(clock::now(), exposed_at, EXPOSURE)
}

/// Notes that a packet for an address of uplink `owner` came in elsewhere.
#[inline(always)]
pub(super) fn expose<F: Maps>(owner: u16, address: &F::Address, now: Ticks) {
    let Some(local) = F::addresses().get_ptr_mut(address) else { return };
    // SAFETY: the pointer is to a live map value; the stamp is one aligned word.
    let exposed_at = unsafe { &mut (*local).exposed_at };
    if *exposed_at != 0 && is_within(now, *exposed_at, EXPOSURE_REFRESH) {
        return;
    }
    *exposed_at = now;
    if let Some(uplink) = EXPOSED.get_ptr_mut(u32::from(owner) & (MAX_UPLINKS - 1)) {
        // SAFETY: as above.
        unsafe { *uplink = now };
    }
}

/// Whether `address` is reached from the uplink without a gateway.
#[inline(always)]
pub(super) fn is_on_link<F: Maps>(uplink: &UplinkFacts, address: F::Address) -> bool {
    F::is_inline_on_link(uplink, address)
        || (uplink.flags & F::MORE_ON_LINK != 0 && F::is_in_on_link(uplink.id, address))
}

/// Whether `main` has a route to `address` over the uplink that is more specific than a default route.
#[inline(never)]
pub(super) fn is_specific<F: Maps>(uplink: &UplinkFacts, address: &F::Address) -> bool {
    F::is_inline_on_link(uplink, *address)
        || (uplink.flags & F::MAIN_ROUTES != 0 && F::is_in_main_routes(uplink.id, *address))
}

/// Whether a packet that leaves by its uplink may have the wrong gateway there: rules choose that of
/// the host's own packets with an address of the uplink alone, not that of others.
#[inline(always)]
pub(super) fn may_change_gateway<F: Maps>(
    skb: &Skb,
    uplink: &UplinkFacts,
    source: &F::Address,
) -> bool {
    uplink.flags & F::SUBNET_GATEWAYS != 0 && is_without_rule::<F>(skb, uplink, *source) != 0
}

/// A function of its own: in line the verifier would walk each of its callers once more.
#[inline(never)]
fn is_without_rule<F: Maps>(skb: &Skb, uplink: &UplinkFacts, source: F::Address) -> u32 {
    let has_gateway = gateway_of_source::<F>(uplink, &source).is_some();
    let has_rule = || {
        uplink.flags & F::OWN_SOURCE == 0 && locality::<F>(uplink, &source) == Locality::OwnedHere
    };
    u32::from(has_gateway && (skb.is_forwarded() || !has_rule()))
}
