//! Ingress: records where flows come in. Never changes a packet's way.

use prroute_common::flow::{Binding, Flow, Origin, SEEN_REFRESH, Seen};
use prroute_common::reason::Reason;
use prroute_common::time::{Ticks, since};
use prroute_common::uplink::{UplinkFacts, flag};
use prroute_ebpf::family::{Ipv4, Ipv6};
use prroute_ebpf::key;
use prroute_ebpf::verdict::{self, Inbound, Locality, Place};

use super::action::{self, Action};
use super::asked::{self, AskedTables};
use super::count::count;
use super::log::{self, Logged};
use super::lookup::{self, Entry, Tables};
use super::skb::{Network, Skb};

#[inline(always)]
pub(super) fn run(skb: &Skb) -> Action {
    if !skb.is_to_host() {
        return Action::Pass;
    }
    let Some(here) = lookup::uplink_at(skb.ifindex()) else { return Action::Pass };
    if here.flags & flag::REPLY_OFF != 0 {
        return Action::Pass;
    }
    match skb.network() {
        Network::Ipv4 => record::<Ipv4>(skb, here),
        Network::Ipv6 => record::<Ipv6>(skb, here),
        Network::Tagged => count(here.id, Reason::Tagged),
        Network::Other => {}
    }
    Action::Pass
}

#[inline(always)]
fn record<F: Tables + Logged + AskedTables>(skb: &Skb, here: &'static UplinkFacts)
where
    F::Key: 'static,
    F::Address: 'static,
{
    let Some(segment) = action::parse::<F>(skb, here) else { return };
    let locality = lookup::locality::<F>(here, segment.destination);
    let exposed =
        locality == Locality::OwnedHere && lookup::is_exposed::<F>(here, segment.destination);
    if !verdict::inbound_needs_flow(segment.kind, locality, exposed) {
        return;
    }
    let now = lookup::now();
    if let Locality::OwnedBy(owner) = locality {
        lookup::expose::<F>(owner, segment.destination, now);
    }
    let key = key::inbound::<F>(&segment);
    let entry = lookup::flow::<F>(&key, segment.protocol, now);
    let place = Place { uplink: here.id, generation: here.generation };
    let found = entry.as_ref().and_then(|entry| entry.found);
    let recorded_is_up = match &found {
        Some(found) if found.place() != place => {
            lookup::uplink_of(found.place()).is_some_and(lookup::is_up)
        }
        _ => true,
    };
    let verdict =
        verdict::inbound(segment.kind, segment.protocol, found, place, recorded_is_up, now);
    log::decision::<F>(skb, "in", &segment, verdict.name());
    asked::question::<F>(&segment, found.map(|found| found.binding.origin), now);
    match verdict {
        Inbound::Pass => {}
        Inbound::Refresh => refresh(entry, now),
        Inbound::RefuseRebind => count(here.id, Reason::RebindRefused),
        Inbound::Open => bind::<F>(&key, entry, place, now, Reason::OpenedInbound),
        Inbound::Rebind => bind::<F>(&key, entry, place, now, Reason::Rebound),
    }
}

/// Binds a flow to `place`, in the entry it has or in a new one.
#[inline(always)]
fn bind<F: Tables>(key: &F::Key, entry: Option<Entry>, place: Place, now: Ticks, reason: Reason)
where
    F::Key: 'static,
    F::Address: 'static,
{
    let binding =
        Binding { origin: Origin::Inbound, uplink: place.uplink, generation: place.generation };
    let flow = Flow { binding: binding.pack(), seen: Seen { inbound: now, outbound: 0 }.pack() };
    action::write::<F>(key, entry, flow, place.uplink, reason);
}

#[inline(always)]
fn refresh(entry: Option<Entry>, now: Ticks) {
    let Some(Entry { flow, found: Some(found) }) = entry else { return };
    if since(now, found.seen.inbound) >= SEEN_REFRESH {
        let seen = Seen { inbound: now, ..found.seen };
        // SAFETY: the pointer is to a live map value; the stamp is one aligned word.
        unsafe { (*flow).seen = seen.pack() };
    }
}
