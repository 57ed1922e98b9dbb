//! Fragments on their way out: later ones follow the first.

use prroute_common::flow::{FRAGMENT_IDLE, FragmentKey, FragmentVerdict};
use prroute_common::reason::Reason;
use prroute_common::time::{Ticks, since};
use prroute_common::uplink::{UplinkFacts, flag};
use prroute_ebpf::decide::{Locality, UplinkRef};
use prroute_ebpf::wire::{Address6, Family};

use super::action::Action;
use super::count::count;
use super::deliver::{Outgoing, deliver};
use super::frame::{Direction, Frame, RedirectTarget};
use super::maps::{FRAGMENTS, Maps, by_family};
use super::skb::Skb;
use super::{address, clock, egress, headers, observe, uplink};

/// IPv4 tells identifications apart by protocol; IPv6 does not.
#[inline(always)]
fn key(
    family: Family,
    source: Address6,
    destination: Address6,
    identification: u32,
    protocol: u8,
) -> FragmentKey {
    let protocol = if family == Family::Ipv4 { u32::from(protocol) } else { 0 };
    FragmentKey { source, destination, identification, protocol }
}

/// Remembers what was decided for a first fragment; `None` for the kernel's own way.
#[inline(always)]
pub(super) fn remember(frame: &Frame, target: Option<&RedirectTarget>, now: Ticks) {
    let Some(identification) = frame.segment.first_fragment.identification() else { return };
    let passes = FragmentVerdict { decided_at: now, ..FragmentVerdict::default() };
    let verdict = target.map_or(passes, |target| FragmentVerdict {
        uplink: target.uplink.id,
        generation: target.uplink.generation,
        decided_at: now,
        router: target.router,
    });
    write(frame, identification, &verdict);
}

#[inline(never)]
fn write(frame: &Frame, identification: u32, verdict: &FragmentVerdict) {
    let segment = &frame.segment;
    let (source, destination) = (segment.source, segment.destination);
    let key = key(frame.family, source, destination, identification, segment.protocol);
    // Without room the later fragments are decided, and counted, as ones that overtook.
    FRAGMENTS.insert(&key, verdict, 0).unwrap_or_default();
}

/// Sends the later fragment in the frame after the first one of its packet.
#[inline(never)]
pub(super) fn follow(skb: &Skb, here: &'static UplinkFacts) -> Action {
    let Some(frame) = Frame::of(Direction::Out) else { return Action::Pass };
    frame.target = RedirectTarget {
        router: 0,
        uplink: UplinkRef { id: 0, generation: 0 },
        reason: Reason::Redirected,
    };
    if headers::is_broadcast(skb, here) {
        return Action::Pass;
    }
    by_family!(frame.family, F => follow_first::<F>(skb, here, frame))
}

/// One that overtook the first is decided by its addresses: with that of another uplink it goes to the owner if it
/// was forwarded, or is the host's own, `own-source = "datapath"`, and neither a more specific route of main nor
/// the interface its socket is bound to says otherwise.
#[inline(always)]
fn follow_first<F: Maps>(skb: &Skb, here: &'static UplinkFacts, frame: &mut Frame) -> Action {
    let source = F::narrow(&frame.fragment.source);
    let destination = F::narrow(&frame.fragment.destination);
    let locality = address::locality::<F>(here, &source);
    if locality == Locality::NotLocal && !uplink::is_from_guest(skb) {
        return Action::Pass;
    }
    let mut verdict = FragmentVerdict::default();
    let (target, reason) = if find(frame, &mut verdict) {
        let uplink = UplinkRef { id: verdict.uplink, generation: verdict.generation };
        (uplink::of(uplink), Reason::Redirected)
    } else {
        if locality != Locality::OwnedHere {
            count(here.id, Reason::FragmentOvertook);
        }
        let Locality::OwnedBy(owner) = locality else { return Action::Pass };
        let Some(target) = uplink::with_id(owner) else { return Action::Pass };
        let goes = if skb.is_forwarded() {
            target.flags & flag::REPLY_OFF == 0
        } else {
            here.flags & F::OWN_SOURCE != 0
                && !skb.is_bound_to_device()
                && !address::is_specific::<F>(here, &destination)
        };
        (goes.then_some(target), Reason::RedirectedToOwner)
    };
    let Some(target) = target else { return Action::Pass };
    let router = verdict.router;
    if egress::is_right_from::<F>(skb, here, target, &source, router) {
        return Action::Pass;
    }
    let size = skb.len().saturating_sub(here.link_header);
    frame.target = RedirectTarget { router, uplink: UplinkRef::of(target), reason };
    let packet = Outgoing { source, destination, router, size, reason, may_go_to_owner: false };
    if observe::is_on() {
        return observe::fragment::<F>(skb, here, target, &packet, frame);
    }
    deliver::<F>(skb, here, target, &packet)
}

/// Whether it was decided for the first fragment of this packet, and what.
#[inline(never)]
fn find(frame: &Frame, verdict: &mut FragmentVerdict) -> bool {
    let fragment = &frame.fragment;
    let (source, destination) = (fragment.source, fragment.destination);
    let protocol = fragment.protocol;
    let key = key(frame.family, source, destination, fragment.identification, protocol);
    // SAFETY: the entry may be recycled while it is read; each of its words is valid.
    let Some(found) = (unsafe { FRAGMENTS.get(&key) }) else { return false };
    if since(clock::now(), found.decided_at) > FRAGMENT_IDLE {
        return false;
    }
    *verdict = *found;
    true
}
