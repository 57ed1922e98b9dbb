//! Egress: sends replies out of the uplink their flow came in on.

use prroute_common::flow::Flow;
use prroute_common::reason::Reason;
use prroute_common::uplink::UplinkFacts;
use prroute_ebpf::family::{Ipv4, Ipv6, is_inline_address};
use prroute_ebpf::key;
use prroute_ebpf::parse::outline::{Common, Outline};
use prroute_ebpf::parse::{Kind, LaterFragment, Segment, protocol};
use prroute_ebpf::verdict::{self, Departure, Locality, Outbound, Place, Settled, Write};

use super::action::Action;
use super::clock;
use super::count::count;
use super::error_source::{self, Rewrite};
use super::fragment::{self, Fragmented};
use super::headers::{self, Headers};
use super::log::{self, Logged};
use super::lookup::{self, Entry, Found, Sought, Tables};
use super::opening;
use super::record;
use super::redirect::{self, Ends, NextHop, Reply};
use super::scratch::{Scratch, Scratched, Way};
use super::skb::{Network, Skb};
use super::too_big::{self, Complaint, Told};

/// What a family needs here.
trait Egress: NextHop + Scratched + Logged + Fragmented + Rewrite + Complaint {}

impl<F: NextHop + Scratched + Logged + Fragmented + Rewrite + Complaint> Egress for F {}

