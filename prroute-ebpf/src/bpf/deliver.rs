//! What leaves: the kernel's helpers behind a [`Delivery`] that was decided elsewhere.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{bpf_redir_neigh, bpf_redir_neigh__bindgen_ty_1};
use aya_ebpf::helpers::generated::{
    bpf_redirect, bpf_redirect_neigh, bpf_skb_change_head, bpf_skb_store_bytes,
};
use network_types::eth::{EthHdr, EtherType};
use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, flag, mac_octets, mac_word};
use prroute_ebpf::decide::deliver::{Delivery, Redirect, choose, holds};
use prroute_ebpf::wire::packet::Packet as _;
use prroute_ebpf::wire::{Address6, Family, Wire, gateway_of_source};

use super::action::{Action, TC_ACT_REDIRECT};
use super::address;
use super::count::count;
use super::frame::Frame;
use super::maps::{Maps, by_family};
use super::skb::Skb;
use super::uplink;

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

/// A packet that goes to an uplink.
pub(super) struct Outgoing<A> {
    pub(super) source: A,
    pub(super) destination: A,
    /// The router that its request came from, 0 when it was not noted.
    pub(super) router: u64,
    /// Bytes of its largest network-layer packet.
    pub(super) size: u32,
    /// Counted when it is moved.
    pub(super) reason: Reason,
    /// Where there is no way to its uplink, the owner of its source may have one: [`Action::NoWay`], and
    /// nothing is counted.
    pub(super) may_go_to_owner: bool,
}

/// Sends a packet that is about to leave by `here` to its uplink. A function of its own in the object,
/// with a stack frame of its own.
#[inline(never)]
pub(super) fn deliver<F: Maps>(
    skb: &Skb,
    here: &UplinkFacts,
    target: &UplinkFacts,
    packet: &Outgoing<F::Address>,
) -> Action {
    // Asked first: what is read before a call stays on the stack meanwhile.
    let is_up = uplink::is_up(target);
    let redirect = redirect(here, target, packet);
    let delivery = delivery_of(&redirect, packet, is_up);
    match delivery {
        Delivery::Stay => Action::Pass,
        Delivery::Leave(reason) => leave(target, reason),
        Delivery::LeaveOrHold(_) if packet.may_go_to_owner && !is_held(target) => Action::NoWay,
        Delivery::LeaveOrHold(reason) => leave_or_hold(target, reason),
        Delivery::Device => to_device(skb, target, packet.reason),
        Delivery::Router | Delivery::Readdress => {
            let is_there = delivery == Delivery::Readdress;
            to_router::<F>(skb, here, target, packet, is_there)
        }
        Delivery::Direct | Delivery::SubnetGateway | Delivery::Gateway => {
            let next_hop = next_hop_of::<F>(delivery, &redirect, packet.destination);
            next_hop.map_or(Action::Pass, |next_hop| {
                to_next_hop(skb, here, target, packet.reason, next_hop)
            })
        }
    }
}

#[inline(always)]
pub(super) fn redirect<'a, F: Maps>(
    here: &UplinkFacts,
    target: &'a UplinkFacts,
    packet: &'a Outgoing<F::Address>,
) -> Redirect<'a, F> {
    let Outgoing { source, router, size, .. } = packet;
    Redirect { target, source, router: *router, size: *size, is_there: target.id == here.id }
}

/// How a packet gets to its uplink.
#[inline(always)]
pub(super) fn delivery_of<F: Maps>(
    redirect: &Redirect<'_, F>,
    packet: &Outgoing<F::Address>,
    is_up: bool,
) -> Delivery {
    let target = redirect.target;
    let is_on_link = || address::is_on_link::<F>(target, packet.destination);
    choose(redirect, || is_up, is_on_link)
}

/// Whether there is a way to the target, which is up, for the packet in the frame, if it fits. A function of
/// its own: it is asked at several places, all of them rare.
#[inline(never)]
pub(super) fn has_next_hop(target: &UplinkFacts, frame: &Frame) -> bool {
    by_family!(frame.family, F => {
        let source = F::narrow(&frame.segment.source);
        let destination = F::narrow(&frame.segment.destination);
        let router = frame.target.router;
        let redirect = Redirect::<F> { target, source: &source, router, size: 0, is_there: false };
        let is_on_link = || address::is_on_link::<F>(target, destination);
        !matches!(choose(&redirect, || true, is_on_link), Delivery::LeaveOrHold(_))
    })
}

