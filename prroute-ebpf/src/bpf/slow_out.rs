//! The slow path of a packet that is about to leave: parts that are called one after the other, each
//! with a stack frame of its own, and that hand the scratch memory on.

use core::ptr;

use prroute_common::flow::{Flow, Origin};
use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, flag};
use prroute_ebpf::key;
use prroute_ebpf::parse::{Kind, Segment, protocol};
use prroute_ebpf::verdict::{self, Departure, Known, Locality, Outbound, Place, Write};

use super::asked::{self, AskedTables};
use super::clock;
use super::count::count;
use super::error_source::Rewrite;
use super::fragment::{self, Fragmented};
use super::listener::{self, Listening};
use super::log::{self, Logged};
use super::lookup::{self, Entry, Sought};
use super::opening;
use super::ports;
use super::record;
use super::redirect::{self, NextHop, Reply};
use super::scratch::{
    CONFIRMED, Decision, FoundEntry, NOWHERE, Scratch, Scratched, UNCONFIRMED, Way,
};
use super::skb::Skb;
use super::too_big::Complaint;

/// What a family needs here.
pub(super) trait Egress:
    NextHop + Scratched + Logged + Fragmented + Rewrite + Complaint + AskedTables + Listening
{
}

impl<F: NextHop + Scratched + Logged + Fragmented + Rewrite + Complaint + AskedTables + Listening>
    Egress for F
{
}

/// The kernel's own way, or the id of the uplink that a reply leaves by, ...
pub(super) const PASS: u32 = 0;
/// ... with this bit when it is that of the address's owner.
pub(super) const TO_OWNER: u32 = 1 << 16;

/// The verdicts, by their numbers.
mod number {
    use super::{Outbound, Place, Write};
    use prroute_common::flow::Flow;

    const FLOW: Flow = Flow::inbound(0, 0, 0);
    const PLACE: Place = Place { uplink: 0, generation: 0 };
    const REPLIES: Outbound = Outbound::Reply { place: PLACE, router: 0, write: Write::Nothing };

    pub(super) const PASS: u32 = Outbound::Pass.number();
    pub(super) const OPEN_BY_HOST: u32 = Outbound::OpenByHost(FLOW).number();
    pub(super) const OWN: u32 = Outbound::Own(Write::Nothing).number();
    pub(super) const REPLY: u32 = REPLIES.number();
    pub(super) const UNPROVED: u32 = Outbound::Unproved.number();
    pub(super) const TO_OWNER: u32 = Outbound::ToOwner(0).number();
}

/// Handles the packet whose headers are in the scratch memory; `sought` is what was found already.
/// Tells where it goes.
#[inline(always)]
pub(super) fn handle<F: Egress>(skb: &Skb, here: &'static UplinkFacts, sought: Sought) -> u32 {
    let way = prepare::<F>(skb, here);
    if way != READY {
        return way;
    }
    let (found, what) = sought.parts();
    let at = find::<F>(found, what);
    disown::<F>(skb);
    let number = decide::<F>();
    carry_out::<F>(skb, here, at, number)
}

/// No way: the flow matters.
const READY: u32 = u32::MAX;

/// Whose packet it is, and whether its flow matters; if not, where the packet goes.
#[inline(never)]
fn prepare<F: Egress>(skb: &Skb, here: &'static UplinkFacts) -> u32 {
    let Some(scratch) = F::scratch(Way::Out as u32) else { return PASS };
    log::note(&mut scratch.decided, log::UNDECIDED);
    let segment = &scratch.segment;
    let source = lookup::locality::<F>(here, &segment.source);
    // The host's own errors about packets to a guest speak of an address that is not local.
    let own_error = segment.kind == Kind::Error && !skb.is_forwarded();
    if source == Locality::NotLocal && !is_from_guest(skb) && !own_error {
        return PASS;
    }
    let exposed = source == Locality::OwnedHere && lookup::is_exposed::<F>(here, &segment.source);
    let last_hop = here.flags & F::LAST_HOP != 0;
    // What a guest opened behind a translated address leaves by the gateway that the kernel chose.
    let of_guest = here.flags & F::SUBNET_GATEWAYS != 0 && skb.is_forwarded();
    if !verdict::outbound_needs_flow(segment.kind, source, exposed || of_guest, last_hop) {
        scratch.decision.router = 0;
        return by_another_gateway::<F>(skb, here, segment, source);
    }
    let now = clock::now();
    scratch.key = key::outbound::<F>(segment);
    let departure = Departure {
        kind: segment.kind,
        tcp: segment.tcp,
        payload: skb.len().saturating_sub(here.link_header + segment.headers),
        source,
        here: Place::of(here),
        forwarded: skb.is_forwarded(),
        from_client_port: ports::is_client(segment.source_port),
        now,
    };
    let is_tcp = segment.protocol == protocol::TCP;
    scratch.keep_departure(departure);
    // An address may come to be shared while its connections are young.
    if is_tcp && (source.is_owned() || departure.kind == Kind::TcpAnswer) {
        opening::recall::<F>(&scratch.key, now);
    }
    READY
}

