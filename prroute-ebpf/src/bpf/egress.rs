//! Egress: sends replies out of the uplink their flow came in on.

use prroute_common::flow::{Binding, Flow, Origin, SEEN_REFRESH, Seen};
use prroute_common::reason::Reason;
use prroute_common::time::{Ticks, since};
use prroute_common::uplink::UplinkFacts;
use prroute_ebpf::family::{Ipv4, Ipv6};
use prroute_ebpf::key;
use prroute_ebpf::verdict::{self, Locality, Outbound, Place};

use super::action::{self, Action, NextHop};
use super::count::count;
use super::log::{self, Logged};
use super::lookup::{self, Entry, Tables};
use super::skb::{Network, Skb};

#[inline(always)]
pub(super) fn run(skb: &Skb) -> Action {
    let Some(here) = lookup::uplink_at(skb.ifindex()) else { return Action::Pass };
    match skb.network() {
        Network::Ipv4 => steer::<Ipv4>(skb, here),
        Network::Ipv6 => steer::<Ipv6>(skb, here),
        Network::Tagged => {
            count(here.id, Reason::Tagged);
            Action::Pass
        }
        Network::Other => Action::Pass,
    }
}

#[inline(always)]
fn steer<F: NextHop + Logged>(skb: &Skb, here: &'static UplinkFacts) -> Action
where
    F::Key: 'static,
    F::Address: 'static,
{
    let Some(segment) = action::parse::<F>(skb, here) else { return Action::Pass };
    let locality = lookup::locality::<F>(here, segment.source);
    let exposed = locality == Locality::OwnedHere && lookup::is_exposed::<F>(here, segment.source);
    if !verdict::outbound_needs_flow(segment.kind, locality, exposed) {
        return Action::Pass;
    }
    let now = lookup::now();
    let key = key::outbound::<F>(&segment);
    let entry = lookup::flow::<F>(&key, segment.protocol, now);
    let found = entry.as_ref().and_then(|entry| entry.found);
    let place = Place { uplink: here.id, generation: here.generation };
    let verdict = verdict::outbound(segment.kind, locality, found, place, skb.is_forwarded());
    log::decision::<F>(skb, "out", &segment, verdict.name());
    match verdict {
        Outbound::Pass => Action::Pass,
        Outbound::Refresh => {
            refresh(entry, now);
            Action::Pass
        }
        Outbound::OpenByHost => {
            open_by_host::<F>(&key, entry, place, now);
            Action::Pass
        }
        Outbound::Reply(recorded) => {
            refresh(entry, now);
            let Some(target) = lookup::uplink_of(recorded) else {
                count(here.id, Reason::UplinkGone);
                return Action::Pass;
            };
            action::redirect::<F>(skb, &segment, target, Reason::Redirected)
        }
        Outbound::ToOwner(owner) => {
            let Some(target) = lookup::uplink_by_id(owner) else {
                count(here.id, Reason::UplinkGone);
                return Action::Pass;
            };
            action::redirect::<F>(skb, &segment, target, Reason::RedirectedToOwner)
        }
    }
}

#[inline(always)]
fn open_by_host<F: Tables>(key: &F::Key, entry: Option<Entry>, place: Place, now: Ticks)
where
    F::Key: 'static,
    F::Address: 'static,
{
    let binding =
        Binding { origin: Origin::Host, uplink: place.uplink, generation: place.generation };
    let flow = Flow { binding: binding.pack(), seen: Seen { inbound: 0, outbound: now }.pack() };
    action::write::<F>(key, entry, flow, place.uplink, Reason::OpenedByHost);
}

#[inline(always)]
fn refresh(entry: Option<Entry>, now: Ticks) {
    let Some(Entry { flow, found: Some(found) }) = entry else { return };
    if found.seen.outbound == 0 || since(now, found.seen.outbound) >= SEEN_REFRESH {
        let seen = Seen { outbound: now, ..found.seen };
        // SAFETY: the pointer is to a live map value; the stamp is one aligned word.
        unsafe { (*flow).seen = seen.pack() };
    }
}
