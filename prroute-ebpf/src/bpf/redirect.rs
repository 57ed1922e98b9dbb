//! Sending a reply out of an uplink, to a next hop that is named.
//!
//! Once a redirect helper has accepted a packet the kernel can only deliver or drop it, so
//! everything that can be wrong is checked before.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{bpf_redir_neigh, bpf_redir_neigh__bindgen_ty_1};
use aya_ebpf::helpers::generated::{
    bpf_redirect, bpf_redirect_neigh, bpf_skb_change_head, bpf_skb_store_bytes,
};
use network_types::eth::{EthHdr, EtherType};
use network_types::ip::Ipv6Hdr;
use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, flag, mac_octets, mac_word};
use prroute_ebpf::family::{Address4, Address6, Ipv4, Ipv6, gateway_of_source};
use prroute_ebpf::packet::Packet as _;
use prroute_ebpf::parse::Segment;
use prroute_ebpf::verdict::Locality;

use super::action::{Action, TC_ACT_REDIRECT};
use super::count::count;
use super::lookup::{self, Tables};
use super::mss;
use super::skb::Skb;

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

/// Where a reply goes.
pub(super) struct Reply {
    pub(super) target: &'static UplinkFacts,
    /// The router its request came from, 0 when it was not noted.
    pub(super) router: u64,
    /// Counted when it is moved there.
    pub(super) reason: Reason,
}

/// Whose packet it is, and who gets it.
pub(super) struct Ends<'a, A> {
    pub(super) source: &'a A,
    pub(super) destination: &'a A,
}

/// A family that knows how its next hops are written.
pub(super) trait NextHop: Tables {
    const ETHER_TYPE: u16;
    /// Bytes of the network and transport headers without options.
    const HEADERS: u32;

    /// The destination itself as next hop.
    fn direct(destination: Self::Address) -> bpf_redir_neigh;
    /// The uplink's gateway as next hop.
    fn gateway(target: &UplinkFacts) -> bpf_redir_neigh;
}

impl NextHop for Ipv4 {
    const ETHER_TYPE: u16 = EtherType::Ipv4 as u16;
    const HEADERS: u32 = mss::HEADERS4;

    #[inline(always)]
    fn direct(destination: Address4) -> bpf_redir_neigh {
        next_hop4(destination)
    }

    #[inline(always)]
    fn gateway(target: &UplinkFacts) -> bpf_redir_neigh {
        if target.flags & flag::GATEWAY4_IS_V6 != 0 {
            return next_hop6(target.gateway4_via6);
        }
        next_hop4(target.gateway4)
    }
}

impl NextHop for Ipv6 {
    const ETHER_TYPE: u16 = EtherType::Ipv6 as u16;
    const HEADERS: u32 = mss::HEADERS6;

    #[inline(always)]
    fn direct(destination: Address6) -> bpf_redir_neigh {
        next_hop6(destination)
    }

    #[inline(always)]
    fn gateway(target: &UplinkFacts) -> bpf_redir_neigh {
        next_hop6(target.gateway6)
    }
}

#[inline(always)]
fn next_hop6(address: Address6) -> bpf_redir_neigh {
    bpf_redir_neigh {
        nh_family: AF_INET6,
        __bindgen_anon_1: bpf_redir_neigh__bindgen_ty_1 { ipv6_nh: bytemuck::cast(address) },
    }
}

#[inline(always)]
fn next_hop4(address: Address4) -> bpf_redir_neigh {
    // The helper reads the whole structure: the words behind an IPv4 address are zeroed too.
    bpf_redir_neigh {
        nh_family: AF_INET,
        __bindgen_anon_1: bpf_redir_neigh__bindgen_ty_1 { ipv6_nh: [address, 0, 0, 0] },
    }
}

/// Makes the segment size of a SYN or SYN-ACK fit `uplink`.
#[inline(always)]
pub(super) fn fit<F: NextHop>(
    skb: &Skb,
    here: &UplinkFacts,
    segment: &Segment<F::Address>,
    uplink: &UplinkFacts,
) {
    let end = here.link_header + segment.headers;
    mss::clamp(skb, end, segment.transport, uplink.mtu.saturating_sub(F::HEADERS));
}

/// The hop-by-hop header that tells the length of an IPv6 packet beyond 64 KiB (RFC 2675).
const JUMBO: u32 = 8;

/// What a length field of 16 bits can say, behind an IPv6 header.
const LONGEST_PLAIN: u32 = 65_535 + Ipv6Hdr::LEN as u32;