/// Where the packet's flow is recorded; what is recorded goes to the scratch memory.
#[inline(never)]
fn find<F: Egress>(found: *mut Flow, what: u32) -> *mut Flow {
    let Some(scratch) = F::scratch(Way::Out as u32) else { return ptr::null_mut() };
    let (segment, departure) = (&scratch.segment, scratch.departure());
    let (key, protocol, now) = (&scratch.key, segment.protocol, departure.now);
    // A reset that answers a SYN has no number of its own (RFC 9293, 3.10.7.1).
    let answers_syn = segment.kind == Kind::TcpAnswer
        || (segment.kind == Kind::TcpReset && segment.tcp.sequence == 0);
    let entry = if answers_syn {
        lookup::opening_flow::<F>(key, protocol, segment.tcp.acknowledgement, now)
    } else {
        let entry = lookup::flow::<F>(Sought::of((found, what)), key, protocol, now);
        newer::<F>(entry, key, protocol, &departure)
    };
    lookup::keep(&mut scratch.entry, entry)
}

/// The entry that a TCP segment belongs to, where there may be one of a newer connection beside the
/// confirmed one that was found.
#[inline(always)]
fn newer<F: Egress>(
    entry: Option<Entry>,
    key: &F::Key,
    protocol: u8,
    departure: &Departure,
) -> Option<Entry> {
    if let Some(found) = &entry
        && found.known.confirmed
        && protocol == protocol::TCP
        && verdict::may_be_superseded_out(&found.known, departure)
        && let Some(newer) = lookup::unconfirmed_flow::<F>(key, protocol, departure.now)
        && verdict::is_preferred_out(&newer.known, departure)
    {
        return Some(newer);
    }
    entry
}

/// Has a datagram that the host sends unasked not taken for the answer to one that came in. What was
/// recorded for that is overwritten.
#[inline(never)]
fn disown<F: Egress>(skb: &Skb) {
    let Some(scratch) = F::scratch(Way::Out as u32) else { return };
    let (segment, departure) = (&scratch.segment, scratch.departure());
    let known = scratch.entry.known(segment.protocol, departure.now);
    if known.is_some_and(|known| is_unasked::<F>(skb, segment, &known, &departure)) {
        scratch.entry.is_disowned = 1;
    }
}

/// Whether a datagram of the host's own only looks like the answer to one that came in before, which
/// anybody may have sent (R3): its socket was not there then, or was a client's, or sends to this peer
/// without being asked. Of an answered flow that is settled.
#[inline(always)]
fn is_unasked<F: Egress>(
    skb: &Skb,
    segment: &Segment<F::Address>,
    known: &Known,
    departure: &Departure,
) -> bool {
    if departure.forwarded
        || departure.kind != Kind::Datagram
        || segment.protocol != protocol::UDP
        || known.origin != Origin::Inbound
        || known.flow.is_answered()
    {
        return false;
    }
    // What is translated has no socket where it comes in.
    (known.flow.has_no_socket() && listener::sends_itself::<F>(skb, segment))
        || asked::is_hosts_peer::<F>(segment, departure.now)
}

/// The verdict's number; what else it says goes to the scratch memory.
#[inline(never)]
fn decide<F: Egress>() -> u32 {
    let Some(scratch) = F::scratch(Way::Out as u32) else { return number::PASS };
    let departure = scratch.departure();
    let Scratch { segment, entry, decision, .. } = scratch;
    let verdict = verdict::outbound(&departure, entry.known(segment.protocol, departure.now));
    log::note(&mut scratch.decided, verdict.number());
    match verdict {
        Outbound::Pass | Outbound::Unproved => {}
        Outbound::OpenByHost(flow) => decision.flow = flow,
        Outbound::Own(write) => keep(decision, write),
        Outbound::Reply { place, router, write } => {
            (decision.place, decision.router) = (place, router);
            keep(decision, write);
        }
        Outbound::ToOwner(owner) => decision.place = Place { uplink: owner, generation: 0 },
    }
    verdict.number()
}

#[inline(always)]
fn keep(decision: &mut Decision, write: Write) {
    match write {
        Write::Nothing => decision.table = NOWHERE,
        Write::Refresh(flow) => (decision.table, decision.flow) = (UNCONFIRMED, flow),
        Write::Confirm(flow) => (decision.table, decision.flow) = (CONFIRMED, flow),
    }
}

