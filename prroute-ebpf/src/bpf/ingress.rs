//! Ingress: records where flows come in. Never changes a packet's way.

use prroute_common::flow::Flow;
use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, flag};
use prroute_ebpf::family::{Ipv4, Ipv6, is_inline_address};
use prroute_ebpf::key;
use prroute_ebpf::parse::outline::{Common, Outline};
use prroute_ebpf::parse::{Kind, Segment, protocol};
use prroute_ebpf::verdict::{self, Arrival, Inbound, Locality, Place};

use super::action::Action;
use super::asked::{self, AskedTables};
use super::clock;
use super::count::count;
use super::guest::{self, Routed};
use super::headers::{self, Headers};
use super::log::{self, Logged};
use super::lookup::{self, Found, Sought};
use super::opening;
use super::record;
use super::redirect::{self, NextHop};
use super::scratch::{Scratched, Way};
use super::skb::{Network, Skb};

/// What a family needs here.
trait Ingress: NextHop + Scratched + Logged + Routed + AskedTables {}

impl<F: NextHop + Scratched + Logged + Routed + AskedTables> Ingress for F {}

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
        let (found, what) = sought.parts();
        look_closer::<F>(skb, here, found, what);
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
        Common::Udp => match lookup::any::<F>(&key::inbound_outline::<F>(outline)) {
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

/// Decides by what was read into the scratch memory; the parts of a [`Sought`] say what was found
/// already. A function of its own, with a stack frame of its own.
#[inline(never)]
fn look_closer<F: Ingress>(skb: &Skb, here: &'static UplinkFacts, found: *mut Flow, what: u32) {
    let Some(scratch) = F::scratch(Way::In as u32) else { return };
    log::note(&mut scratch.decided, log::UNDECIDED);
    let segment = &scratch.segment;
    let destination = lookup::locality::<F>(here, &segment.destination);
    let exposed =
        destination == Locality::OwnedHere && lookup::is_exposed::<F>(here, &segment.destination);
    let last_hop = here.flags & F::LAST_HOP != 0;
    if !verdict::inbound_needs_flow(segment.kind, destination, exposed, last_hop) {
        return;
    }
    let now = clock::now();
    if segment.kind == Kind::TcpOpening && here.flags & flag::SMALLER != 0 {
        redirect::fit::<F>(skb, here, segment, here);
    }
    if let Locality::OwnedBy(owner) = destination {
        lookup::expose::<F>(owner, &segment.destination, now);
    }
    scratch.key = key::inbound::<F>(segment);
    let key = &scratch.key;
    let place = Place::of(here);
    if segment.protocol == protocol::TCP && destination.is_owned() {
        opening::recall::<F>(key, now);
    }
    let entry = lookup::flow::<F>(Sought::of((found, what)), key, segment.protocol, now);
    let recorded_is_up = match &entry {
        Some(entry) if entry.known.place() != place => {
            lookup::uplink_of(entry.known.place()).is_some_and(|uplink| lookup::is_up(uplink))
        }
        _ => true,
    };
    let notes_router =
        last_hop || (destination == Locality::Shared && here.flags & F::NOTES_ROUTERS != 0);
    let arrival = Arrival {
        kind: segment.kind,
        protocol: segment.protocol,
        tcp: segment.tcp,
        destination,
        here: place,
        router: if notes_router { headers::sender_of_frame(skb, here) } else { 0 },
        now,
    };
    let known = entry.as_ref().map(|entry| entry.known);
    let verdict = verdict::inbound(&arrival, known, recorded_is_up);
    log::note(&mut scratch.decided, verdict.number());
    asked::question::<F>(segment, destination, known.map(|known| known.origin), now);
    match verdict {
        Inbound::Pass => {}
        Inbound::Refresh(flow) => record::refresh(entry, flow),
        Inbound::RefuseRebind => count(here.id, Reason::RebindRefused),
        Inbound::Confirm(flow) => record::confirm::<F>(key, flow, here.id),
        Inbound::Rebind(flow) => record::overwrite(entry, flow, here.id, Reason::Rebound),
        Inbound::Adopt(flow) => record::open::<F>(key, flow, here.id, Reason::Adopted),
        Inbound::Open(flow) => {
            if is_ours::<F>(skb, destination, segment) {
                record::open::<F>(key, flow, here.id, Reason::OpenedInbound);
            }
        }
    }
}

/// A destination that is not local is a guest behind this host, or in transit to another uplink.
#[inline(always)]
fn is_ours<F: Routed>(skb: &Skb, destination: Locality, segment: &Segment<F::Address>) -> bool {
    destination != Locality::NotLocal || guest::is_behind::<F>(skb, segment)
}
