//! Egress: sends replies out of the uplink their flow came in on.

use prroute_common::reason::Reason;
use prroute_common::uplink::UplinkFacts;
use prroute_ebpf::family::{Ipv4, Ipv6, is_inline_address};
use prroute_ebpf::key;
use prroute_ebpf::parse::outline::{Common, Outline};
use prroute_ebpf::parse::{Kind, LaterFragment, Segment};
use prroute_ebpf::verdict::{self, Locality, Place, Settled};

use super::action::Action;
use super::clock;
use super::count::count;
use super::error_source;
use super::fragment::{self, Fragmented};
use super::headers::{self, Headers};
use super::log;
use super::lookup::{self, Found, Sought};
use super::record;
use super::redirect::{self, Ends, NextHop, Reply};
use super::scratch::Way;
use super::skb::{Network, Skb};
use super::slow_out::{self, Egress, PASS, TO_OWNER};
use super::too_big::{self, Told};

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
            let way = slow_out::handle::<F>(skb, here, sought);
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
    let Some(found) = lookup::datagram::<F>(&key::outbound_outline::<F>(outline)) else {
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
    match verdict::settled_out(&found.flow, found.confirmed, place, now) {
        Settled::Here => Some(Action::Pass),
        // A packet in transit that has the ports of a guest's conversation is none of it.
        Settled::At(_) if skb.is_forwarded() && !slow_out::is_from_guest(skb) => None,
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

/// Sends a reply on its way. A function of its own, with a stack frame of its own; such functions
/// return numbers.
#[inline(never)]
fn answer<F: Egress>(skb: &Skb, here: &'static UplinkFacts, way: u32) -> i32 {
    let Some(scratch) = F::scratch(Way::Out as u32) else { return Action::Pass.code() };
    let Some(target) = lookup::uplink_by_id((way & !TO_OWNER) as u16) else {
        return Action::Pass.code();
    };
    let reason = if way & TO_OWNER == 0 { Reason::Redirected } else { Reason::RedirectedToOwner };
    let reply = Reply { target, router: scratch.decision.router, reason };
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
    if source == Locality::NotLocal && !slow_out::is_from_guest(skb) {
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