/// Bytes of the largest network-layer packet that this one puts on the wire. The segments of a
/// super-packet have no header for its own length.
#[inline(always)]
pub(super) fn size_of_segment<F: NextHop>(
    skb: &Skb,
    here: &UplinkFacts,
    segment: &Segment<F::Address>,
) -> u32 {
    let length = skb.len().saturating_sub(here.link_header);
    let payload = skb.segment_size();
    if payload == 0 {
        return length;
    }
    let network = segment.headers.saturating_sub(segment.transport);
    let is_jumbo = F::ETHER_TYPE == EtherType::Ipv6 as u16
        && length > LONGEST_PLAIN
        && network >= Ipv6Hdr::LEN as u32 + JUMBO;
    payload + segment.headers - if is_jumbo { JUMBO } else { 0 }
}

/// Sends a reply to its uplink. `size` is that of its largest network-layer packet.
#[inline(always)]
pub(super) fn send<F: NextHop>(
    skb: &Skb,
    here: &UplinkFacts,
    ends: &Ends<'_, F::Address>,
    reply: &Reply,
    size: u32,
) -> Action {
    let target = reply.target;
    let by_last_hop = target.flags & F::NOTES_ROUTERS != 0 && reply.router != 0;
    let there = target.ifindex == skb.ifindex();
    let stays = there && !by_last_hop && !may_change_gateway::<F>(skb, target, ends.source);
    if target.flags & flag::REPLY_OFF != 0 || stays {
        return Action::Pass;
    }
    Action::from_code(move_packet::<F>(skb, here, ends, reply, size))
}

/// Whether a packet that leaves by its uplink may have the wrong gateway there: rules choose that of
/// the host's own packets with an address of the uplink alone, not that of others.
#[inline(always)]
pub(super) fn may_change_gateway<F: NextHop>(
    skb: &Skb,
    uplink: &UplinkFacts,
    source: &F::Address,
) -> bool {
    uplink.flags & F::SUBNET_GATEWAYS != 0 && is_without_rule::<F>(skb, uplink, source) != 0
}

/// A function of its own: in line the verifier would walk each of its places once more.
#[inline(never)]
fn is_without_rule<F: NextHop>(skb: &Skb, uplink: &UplinkFacts, source: &F::Address) -> u32 {
    let has_gateway = gateway_of_source::<F>(uplink, source).is_some();
    let has_rule = || lookup::locality::<F>(uplink, source) == Locality::OwnedHere;
    u32::from(has_gateway && (skb.is_forwarded() || !has_rule()))
}

/// Sends a datagram of a settled flow to an uplink that answers by gateway; `None` where that
/// takes a closer look.
#[inline(always)]
pub(super) fn send_settled<F: NextHop>(
    skb: &Skb,
    here: &UplinkFacts,
    ends: &Ends<'_, F::Address>,
    target: &'static UplinkFacts,
) -> Option<Action> {
    let size = skb.len().saturating_sub(here.link_header);
    let odd = target.flags & (F::LAST_HOP | F::SUBNET_GATEWAYS | flag::REPLY_OFF) != 0;
    if odd || skb.segment_size() != 0 || size > target.mtu {
        return None;
    }
    let reply = Reply { target, router: 0, reason: Reason::Redirected };
    Some(Action::from_code(move_packet::<F>(skb, here, ends, &reply, size)))
}

/// A function of its own, with a stack frame of its own; such functions return numbers.
#[inline(never)]
fn move_packet<F: NextHop>(
    skb: &Skb,
    here: &UplinkFacts,
    ends: &Ends<'_, F::Address>,
    reply: &Reply,
    size: u32,
) -> i32 {
    choose::<F>(skb, here, ends, reply, size).code()
}

#[inline(always)]
fn choose<F: NextHop>(
    skb: &Skb,
    here: &UplinkFacts,
    ends: &Ends<'_, F::Address>,
    reply: &Reply,
    size: u32,
) -> Action {
    let (target, destination) = (reply.target, *ends.destination);
    if !lookup::is_up(target) {
        return refuse(target, Reason::UplinkDown);
    }
    let there = target.ifindex == skb.ifindex();
    if F::is_on_link(target, destination) {
        if there {
            return Action::Pass;
        }
        if size > target.mtu {
            return leave(target, Reason::TooBig);
        }
        return to_next_hop(skb, here, reply, F::direct(destination));
    }
    let by_last_hop = target.flags & F::NOTES_ROUTERS != 0 && reply.router != 0;
    if there && by_last_hop {
        return readdress(skb, target, reply.router);
    }
    let gateway = gateway_of_source::<F>(target, ends.source);
    if there {
        return match gateway {
            Some(gateway) => to_next_hop(skb, here, reply, F::direct(gateway)),
            None => Action::Pass,
        };
    }
    if size > target.mtu {
        return leave(target, Reason::TooBig);
    }
    if target.link_header == 0 {
        return to_device(skb, reply);
    }
    if by_last_hop {
        return to_router::<F>(skb, here, reply);
    }
    if let Some(gateway) = gateway {
        return to_next_hop(skb, here, reply, F::direct(gateway));
    }
    if target.flags & F::HAS_GATEWAY != 0 {
        return to_next_hop(skb, here, reply, F::gateway(target));
    }
    refuse(target, Reason::NoNextHop)
}

