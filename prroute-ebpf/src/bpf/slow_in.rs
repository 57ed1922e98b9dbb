//! The slow path of a packet that came in: parts that are called one after the other, each with a stack
//! frame of its own, and that hand the scratch memory on.

use prroute_common::flow::{Flow, Origin};
use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, flag};
use prroute_ebpf::key;
use prroute_ebpf::parse::{Kind, Segment, protocol};
use prroute_ebpf::verdict::{self, Arrival, Inbound, Locality, Place};

use super::asked::{self, AskedTables};
use super::clock;
use super::count::count;
use super::guest::{self, Routed};
use super::headers;
use super::listener::{self, Listener, Listening};
use super::log::{self, Logged};
use super::lookup::{self, Entry, Sought};
use super::opening;
use super::ports;
use super::record;
use super::redirect::{self, NextHop};
use super::scratch::{Scratch, Scratched, Way};
use super::skb::Skb;

/// What a family needs here.
pub(super) trait Ingress:
    NextHop + Scratched + Logged + Routed + AskedTables + Listening
{
}

impl<F: NextHop + Scratched + Logged + Routed + AskedTables + Listening> Ingress for F {}

/// The verdicts, by their numbers.
mod number {
    use super::Inbound;
    use prroute_common::flow::Flow;

    const FLOW: Flow = Flow::inbound(0, 0, 0);

    pub(super) const PASS: u32 = Inbound::Pass.number();
    pub(super) const OPEN: u32 = Inbound::Open(FLOW).number();
    pub(super) const ADOPT: u32 = Inbound::Adopt(FLOW).number();
    pub(super) const REFRESH: u32 = Inbound::Refresh(FLOW).number();
    pub(super) const CONFIRM: u32 = Inbound::Confirm(FLOW).number();
    pub(super) const REBIND: u32 = Inbound::Rebind(FLOW).number();
    pub(super) const REFUSE: u32 = Inbound::RefuseRebind.number();
}

/// Handles the packet whose headers are in the scratch memory; `sought` is what was found already.
#[inline(always)]
pub(super) fn handle<F: Ingress>(skb: &Skb, here: &'static UplinkFacts, sought: Sought) {
    if prepare::<F>(skb, here) != READY {
        return;
    }
    let (found, what) = sought.parts();
    let at = find::<F>(found, what);
    let number = decide::<F>();
    carry_out::<F>(skb, here, at, number);
}

const READY: u32 = 1;
const DONE: u32 = 0;

/// Whose packet it is, and whether its flow matters.
#[inline(never)]
fn prepare<F: Ingress>(skb: &Skb, here: &'static UplinkFacts) -> u32 {
    let Some(scratch) = F::scratch(Way::In as u32) else { return DONE };
    log::note(&mut scratch.decided, log::UNDECIDED);
    let segment = &scratch.segment;
    let destination = lookup::locality::<F>(here, &segment.destination);
    let exposed =
        destination == Locality::OwnedHere && lookup::is_exposed::<F>(here, &segment.destination);
    let last_hop = here.flags & F::LAST_HOP != 0;
    if !verdict::inbound_needs_flow(segment.kind, destination, exposed, last_hop) {
        return DONE;
    }
    let now = clock::now();
    if segment.kind == Kind::TcpOpening && here.flags & flag::SMALLER != 0 {
        redirect::fit::<F>(skb, here, segment, here);
    }
    if let Locality::OwnedBy(owner) = destination {
        lookup::expose::<F>(owner, &segment.destination, now);
    }
    scratch.key = key::inbound::<F>(segment);
    let notes_router =
        last_hop || (destination == Locality::Shared && here.flags & F::NOTES_ROUTERS != 0);
    let arrival = Arrival {
        kind: segment.kind,
        protocol: segment.protocol,
        tcp: segment.tcp,
        payload: skb.len().saturating_sub(here.link_header + segment.headers),
        destination,
        here: Place::of(here),
        router: if notes_router { headers::sender_of_frame(skb, here) } else { 0 },
        to_client_port: ports::is_client(segment.destination_port),
        now,
    };
    scratch.keep_arrival(arrival);
    if arrival.protocol == protocol::TCP && destination.is_owned() {
        opening::recall::<F>(&scratch.key, now);
    }
    READY
}

/// Where the packet's flow is recorded; what is recorded goes to the scratch memory.
#[inline(never)]
fn find<F: Ingress>(found: *mut Flow, what: u32) -> *mut Flow {
    let Some(scratch) = F::scratch(Way::In as u32) else { return core::ptr::null_mut() };
    let arrival = scratch.arrival();
    let (key, protocol, now) = (&scratch.key, arrival.protocol, arrival.now);
    let entry = lookup::flow::<F>(Sought::of((found, what)), key, protocol, now);
    lookup::keep(&mut scratch.entry, newer::<F>(entry, key, &arrival))
}

