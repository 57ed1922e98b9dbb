//! Reports of single packets, while somebody asks for them: a packet that is asked for takes the slow path, and
//! what became of it goes to a ring buffer. While nobody asks that is one bit of a word that a packet reads anyway.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_skb_load_bytes};
use prroute_common::flow::Origin;
use prroute_common::reason::Reason;
use prroute_common::time::{Ticks, is_within};
use prroute_common::trace::{CAPTURED, Ends, Filter, NO_DECISION, Report, Verdict, WINDOW, about};
use prroute_common::uplink::{UplinkFacts, flag};
use prroute_ebpf::decide::deliver::Delivery;
use prroute_ebpf::decide::{InboundKind, OutboundKind};
use prroute_ebpf::wire::{Address6, Family, Wire as _};

use super::action::Action;
use super::deliver::{self, Outgoing};
use super::egress;
use super::frame::{Direction, Frame, Table, WriteTo};
use super::maps::{Maps, TRACE_FILTER, TRACE_RATE, TRACE_REPORTS, by_family};
use super::outbound::Next;
use super::skb::Skb;
use super::{by_words, clock, headers, observe, uplink};

/// Whether anybody asks, as far as is known: a bit of a word that every packet reads.
#[inline(always)]
pub(super) const fn is_on(here: &UplinkFacts) -> bool {
    here.flags & flag::TRACED != 0
}

/// Whether somebody asks for a packet with plain headers, where anybody asks.
#[inline(always)]
pub(super) fn asks_for<F: Maps>(
    skb: &Skb,
    here: &'static UplinkFacts,
    direction: Direction,
) -> bool {
    is_about::<F>(skb, here, direction as u32) != 0
}