/// Writes and counts what was decided; tells where the packet goes.
#[inline(never)]
fn carry_out<F: Egress>(skb: &Skb, here: &'static UplinkFacts, at: *mut Flow, number: u32) -> u32 {
    let Some(scratch) = F::scratch(Way::Out as u32) else { return PASS };
    let departure = scratch.departure();
    let Scratch { segment, key, entry, decision, .. } = scratch;
    let (protocol, now) = (segment.protocol, departure.now);
    let is_confirmed = !at.is_null() && entry.unconfirmed(at).is_null();
    match number {
        number::UNPROVED => {
            count(here.id, Reason::Unconfirmed);
            return PASS;
        }
        // The host's datagrams prove nothing, and need not.
        number::OWN if decision.table == CONFIRMED && departure.kind == Kind::Datagram => {
            let is_stored =
                record::store::<F>(key, protocol, entry.unconfirmed(at), &decision.flow);
            if !is_stored {
                count(here.id, Reason::TableFull);
            }
        }
        number::OWN => write::<F>(key, protocol, at, entry, decision, here.id),
        // The ports of a confirmed flow of others come to a flow of the host's own.
        number::OPEN_BY_HOST if is_confirmed => {
            record::overwrite(at, &decision.flow, here.id, Reason::OpenedByHost);
        }
        number::OPEN_BY_HOST => {
            record::open::<F>(key, &decision.flow, here.id, Reason::OpenedByHost);
        }
        number::REPLY => {
            write::<F>(key, protocol, at, entry, decision, decision.place.uplink);
            let target = lookup::uplink_of(decision.place);
            return follow::<F>(
                skb,
                here,
                segment,
                target,
                decision.router,
                Reason::Redirected,
                now,
            );
        }
        number::PASS => {
            fragment::passes::<F>(segment, now);
            decision.router = 0;
            return by_another_gateway::<F>(skb, here, segment, departure.source);
        }
        // Nothing is recorded of what comes in here, nor of what the host opens.
        number::TO_OWNER if here.flags & flag::REPLY_OFF != 0 && !departure.forwarded => {}
        number::TO_OWNER => {
            decision.router = 0;
            let target = lookup::uplink_by_id(decision.place.uplink);
            let reason = Reason::RedirectedToOwner;
            return follow::<F>(skb, here, segment, target, 0, reason, now);
        }
        _ => {}
    }
    fragment::passes::<F>(segment, now);
    PASS
}

/// Where a reply goes, and what is left of its packet with it.
#[inline(always)]
fn follow<F: Egress>(
    skb: &Skb,
    here: &'static UplinkFacts,
    segment: &Segment<F::Address>,
    target: Option<&'static UplinkFacts>,
    router: u64,
    reason: Reason,
    now: prroute_common::time::Ticks,
) -> u32 {
    let Some(target) = target else {
        count(here.id, Reason::UplinkGone);
        return PASS;
    };
    fragment::follows::<F>(segment, &Reply { target, router, reason }, now);
    // Most replies leave by the right uplink already.
    let there = target.ifindex == skb.ifindex();
    if there
        && router == 0
        && segment.kind != Kind::Error
        && !redirect::may_change_gateway::<F>(skb, here, &segment.source)
    {
        return PASS;
    }
    let id = u32::from(target.id);
    if reason == Reason::RedirectedToOwner { TO_OWNER | id } else { id }
}

/// A segment of a connection without a record leaves by the owner of its address: only the gateway
/// may be another subnet's.
#[inline(always)]
fn by_another_gateway<F: Egress>(
    skb: &Skb,
    here: &'static UplinkFacts,
    segment: &Segment<F::Address>,
    source: Locality,
) -> u32 {
    let is_tcp = matches!(segment.kind, Kind::Tcp | Kind::TcpAnswer | Kind::TcpReset);
    let changes = is_tcp
        && source == Locality::OwnedHere
        && redirect::may_change_gateway::<F>(skb, here, &segment.source);
    if changes { u32::from(here.id) } else { PASS }
}

#[inline(always)]
fn write<F: Egress>(
    key: &F::Key,
    protocol: u8,
    at: *mut Flow,
    entry: &FoundEntry,
    decision: &Decision,
    uplink: u16,
) {
    let flow = &decision.flow;
    match decision.table {
        UNCONFIRMED => record::refresh(at, &entry.flow, flow),
        CONFIRMED => record::confirm::<F>(key, protocol, entry.unconfirmed(at), flow, uplink),
        _ => {}
    }
}

/// A forwarded packet that came in on an uplink is in transit.
#[inline(always)]
pub(super) fn is_from_guest(skb: &Skb) -> bool {
    skb.is_forwarded() && lookup::uplink_at(skb.ingress_ifindex()).is_none()
}
