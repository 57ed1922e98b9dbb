//! Ingress: records where flows come in. Never changes a packet's way.

use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, flag};
use prroute_ebpf::family::{Ipv4, Ipv6, is_inline_address};
use prroute_ebpf::key;
use prroute_ebpf::parse::outline::{Common, Outline};
use prroute_ebpf::verdict::{self, Place};

use super::action::Action;
use super::asked;
use super::clock;
use super::count::count;
use super::headers::{self, Headers};
use super::log;
use super::lookup::{self, Found, Sought};
use super::opening;
use super::record;
use super::scratch::Way;
use super::skb::{Network, Skb};
use super::slow_in::{self, Ingress};

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
        Network::Ipv4 => note::<Ipv4>(skb, here),
        Network::Ipv6 => note::<Ipv6>(skb, here),
        Network::Tagged => count(here.id, Reason::Tagged),
        Network::Other => {}
    }
    Action::Pass
}

/// Most packets tell nothing new, which a first look shows.
#[inline(always)]
fn note<F: Ingress>(skb: &Skb, here: &'static UplinkFacts) {
    let mut sought = Sought::NotYet;
    if here.flags & F::LAST_HOP == 0
        && !log::is_on()
        && let Some(outline) = headers::outline::<F>(skb, here)
    {
        match first_look::<F>(here, &outline) {
            Look::Enough => return,
            Look::Closer(found) => sought = found,
        }
    }
    // What follows the first fragment has no ports, and nothing to tell.
    if headers::read::<F>(skb, here, Way::In) == Headers::Segment {
        slow_in::handle::<F>(skb, here, sought);
        log::decision::<F>(skb, Way::In);
    }
}

enum Look {
    Enough,
    Closer(Sought),
}

#[inline(always)]
fn first_look<F: Ingress>(here: &UplinkFacts, outline: &Outline<F::Address>) -> Look {
    let is_owned = || is_inline_address::<F>(here, &outline.destination);
    match outline.kind {
        Common::Tcp { opens: false } if is_owned() && !lookup::may_be_exposed(here) => Look::Enough,
        Common::Tcp { opens: true }
            if is_owned() && here.flags & flag::SMALLER == 0 && !lookup::may_be_exposed(here) =>
        {
            opening::note::<F>(&key::inbound_outline::<F>(outline), Place::of(here), clock::now());
            Look::Enough
        }
        Common::Tcp { .. } => Look::Closer(Sought::NotYet),
        Common::Udp => match lookup::datagram::<F>(&key::inbound_outline::<F>(outline)) {
            Some(found) if goes_on::<F>(here, outline, &found) => Look::Enough,
            found => Look::Closer(found.map_or(Sought::Nowhere, Sought::from)),
        },
    }
}

/// Whether a datagram adds no more to its flow than a later time, which is written where it is due.
#[inline(always)]
fn goes_on<F: Ingress>(here: &UplinkFacts, outline: &Outline<F::Address>, found: &Found) -> bool {
    if asked::matters(outline.destination_port()) {
        return false;
    }
    let (place, now) = (Place::of(here), clock::now());
    if verdict::is_settled_in(&found.flow, found.confirmed, place, now) {
        return true;
    }
    // Of an address that others own, the closer look notes the exposure too.
    if is_inline_address::<F>(here, &outline.destination)
        && let Some(flow) = verdict::later_in(&found.flow, found.confirmed, place, now)
    {
        record::times(found, flow);
        return true;
    }
    false
}