/// The filter, if somebody still asks. Of one who is gone nothing is left.
#[inline(always)]
fn filter(here: &'static UplinkFacts) -> Option<&'static Filter> {
    let filter = TRACE_FILTER.get_ptr_mut(0)?;
    // SAFETY: the pointer is to a live map value; its words are valid on their own.
    let filter = unsafe { &mut *filter };
    if filter.until == 0 || filter.is_over(clock::now()) {
        filter.until = 0;
        forget(here);
        return None;
    }
    Some(filter)
}

/// Takes the bit away. Who asks at this moment sets it again in a second.
#[inline(always)]
fn forget(here: &'static UplinkFacts) {
    let flags = (&raw const here.flags).cast_mut();
    // SAFETY: the facts are a live map value, of which the loader writes only what is not in force.
    unsafe { flags.write_volatile(here.flags & !flag::TRACED) };
}

/// A function of its own, which reads the headers itself: nothing is left of it in the fast path.
#[inline(never)]
fn is_about<F: Maps>(skb: &Skb, here: &'static UplinkFacts, direction: u32) -> u32 {
    let Some(filter) = filter(here) else { return 0 };
    // The fast path changes none.
    if filter.changes != 0 {
        return 0;
    }
    // What is not plain takes the slow path anyway.
    let Some(headers) = headers::fast::<F>(skb, here) else { return 0 };
    let (source, destination) = (F::widen(headers.source), F::widen(headers.destination));
    let (from, to) = (headers.source_port(), headers.destination_port());
    let ends = ends(direction, (&source, from), (&destination, to), headers.protocol, F::FAMILY);
    u32::from(filter.is_about(&ends))
}

#[inline(always)]
fn ends<'a>(
    direction: u32,
    source: (&'a Address6, [u8; 2]),
    destination: (&'a Address6, [u8; 2]),
    protocol: u8,
    family: Family,
) -> Ends<'a> {
    let comes_in = direction == Direction::In as u32;
    let (local, remote) = if comes_in { (destination, source) } else { (source, destination) };
    let version = if family == Family::Ipv4 { 4 } else { 6 };
    let ((local, local_port), (remote, remote_port)) = (local, remote);
    Ends { local, remote, local_port, remote_port, protocol, version }
}

/// Notes how the packet in the frame gets to its target, before it is changed for that. A function of its own,
/// as the next ones: in the program's stack frame each question whether anybody asks would take room.
#[inline(never)]
pub(super) fn foresee(skb: &Skb, here: &'static UplinkFacts, next: Next) -> u32 {
    let Some(frame) = Frame::of(Direction::Out) else { return 0 };
    frame.delivery = 0;
    if next != Next::Redirect || !is_on(here) {
        return 0;
    }
    let Some(target) = uplink::of(frame.target.uplink) else { return 0 };
    let (router, reason) = (frame.target.router, frame.target.reason);
    let delivery = by_family!(frame.family, F => {
        if egress::is_right::<F>(skb, here, frame, target) {
            Delivery::Stay
        } else {
            let source = F::narrow(&frame.segment.source);
            let destination = F::narrow(&frame.segment.destination);
            let size = egress::size_of_segment(skb, here, frame);
            let packet = Outgoing { source, destination, router, size, reason, may_go_to_owner: false };
            let redirect = deliver::redirect::<F>(here, target, &packet);
            deliver::delivery_of(&redirect, &packet, uplink::is_up(target))
        }
    });
    let is_there = delivery == Delivery::Readdress && deliver::is_addressed_to(skb, router);
    frame.delivery = if is_there { Delivery::Stay.code() } else { delivery.code() };
    0
}

/// Reports the packet in the frame that came in, if somebody asks for it.
#[inline(always)]
pub(super) fn came_in(skb: &Skb, here: &'static UplinkFacts) {
    report(skb, here, IN);
}

/// Likewise of a packet that leaves, or a later fragment.
#[inline(always)]
pub(super) fn leaves(skb: &Skb, here: &'static UplinkFacts, action: Action, is_fragment: bool) {
    let action = match action {
        Action::Pass | Action::NoWay => 0,
        Action::Redirect => REDIRECTED,
        Action::Drop => DROPPED,
    };
    report(skb, here, OUT | action | if is_fragment { FRAGMENT } else { 0 });
}

/// What is known of a packet besides its frame, in one word.
const IN: u32 = 0;
const OUT: u32 = 1;
const REDIRECTED: u32 = 2;
const DROPPED: u32 = 4;
const FRAGMENT: u32 = 8;

#[inline(never)]
fn report(skb: &Skb, here: &'static UplinkFacts, what: u32) -> u32 {
    if !is_on(here) {
        return 0;
    }
    let direction = if what & OUT == 0 { Direction::In } else { Direction::Out };
    let Some(frame) = Frame::of(direction) else { return 0 };
    let verdict = verdict(frame, what);
    let target = target(frame, what);
    if !is_asked_for(frame, here, what, verdict, target) {
        return 0;
    }
    let Some(mut entry) = TRACE_REPORTS.reserve::<Report>(0) else {
        skip();
        return 0;
    };
    // SAFETY: what is reserved is as large as a report. All but the bytes behind those that are
    // captured is written before it is handed on, and is valid whatever it is.
    fill(unsafe { &mut *entry.as_mut_ptr() }, frame, what, target);
    // SAFETY: as above.
    let report = unsafe { &mut *entry.as_mut_ptr() };
    report.ifindex = skb.ifindex();
    report.length = skb.len();
    report.uplink = here.id;
    report.link_header = here.link_header as u8;
    report.target = target;
    report.verdict = verdict as u8;
    report.captured = capture(skb, report);
    entry.submit(0);
    0
}

/// Whether somebody asks for it, and it is not one too many.
#[inline(always)]
fn is_asked_for(
    frame: &Frame,
    here: &'static UplinkFacts,
    what: u32,
    verdict: Verdict,
    target: u16,
) -> bool {
    let Some(filter) = filter(here) else { return false };
    let segment = &frame.segment;
    let fragment = &frame.fragment;
    let ends = if what & FRAGMENT == 0 {
        let from = (&segment.source, segment.source_port);
        let to = (&segment.destination, segment.destination_port);
        ends(what & OUT, from, to, segment.protocol, frame.family)
    } else {
        let (from, to) = ((&fragment.source, [0; 2]), (&fragment.destination, [0; 2]));
        ends(what & OUT, from, to, fragment.protocol, frame.family)
    };
    let may_be =
        filter.changes == 0 || (frame.is_decided && what & FRAGMENT == 0 && changes(frame));
    may_be
        && filter.is_about(&ends)
        && filter.is_about_verdict(verdict, here.id, target)
        && has_room(filter.most, clock::now())
}

#[inline(always)]
fn has_room(most: u32, now: Ticks) -> bool {
    let Some(rate) = TRACE_RATE.get_ptr_mut(0) else { return false };
    // SAFETY: the pointer is to a live map value; a lost increment is only a wrong count.
    let rate = unsafe { &mut *rate };
    if !is_within(now, rate.since, WINDOW) {
        (rate.since, rate.reported) = (now, 0);
    }
    let has_room = rate.reported < most;
    if has_room {
        rate.reported += 1;
    } else {
        rate.skipped += 1;
    }
    has_room
}

#[inline(always)]
fn skip() {
    if let Some(rate) = TRACE_RATE.get_ptr_mut(0) {
        // SAFETY: as in `has_room`.
        unsafe { (*rate).skipped += 1 };
    }
}

#[inline(always)]
fn verdict(frame: &Frame, what: u32) -> Verdict {
    let is_fragment = what & FRAGMENT != 0;
    let delivery = if is_fragment || what & OUT == 0 { 0 } else { frame.delivery };
    if what & REDIRECTED != 0 {
        let is_too_big = delivery == Delivery::Leave(Reason::TooBig).code();
        return if is_too_big { Verdict::Told } else { Verdict::Moved };
    }
    if what & DROPPED != 0 {
        let is_too_big = delivery == Delivery::Leave(Reason::TooBig).code();
        return if is_too_big { Verdict::Dropped } else { Verdict::Held };
    }
    if delivery == Delivery::Readdress.code() && !observe::is_on() {
        return Verdict::Moved;
    }
    if is_fragment || !frame.is_decided {
        return Verdict::Passed;
    }
    let is_refused = if what & OUT == 0 {
        frame.came_in == InboundKind::RefuseRebind
    } else {
        frame.leaves == OutboundKind::Unproved
    };
    if is_refused { Verdict::Refused } else { Verdict::Passed }
}

/// The uplink that it should leave by.
#[inline(always)]
fn target(frame: &Frame, what: u32) -> u16 {
    let is_question = what & OUT != 0
        && (what & FRAGMENT != 0
            || frame.sends_own
            || frame.changes_gateway
            || (frame.is_decided
                && matches!(frame.leaves, OutboundKind::Reply | OutboundKind::ToOwner)));
    if is_question { frame.target.uplink.id } else { 0 }
}

/// What the frame has.
#[inline(always)]
fn fill(report: &mut Report, frame: &Frame, what: u32, target: u16) {
    let (segment, fragment) = (&frame.segment, &frame.fragment);
    let is_fragment = what & FRAGMENT != 0;
    // SAFETY: the helper takes no arguments and reads a clock.
    report.time_ns = unsafe { bpf_ktime_get_ns() };
    if is_fragment {
        by_words::set(&mut report.source, fragment.source);
        by_words::set(&mut report.destination, fragment.destination);
        (report.source_port, report.destination_port) = ([0; 2], [0; 2]);
        report.protocol = fragment.protocol;
    } else {
        by_words::set(&mut report.source, segment.source);
        by_words::set(&mut report.destination, segment.destination);
        report.source_port = segment.source_port;
        report.destination_port = segment.destination_port;
        report.protocol = segment.protocol;
    }
    report.version = if frame.family == Family::Ipv4 { 4 } else { 6 };
    report.direction = (what & OUT) as u8;
    report.router = if what & OUT == 0 { 0 } else { frame.target.router };
    report.delivery = if is_fragment || what & OUT == 0 { 0 } else { frame.delivery };
    report.pad = [0; 2];
    let is_decided = frame.is_decided && !is_fragment;
    let decision = if what & OUT == 0 { frame.came_in as u8 } else { frame.leaves as u8 };
    report.decision = if is_decided { decision } else { NO_DECISION };
    let entry = if is_decided { frame.entry.get() } else { None };
    report.flow_on = entry.map_or(0, |entry| entry.uplink().id);
    report.about = bits([
        (frame.entry.table == Table::Confirmed && entry.is_some(), about::CONFIRMED),
        (entry.is_some_and(|entry| entry.origin == Origin::Host), about::OPENED_BY_HOST),
        (is_fragment, about::LATER_FRAGMENT),
        (what & OUT != 0 && !is_fragment && frame.sends_own, about::OWN_SOURCE),
        (observe::is_on(), about::OBSERVED),
        (target != 0 && uplink::of(frame.target.uplink).is_none(), about::TARGET_GONE),
        (is_decided && changes(frame), about::CHANGES),
    ]);
}

#[inline(always)]
fn bits<const N: usize>(all: [(bool, u8); N]) -> u8 {
    let mut bits = 0;
    for (is, bit) in all {
        if is {
            bits |= bit;
        }
    }
    bits
}

/// Whether the packet in the frame, of which it was decided, opens, confirms or moves its flow.
#[inline(always)]
fn changes(frame: &Frame) -> bool {
    matches!(frame.write.to, WriteTo::EntryAnew | WriteTo::Unconfirmed | WriteTo::Confirmed)
}

/// Copies the packet's first bytes, and tells how many.
#[inline(always)]
fn capture(skb: &Skb, report: &mut Report) -> u32 {
    const LAST: u32 = CAPTURED as u32 - 1;
    // The number of the last byte: that there is one to copy the verifier sees by the addition alone
    // (before Linux 6.8 it learns nothing from a comparison with 0).
    let last = skb.len().wrapping_sub(1);
    let captured = if last < LAST { last } else { LAST } + 1;
    let to = (&raw mut report.packet).cast();
    // SAFETY: the context is valid, and there is room for so many bytes.
    let result = unsafe { bpf_skb_load_bytes(skb.context().as_ptr().cast(), 0, to, captured) };
    if result == 0 { captured } else { 0 }
}