/// The uplink cannot carry the reply: the kernel's way, unless it shall wait. Nothing waits for a
/// device that is gone, also while nobody tells that it is.
#[inline(always)]
fn refuse(target: &UplinkFacts, reason: Reason) -> Action {
    if target.flags & flag::HOLD != 0 && lookup::exists(&target.ifindex) {
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
fn done(reply: &Reply, result: i64) -> Action {
    if result == i64::from(TC_ACT_REDIRECT) {
        count(reply.target.id, reply.reason);
        return Action::Redirect;
    }
    leave(reply.target, Reason::RedirectFailed)
}

/// To a neighbour that the kernel resolves. Left to itself the helper would take any IPv4
/// destination for an on-link one: the next hop is always named.
#[inline(always)]
fn to_next_hop(
    skb: &Skb,
    here: &UplinkFacts,
    reply: &Reply,
    mut next_hop: bpf_redir_neigh,
) -> Action {
    if reply.target.link_header == 0 {
        return to_device(skb, reply);
    }
    if here.link_header == 0 && !add_link_header(skb) {
        return leave(reply.target, Reason::RedirectFailed);
    }
    skb.note_redirected();
    let length = size_of::<bpf_redir_neigh>() as i32;
    // SAFETY: `next_hop` is an initialised structure of the given length on the stack.
    let result = unsafe { bpf_redirect_neigh(reply.target.ifindex, &raw mut next_hop, length, 0) };
    done(reply, result)
}

/// Out of a device without link-layer addresses; the kernel takes an Ethernet header off.
#[inline(always)]
fn to_device(skb: &Skb, reply: &Reply) -> Action {
    skb.note_redirected();
    // SAFETY: the helper takes numbers only.
    done(reply, unsafe { bpf_redirect(reply.target.ifindex, 0) })
}

/// To the router the request came from.
#[inline(always)]
fn to_router<F: NextHop>(skb: &Skb, here: &UplinkFacts, reply: &Reply) -> Action {
    if here.link_header == 0 && !add_link_header(skb) {
        return leave(reply.target, Reason::RedirectFailed);
    }
    let [d0, d1, d2, d3, d4, d5] = mac_octets(reply.router);
    let [s0, s1, s2, s3, s4, s5] = mac_octets(reply.target.mac);
    let [t0, t1] = F::ETHER_TYPE.to_ne_bytes();
    let header = [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1];
    if !store(skb, 0, &header) {
        return leave(reply.target, Reason::RedirectFailed);
    }
    to_device(skb, reply)
}

/// The packet leaves by the right uplink: only the router it is sent to may be another.
#[inline(always)]
fn readdress(skb: &Skb, target: &UplinkFacts, router: u64) -> Action {
    let wanted = mac_octets(router);
    let present: Option<[u8; 6]> = skb.linear().read(0);
    if present.map(mac_word) != Some(router) {
        if store(skb, 0, &wanted) {
            count(target.id, Reason::Redirected);
        } else {
            count(target.id, Reason::RedirectFailed);
        }
    }
    Action::Pass
}

/// By helper: a direct write anywhere would make the verifier unclone every packet.
#[inline(always)]
fn store<const N: usize>(skb: &Skb, offset: u32, bytes: &[u8; N]) -> bool {
    // SAFETY: the context is valid, and the bytes are initialised and of the given length.
    unsafe {
        bpf_skb_store_bytes(
            skb.context().as_ptr().cast(),
            offset,
            bytes.as_ptr().cast(),
            N as u32,
            0,
        ) == 0
    }
}

/// Makes room for an Ethernet header on a packet of a device that has none.
#[inline(always)]
fn add_link_header(skb: &Skb) -> bool {
    // SAFETY: the context is valid.
    unsafe { bpf_skb_change_head(skb.context().as_ptr().cast(), EthHdr::LEN as u32, 0) == 0 }
}