/// Whether the packet in the frame, which may go elsewhere, would be left to the kernel for want of a way to the target;
/// why is counted. A function of its own: it is asked rarely.
#[inline(never)]
pub(super) fn has_no_way(target: &UplinkFacts, frame: &Frame) -> bool {
    let reason = match uplink::is_up(target) {
        false => Reason::UplinkDown,
        true if has_next_hop(target, frame) => return false,
        true => Reason::NoNextHop,
    };
    if is_held(target) {
        return false;
    }
    count(target.id, reason);
    true
}

/// Sends a packet that leaves by its uplink with wrong link-layer addresses there once more.
#[inline(always)]
pub(super) fn once_more<F: Maps>(
    skb: &Skb,
    here: &UplinkFacts,
    source: F::Address,
    destination: F::Address,
) -> Action {
    // As if it came from elsewhere; it is leaving already.
    let redirect =
        Redirect::<F> { target: here, source: &source, router: 0, size: 0, is_there: false };
    let is_on_link = || address::is_on_link::<F>(here, destination);
    let delivery = choose(&redirect, || true, is_on_link);
    let Some(mut next_hop) = next_hop_of::<F>(delivery, &redirect, destination) else {
        return Action::Pass;
    };
    skb.note_redirected(0);
    if redirect_neigh(here, &mut next_hop) == i64::from(TC_ACT_REDIRECT) {
        Action::Redirect
    } else {
        Action::Pass
    }
}

/// The neighbour that a packet is sent to, where one is named.
#[inline(always)]
fn next_hop_of<F: Maps>(
    delivery: Delivery,
    redirect: &Redirect<'_, F>,
    destination: F::Address,
) -> Option<bpf_redir_neigh> {
    match delivery {
        Delivery::Direct => Some(direct::<F>(destination)),
        Delivery::SubnetGateway => {
            gateway_of_source::<F>(redirect.target, redirect.source).map(direct::<F>)
        }
        Delivery::Gateway => Some(gateway::<F>(redirect.target)),
        _ => None,
    }
}

/// An address of this family as next hop.
#[inline(always)]
fn direct<F: Wire>(address: F::Address) -> bpf_redir_neigh {
    let family = match F::FAMILY {
        Family::Ipv4 => AF_INET,
        Family::Ipv6 => AF_INET6,
    };
    next_hop(family, F::widen(address))
}

/// The uplink's gateway as next hop.
#[inline(always)]
fn gateway<F: Wire>(target: &UplinkFacts) -> bpf_redir_neigh {
    match F::FAMILY {
        Family::Ipv6 => next_hop(AF_INET6, target.gateway6),
        Family::Ipv4 if target.flags & flag::GATEWAY4_IS_V6 != 0 => {
            next_hop(AF_INET6, target.gateway4_via6)
        }
        Family::Ipv4 => next_hop(AF_INET, [u64::from(target.gateway4), 0]),
    }
}

/// The helper reads the whole structure: the words behind an IPv4 address are zero.
#[inline(always)]
fn next_hop(nh_family: u32, address: Address6) -> bpf_redir_neigh {
    let ipv6_nh = bytemuck::must_cast(address);
    bpf_redir_neigh { nh_family, __bindgen_anon_1: bpf_redir_neigh__bindgen_ty_1 { ipv6_nh } }
}

/// Whether packets wait for an uplink that has no way for them. Nothing waits for a device that is gone, also
/// while nobody tells that it is.
#[inline(always)]
fn is_held(target: &UplinkFacts) -> bool {
    holds(target) && uplink::exists(&target.ifindex)
}

#[inline(always)]
fn leave_or_hold(target: &UplinkFacts, reason: Reason) -> Action {
    if is_held(target) {
        count(target.id, Reason::Held);
        return Action::Drop;
    }
    leave(target, reason)
}

#[inline(always)]
fn leave(target: &UplinkFacts, reason: Reason) -> Action {
    count(target.id, reason);
    Action::Pass
}

#[inline(always)]
fn done(target: &UplinkFacts, reason: Reason, result: i64) -> Action {
    if result == i64::from(TC_ACT_REDIRECT) {
        count(target.id, reason);
        return Action::Redirect;
    }
    leave(target, Reason::RedirectFailed)
}