#[inline(always)]
pub(super) fn run(skb: &Skb) -> Action {
    if skb.is_redirected() {
        return Action::Pass;
    }
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

/// Most packets leave where they should, and tell nothing new, which a first look shows.
#[inline(always)]
fn steer<F: Egress>(skb: &Skb, here: &'static UplinkFacts) -> Action {
    let mut sought = Sought::NotYet;
    if here.flags & F::LAST_HOP == 0
        && !log::is_on()
        && let Some(outline) = headers::outline::<F>(skb, here)
        && !redirect::may_change_gateway::<F>(skb, here, &outline.source)
    {
        match first_look::<F>(skb, here, &outline) {
            Look::Enough(action) => return action,
            Look::Closer(found) => sought = found,
        }
    }
    match headers::read::<F>(skb, here, Way::Out) {
        Headers::Segment => {
            let (found, what) = sought.parts();
            let way = look_closer::<F>(skb, here, found, what);
            log::decision::<F>(skb, Way::Out);
            match way {
                PASS => Action::Pass,
                way => Action::from_code(answer::<F>(skb, here, way)),
            }
        }
        Headers::LaterFragment => Action::from_code(follow::<F>(skb, here)),
        Headers::None => Action::Pass,
    }
}

enum Look {
    Enough(Action),
    Closer(Sought),
}

#[inline(always)]
fn first_look<F: Egress>(skb: &Skb, here: &UplinkFacts, outline: &Outline<F::Address>) -> Look {
    if outline.kind != Common::Udp {
        let is_owned = is_inline_address::<F>(here, &outline.source);
        let needs_no_flow = is_owned && !lookup::may_be_exposed(here);
        let closer = Look::Closer(Sought::NotYet);
        return if needs_no_flow { Look::Enough(Action::Pass) } else { closer };
    }
    let Some(found) = lookup::any::<F>(&key::outbound_outline::<F>(outline)) else {
        return Look::Closer(Sought::Nowhere);
    };
    match goes_on::<F>(skb, here, outline, &found) {
        Some(action) => Look::Enough(action),
        None => Look::Closer(found.into()),
    }
}

/// Where a datagram goes that adds no more to its flow than a later time, which is written where it
/// is due; `None` for others.
#[inline(always)]
fn goes_on<F: Egress>(
    skb: &Skb,
    here: &UplinkFacts,
    outline: &Outline<F::Address>,
    found: &Found,
) -> Option<Action> {
    let (place, now) = (Place::of(here), clock::now());
    match verdict::settled_out(&found.flow, place, now) {
        Settled::Here => Some(Action::Pass),
        // A packet in transit that has the ports of a guest's conversation is none of it.
        Settled::At(_) if skb.is_forwarded() && !is_from_guest(skb) => None,
        Settled::At(place) => {
            let target = lookup::uplink_of(place)?;
            let ends = Ends { source: &outline.source, destination: &outline.destination };
            redirect::send_settled::<F>(skb, here, &ends, target)
        }
        Settled::No => {
            // A source that is not local may be in transit, which adds nothing.
            if !is_inline_address::<F>(here, &outline.source) {
                return None;
            }
            let flow = verdict::later_out(&found.flow, found.confirmed, place, now)?;
            record::times(found, flow);
            Some(Action::Pass)
        }
    }
}

/// What [`look_closer`] decides: the kernel's own way, or the id of the uplink that a reply leaves
/// by, ...
const PASS: u32 = 0;
/// ... with this bit when it is that of the address's owner.
const TO_OWNER: u32 = 1 << 16;

/// Decides by what was read into the scratch memory; the parts of a [`Sought`] say what was found
/// already. A function of its own, with a stack frame of its own; such functions return numbers.
#[inline(never)]
fn look_closer<F: Egress>(
    skb: &Skb,
    here: &'static UplinkFacts,
    found: *mut Flow,
    what: u32,
) -> u32 {
    let Some(scratch) = F::scratch(Way::Out as u32) else { return PASS };
    let Some(reply) = decide::<F>(skb, here, scratch, Sought::of((found, what))) else {
        return PASS;
    };
    scratch.router = reply.router;
    let id = u32::from(reply.target.id);
    if reply.reason == Reason::RedirectedToOwner { TO_OWNER | id } else { id }
}

#[inline(always)]
fn decide<F: Egress>(
    skb: &Skb,
    here: &'static UplinkFacts,
    scratch: &mut Scratch<F>,
    sought: Sought,
) -> Option<Reply> {
    log::note(&mut scratch.decided, log::UNDECIDED);
    let segment = &scratch.segment;
    let source = lookup::locality::<F>(here, &segment.source);
    // The host's own errors about packets to a guest speak of an address that is not local.
    let own_error = segment.kind == Kind::Error && !skb.is_forwarded();
    if source == Locality::NotLocal && !is_from_guest(skb) && !own_error {
        return None;
    }
    let exposed = source == Locality::OwnedHere && lookup::is_exposed::<F>(here, &segment.source);
    let last_hop = here.flags & F::LAST_HOP != 0;
    if !verdict::outbound_needs_flow(segment.kind, source, exposed, last_hop) {
        return by_another_gateway::<F>(skb, here, segment, source);
    }
    let now = clock::now();
    scratch.key = key::outbound::<F>(segment);
    let key = &scratch.key;
    // An address may come to be shared while its connections are young.
    if segment.protocol == protocol::TCP && (source.is_owned() || segment.kind == Kind::TcpAnswer) {
        opening::recall::<F>(key, now);
    }
    let entry = if segment.kind == Kind::TcpAnswer {
        lookup::opening_flow::<F>(key, segment.protocol, now)
    } else {
        lookup::flow::<F>(sought, key, segment.protocol, now)
    };
    let departure = Departure {
        kind: segment.kind,
        tcp: segment.tcp,
        payload: skb.len().saturating_sub(here.link_header + segment.headers),
        source,
        here: Place::of(here),
        forwarded: skb.is_forwarded(),
        now,
    };
    let verdict = verdict::outbound(&departure, entry.as_ref().map(|entry| entry.known));
    log::note(&mut scratch.decided, verdict.number());
    let reply = match verdict {
        Outbound::Pass => {
            fragment::passes::<F>(segment, now);
            return by_another_gateway::<F>(skb, here, segment, source);
        }
        Outbound::Unproved => {
            count(here.id, Reason::Unconfirmed);
            return None;
        }
        Outbound::Own(write) => {
            note::<F>(key, entry, write, here.id);
            fragment::passes::<F>(segment, now);
            return None;
        }
        Outbound::OpenByHost(flow) => {
            match entry {
                // The ports of a confirmed flow of others come to a flow of the host's own.
                Some(entry) if entry.known.confirmed => {
                    record::overwrite(Some(entry), flow, here.id, Reason::OpenedByHost);
                }
                _ => record::open::<F>(key, flow, here.id, Reason::OpenedByHost),
            }
            fragment::passes::<F>(segment, now);
            return None;
        }
        Outbound::Reply { place, router, write } => {
            note::<F>(key, entry, write, place.uplink);
            let Some(target) = lookup::uplink_of(place) else {
                count(here.id, Reason::UplinkGone);
                return None;
            };
            Reply { target, router, reason: Reason::Redirected }
        }
        Outbound::ToOwner(owner) => {
            let Some(target) = lookup::uplink_by_id(owner) else {
                count(here.id, Reason::UplinkGone);
                return None;
            };
            Reply { target, router: 0, reason: Reason::RedirectedToOwner }
        }
    };
    fragment::follows::<F>(segment, &reply, now);
    // Most replies leave by the right uplink already.
    let there = reply.target.ifindex == skb.ifindex();
    if there
        && reply.router == 0
        && segment.kind != Kind::Error
        && !redirect::may_change_gateway::<F>(skb, here, &segment.source)
    {
        return None;
    }
    Some(reply)
}

/// A segment of a connection without a record leaves by the owner of its address: only the gateway
/// may be another subnet's.
#[inline(always)]
fn by_another_gateway<F: Egress>(
    skb: &Skb,
    here: &'static UplinkFacts,
    segment: &Segment<F::Address>,
    source: Locality,
) -> Option<Reply> {
    let is_tcp = matches!(segment.kind, Kind::Tcp | Kind::TcpAnswer | Kind::TcpReset);
    let changes = is_tcp
        && source == Locality::OwnedHere
        && redirect::may_change_gateway::<F>(skb, here, &segment.source);
    changes.then_some(Reply { target: here, router: 0, reason: Reason::Redirected })
}

/// Sends a reply on its way. A function of its own, as above.
#[inline(never)]
fn answer<F: Egress>(skb: &Skb, here: &'static UplinkFacts, way: u32) -> i32 {
    let Some(scratch) = F::scratch(Way::Out as u32) else { return Action::Pass.code() };
    let Some(target) = lookup::uplink_by_id((way & !TO_OWNER) as u16) else {
        return Action::Pass.code();
    };
    let reason = if way & TO_OWNER == 0 { Reason::Redirected } else { Reason::RedirectedToOwner };
    let reply = Reply { target, router: scratch.router, reason };
    send::<F>(skb, here, &scratch.segment, &reply).code()
}

#[inline(always)]
fn send<F: Egress>(
    skb: &Skb,
    here: &'static UplinkFacts,
    segment: &Segment<F::Address>,
    reply: &Reply,
) -> Action {
    if segment.kind == Kind::Error {
        error_source::correct::<F>(skb, here, segment, reply.target);
    }
    if segment.kind == Kind::TcpAnswer && reply.target.mtu < here.mtu {
        redirect::fit::<F>(skb, here, segment, reply.target);
    }
    let size = redirect::size_of_segment::<F>(skb, here, segment);
    if size > reply.target.mtu && segment.kind != Kind::Error && lookup::is_up(reply.target) {
        match too_big::complain::<F>(skb, here, segment, reply.target) {
            Told::No => {}
            Told::Yes => {
                count(reply.target.id, Reason::SenderTold);
                return Action::Redirect;
            }
            Told::Spoilt => {
                count(reply.target.id, Reason::TooBig);
                return Action::Drop;
            }
        }
    }
    let ends = Ends { source: &segment.source, destination: &segment.destination };
    redirect::send::<F>(skb, here, &ends, reply, size)
}

/// A forwarded packet that came in on an uplink is in transit.
#[inline(always)]
fn is_from_guest(skb: &Skb) -> bool {
    skb.is_forwarded() && lookup::uplink_at(skb.ingress_ifindex()).is_none()
}

/// A fragment follows the first one of its packet. One that overtook it is decided by its
/// address alone: a forwarded one of another uplink's address goes to the owner.
#[inline(never)]
fn follow<F: Egress>(skb: &Skb, here: &'static UplinkFacts) -> i32 {
    match F::scratch(Way::Out as u32) {
        Some(scratch) => follow_first::<F>(skb, here, &scratch.fragment).code(),
        None => Action::Pass.code(),
    }
}

#[inline(always)]
fn follow_first<F: NextHop + Fragmented>(
    skb: &Skb,
    here: &'static UplinkFacts,
    fragment: &LaterFragment<F::Address>,
) -> Action {
    let source = lookup::locality::<F>(here, &fragment.source);
    if source == Locality::NotLocal && !is_from_guest(skb) {
        return Action::Pass;
    }
    let reply = match fragment::way_of::<F>(fragment) {
        Some(way) if way.uplink == 0 => return Action::Pass,
        Some(way) => {
            let place = Place { uplink: way.uplink, generation: way.generation };
            let Some(target) = lookup::uplink_of(place) else { return Action::Pass };
            Reply { target, router: way.router, reason: Reason::Redirected }
        }
        None => {
            if source != Locality::OwnedHere {
                count(here.id, Reason::FragmentOvertook);
            }
            let Locality::OwnedBy(owner) = source else { return Action::Pass };
            let Some(target) = lookup::uplink_by_id(owner) else { return Action::Pass };
            if !skb.is_forwarded() {
                return Action::Pass;
            }
            Reply { target, router: 0, reason: Reason::RedirectedToOwner }
        }
    };
    let size = skb.len().saturating_sub(here.link_header);
    let ends = Ends { source: &fragment.source, destination: &fragment.destination };
    redirect::send::<F>(skb, here, &ends, &reply, size)
}

#[inline(always)]
fn note<F: Tables>(key: &F::Key, entry: Option<Entry>, write: Write, uplink: u16) {
    match write {
        Write::Nothing => {}
        Write::Refresh(flow) => record::refresh(entry, flow),
        Write::Confirm(flow) => record::confirm::<F>(key, flow, uplink),
    }
}