/// The entry that a TCP segment belongs to, where there may be one of a newer connection beside the
/// confirmed one that was found.
#[inline(always)]
fn newer<F: Ingress>(entry: Option<Entry>, key: &F::Key, arrival: &Arrival) -> Option<Entry> {
    if let Some(found) = &entry
        && found.known.confirmed
        && arrival.protocol == protocol::TCP
        && verdict::may_be_superseded_in(&found.known, arrival)
        && let Some(newer) = lookup::unconfirmed_flow::<F>(key, arrival.protocol, arrival.now)
        && verdict::is_preferred_in(&newer.known, arrival)
    {
        return Some(newer);
    }
    entry
}

/// The verdict's number; what else it says goes to the scratch memory.
#[inline(never)]
fn decide<F: Ingress>() -> u32 {
    let Some(scratch) = F::scratch(Way::In as u32) else { return number::PASS };
    let arrival = scratch.arrival();
    let known = scratch.entry.known(arrival.protocol, arrival.now);
    let recorded_is_up = match &known {
        Some(known) if known.place() != arrival.here => {
            lookup::uplink_of(known.place()).is_some_and(lookup::is_up)
        }
        _ => true,
    };
    let verdict = verdict::inbound(&arrival, known, recorded_is_up);
    log::note(&mut scratch.decided, verdict.number());
    match verdict {
        Inbound::Pass | Inbound::RefuseRebind => {}
        Inbound::Open(flow)
        | Inbound::Adopt(flow)
        | Inbound::Refresh(flow)
        | Inbound::Confirm(flow)
        | Inbound::Rebind(flow) => scratch.decision.flow = flow,
    }
    verdict.number()
}

/// Writes and counts what was decided.
#[inline(never)]
fn carry_out<F: Ingress>(skb: &Skb, here: &'static UplinkFacts, at: *mut Flow, number: u32) {
    let Some(scratch) = F::scratch(Way::In as u32) else { return };
    let arrival = scratch.arrival();
    listen::<F>(skb, scratch, &arrival, number);
    let Scratch { segment, key, entry, decision, .. } = scratch;
    let (flow, protocol) = (&decision.flow, arrival.protocol);
    match number {
        number::REFRESH => record::refresh(at, &entry.flow, flow),
        number::REFUSE => count(here.id, Reason::RebindRefused),
        number::CONFIRM => {
            record::confirm::<F>(key, protocol, entry.unconfirmed(at), flow, here.id)
        }
        number::REBIND => record::overwrite(at, flow, here.id, Reason::Rebound),
        number::ADOPT => record::open::<F>(key, flow, here.id, Reason::Adopted),
        number::OPEN => {
            if is_ours::<F>(skb, arrival.destination, segment) {
                record::open::<F>(key, flow, here.id, Reason::OpenedInbound);
            }
        }
        _ => {}
    }
}

/// Looks for the socket that gets a datagram, where it begins a flow or had none before, and notes
/// what is asked of one without an address.
#[inline(always)]
fn listen<F: Ingress>(skb: &Skb, scratch: &mut Scratch<F>, arrival: &Arrival, number: u32) {
    let Scratch { segment, entry, decision, .. } = scratch;
    let is_datagram = arrival.protocol == protocol::UDP && arrival.kind == Kind::Datagram;
    if !is_datagram || arrival.destination == Locality::NotLocal {
        return;
    }
    let begins = number == number::OPEN || number == number::REBIND;
    let known = entry.known(arrival.protocol, arrival.now);
    if !begins && !known.as_ref().is_some_and(|known| known.flow.is_for_nobody()) {
        let is_inbound = known.is_some_and(|known| known.origin == Origin::Inbound);
        if is_inbound && asked::matters(segment.destination_port) {
            asked::question::<F>(segment, arrival.now);
        }
        return;
    }
    let listener = listener::of::<F>(skb, segment);
    if listener == Listener::Wildcard {
        asked::question::<F>(segment, arrival.now);
    }
    // Who has connected from a client's port before it heard of its peer was not asked by it.
    let is_asked = match listener {
        Listener::None => false,
        Listener::Connected => !arrival.to_client_port,
        Listener::Bound | Listener::Wildcard => true,
    };
    decision.flow = decision.flow.with_socket(is_asked);
}

/// A destination that is not local is a guest behind this host, or in transit to another uplink.
#[inline(always)]
fn is_ours<F: Routed>(skb: &Skb, destination: Locality, segment: &Segment<F::Address>) -> bool {
    destination != Locality::NotLocal || guest::is_behind::<F>(skb, segment)
}
