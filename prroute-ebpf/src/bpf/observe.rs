//! `mode = "observe"`: what was decided is counted, and the packet stays as it is. The programs that are loaded
//! to enforce have none of this: the verifier folds [`is_on`].
//!
//! What would be told to a sender, or dropped, is counted as not redirected, which it is.

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_NOEXIST;
use prroute_common::observe::WrongUplinkKey;
use prroute_common::reason::Reason;
use prroute_common::uplink::UplinkFacts;
use prroute_ebpf::decide::deliver::Delivery;
use prroute_ebpf::wire::parse::protocol;
use prroute_ebpf::wire::{Address6, Family, Wire as _};

use super::action::Action;
use super::count::count;
use super::deliver::{self, Outgoing};
use super::egress;
use super::frame::{Direction, Frame};
use super::maps::{Maps, WRONG_UPLINK, by_family};
use super::skb::Skb;
use super::uplink;

/// Not 0: packets are only observed.
#[unsafe(no_mangle)]
static OBSERVE: Global<u32> = Global::new(0);

/// Whether packets are only observed; a constant to the verifier.
#[inline(always)]
pub(super) fn is_on() -> bool {
    OBSERVE.load() != 0
}

/// Counts what would be done with the packet in the frame, which has a target.
#[inline(never)]
pub(super) fn segment(skb: &Skb, here: &'static UplinkFacts) -> Action {
    let Some(frame) = Frame::of(Direction::Out) else { return Action::Pass };
    let Some(target) = uplink::of(frame.target.uplink) else { return Action::Pass };
    let (router, reason) = (frame.target.router, frame.target.reason);
    let is_wrong = by_family!(frame.family, F => {
        if egress::is_right::<F>(skb, here, frame, target) {
            return Action::Pass;
        }
        let source = F::narrow(&frame.segment.source);
        let destination = F::narrow(&frame.segment.destination);
        let size = egress::size_of_segment(skb, here, frame);
        let packet = Outgoing { source, destination, router, size, reason, may_go_to_owner: false };
        leaves_wrong::<F>(skb, here, target, &packet)
    });
    if is_wrong {
        let segment = &frame.segment;
        // The identifier of an echo is no service.
        let port = match segment.protocol {
            protocol::ICMP | protocol::ICMPV6 => [0; 2],
            _ => segment.source_port,
        };
        let (address, protocol) = (segment.source, segment.protocol);
        add(&key(frame.family, address, protocol, port, here, target));
    }
    Action::Pass
}

/// Likewise of a later fragment, which has no ports.
#[inline(always)]
pub(super) fn fragment<F: Maps>(
    skb: &Skb,
    here: &UplinkFacts,
    target: &UplinkFacts,
    packet: &Outgoing<F::Address>,
    frame: &Frame,
) -> Action {
    if leaves_wrong::<F>(skb, here, target, packet) {
        let (address, protocol) = (frame.fragment.source, frame.fragment.protocol);
        add(&key(F::FAMILY, address, protocol, [0; 2], here, target));
    }
    Action::Pass
}

/// Counts what `deliver` would do, and tells whether the packet leaves by another uplink than it would
/// without observing.
#[inline(always)]
fn leaves_wrong<F: Maps>(
    skb: &Skb,
    here: &UplinkFacts,
    target: &UplinkFacts,
    packet: &Outgoing<F::Address>,
) -> bool {
    let redirect = deliver::redirect::<F>(here, target, packet);
    match deliver::delivery_of(&redirect, packet, uplink::is_up(target)) {
        Delivery::Stay => false,
        // Its sender would have sent smaller ones, by the right uplink.
        Delivery::Leave(Reason::TooBig) => {
            count(target.id, Reason::TooBig);
            wrong(here, target)
        }
        Delivery::Leave(reason) | Delivery::LeaveOrHold(reason) => {
            count(target.id, reason);
            false
        }
        Delivery::Readdress if deliver::is_addressed_to(skb, packet.router) => false,
        _ => wrong(here, target),
    }
}

/// Of one uplink's gateways another one is no wrong uplink.
#[inline(always)]
fn wrong(here: &UplinkFacts, target: &UplinkFacts) -> bool {
    let is_wrong = target.id != here.id;
    if is_wrong {
        count(target.id, Reason::WrongUplink);
    }
    is_wrong
}

#[inline(always)]
fn key(
    family: Family,
    address: Address6,
    protocol: u8,
    port: [u8; 2],
    here: &UplinkFacts,
    target: &UplinkFacts,
) -> WrongUplinkKey {
    let version = if family == Family::Ipv4 { 4 } else { 6 };
    let (left_by, belongs_on) = (here.id, target.id);
    WrongUplinkKey { address, port, protocol, version, left_by, belongs_on }
}

#[inline(never)]
fn add(key: &WrongUplinkKey) -> u32 {
    let found = WRONG_UPLINK.get_ptr_mut(key).or_else(|| {
        // Another processor may be faster, which is as good.
        WRONG_UPLINK.insert(key, &0, BPF_NOEXIST.into()).unwrap_or_default();
        WRONG_UPLINK.get_ptr_mut(key)
    });
    if let Some(packets) = found {
        // SAFETY: as in `count`: the value is this CPU's own.
        unsafe { *packets += 1 };
    }
    0
}