/// To a neighbour that the kernel resolves. Left to itself the helper would take any IPv4
/// destination for an on-link one: the next hop is always named.
#[inline(always)]
fn to_next_hop(
    skb: &Skb,
    here: &UplinkFacts,
    target: &UplinkFacts,
    reason: Reason,
    mut next_hop: bpf_redir_neigh,
) -> Action {
    if here.link_header == 0 && !add_link_header(skb) {
        return leave(target, Reason::RedirectFailed);
    }
    skb.note_redirected(target.id);
    done(target, reason, redirect_neigh(target, &mut next_hop))
}

#[inline(always)]
fn redirect_neigh(target: &UplinkFacts, next_hop: &mut bpf_redir_neigh) -> i64 {
    let length = size_of::<bpf_redir_neigh>() as i32;
    // SAFETY: `next_hop` is an initialised structure of the given length on the stack.
    unsafe { bpf_redirect_neigh(target.ifindex, next_hop, length, 0) }
}

/// Out of a device without link-layer addresses; the kernel takes an Ethernet header off.
#[inline(always)]
fn to_device(skb: &Skb, target: &UplinkFacts, reason: Reason) -> Action {
    skb.note_redirected(0);
    // SAFETY: the helper takes numbers only.
    done(target, reason, unsafe { bpf_redirect(target.ifindex, 0) })
}

/// To the router that the request came from. Where the packet leaves by the right uplink anyway only the
/// router's address may be another. One header for both: its room on the stack counts.
#[inline(always)]
fn to_router<F: Wire>(
    skb: &Skb,
    here: &UplinkFacts,
    target: &UplinkFacts,
    packet: &Outgoing<F::Address>,
    is_there: bool,
) -> Action {
    if is_there && is_addressed_to(skb, packet.router) {
        return Action::Pass;
    }
    if !is_there && here.link_header == 0 && !add_link_header(skb) {
        return leave(target, Reason::RedirectFailed);
    }
    let ether_type = match F::FAMILY {
        Family::Ipv4 => EtherType::Ipv4,
        Family::Ipv6 => EtherType::Ipv6,
    };
    let [d0, d1, d2, d3, d4, d5] = mac_octets(packet.router);
    let [s0, s1, s2, s3, s4, s5] = mac_octets(target.mac);
    let [t0, t1] = (ether_type as u16).to_ne_bytes();
    let header = [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1];
    const ADDRESS: u32 = 6;
    let is_stored = store_first(skb, &header, if is_there { ADDRESS } else { header.len() as u32 });
    if !is_stored {
        return leave(target, Reason::RedirectFailed);
    }
    if is_there {
        count(target.id, Reason::Redirected);
        return Action::Pass;
    }
    to_device(skb, target, packet.reason)
}

/// Whether a frame goes to this link-layer address.
#[inline(always)]
pub(super) fn is_addressed_to(skb: &Skb, router: u64) -> bool {
    let present: Option<[u8; 6]> = skb.linear().read(0);
    present.map(mac_word) == Some(router)
}

/// By helper: a direct write anywhere would make the verifier unclone every packet.
#[inline(always)]
pub(super) fn store<T>(skb: &Skb, offset: u32, bytes: &T) -> bool {
    // SAFETY: so many bytes there are.
    unsafe { store_bytes(skb, offset, (&raw const *bytes).cast(), size_of::<T>() as u32) }
}

/// The first ones of a header, at the beginning of a frame.
#[inline(always)]
fn store_first<const N: usize>(skb: &Skb, header: &[u8; N], length: u32) -> bool {
    let length = if length < N as u32 { length } else { N as u32 };
    // SAFETY: so many bytes there are.
    unsafe { store_bytes(skb, 0, header.as_ptr(), length) }
}

/// # Safety
///
/// `bytes` points to `length` initialised bytes.
#[inline(always)]
unsafe fn store_bytes(skb: &Skb, offset: u32, bytes: *const u8, length: u32) -> bool {
    let context = skb.context().as_ptr().cast();
    // SAFETY: the context is valid, and so are the bytes by the caller.
    unsafe { bpf_skb_store_bytes(context, offset, bytes.cast(), length, 0) == 0 }
}

/// Makes room for an Ethernet header on a packet of a device that has none.
#[inline(always)]
fn add_link_header(skb: &Skb) -> bool {
    // SAFETY: the context is valid.
    unsafe { bpf_skb_change_head(skb.context().as_ptr().cast(), EthHdr::LEN as u32, 0) == 0 }
}
