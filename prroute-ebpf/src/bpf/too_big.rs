//! Tells the sender of a reply that is too big for its uplink.
//!
//! The packet itself is turned into the ICMP error that a router behind the uplink would send,
//! and is received on that uplink: the sender's stack, on this host or behind a NAT of its,
//! lowers the path MTU and sends again. The error's source is the uplink's gateway: one with a
//! local source is never delivered. It quotes so much that the ports are in it behind IPv4 options
//! and behind a fragment header and some more: without them neither a socket nor an address
//! translation finds its flow.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::{
    bpf_csum_diff, bpf_redirect, bpf_skb_change_head, bpf_skb_change_tail, bpf_skb_load_bytes,
};
use network_types::eth::{EthHdr, EtherType};
use prroute_common::uplink::{UplinkFacts, flag, mac_octets};
use prroute_ebpf::wire::{Family, Ipv4, Wire as _};

use super::action::TC_ACT_REDIRECT;
use super::deliver::{self, store};
use super::frame::{Frame, QUOTED_WORDS};
use super::skb::Skb;

/// `BPF_F_INGRESS`.
const INGRESS: u64 = 1;

const ETHERNET: u32 = EthHdr::LEN as u32;
const ICMP: u32 = 8;
const QUOTED: u32 = QUOTED_WORDS as u32 * 4;
const TTL: u8 = 64;

/// What became of the packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing: there is nobody to complain in the name of.
    No,
    /// It went to its sender as an error.
    Yes,
    /// It is no packet any more.
    Spoilt,
}

/// Tells the sender of the packet in the frame that it is too big for `target`.
#[inline(always)]
pub(super) fn tell_sender(
    skb: &Skb,
    here: &UplinkFacts,
    frame: &mut Frame,
    target: &UplinkFacts,
) -> Told {
    // IPv6 is not filtered by reverse path: the error comes in the receiver's name, which is
    // routable where a gateway's link-local address is not. A packet that has no way there is another matter.
    let has_source = match frame.family {
        Family::Ipv4 => target.flags & (flag::GATEWAY4 | flag::GATEWAY4_IS_V6) == flag::GATEWAY4,
        Family::Ipv6 => deliver::has_next_hop(target, frame),
    };
    if here.link_header != ETHERNET || target.link_header != ETHERNET || !has_source {
        return Told::No;
    }
    let is_error = match frame.family {
        Family::Ipv4 => fragmentation_needed(skb, frame, target),
        Family::Ipv6 => packet_too_big(skb, frame, target),
    };
    // SAFETY: the helper takes numbers only.
    let is_sent =
        is_error && unsafe { bpf_redirect(target.ifindex, INGRESS) } == i64::from(TC_ACT_REDIRECT);
    if is_sent { Told::Yes } else { Told::Spoilt }
}

/// Cuts the packet to its first `N` words behind the Ethernet header, and makes room for `headers`
/// bytes in front of them. What will be quoted goes to `quoted`, for its checksum.
#[inline(always)]
fn reshape<const N: usize>(skb: &Skb, headers: u32, quoted: &mut [u32; N]) -> bool {
    let ctx = skb.context().as_ptr();
    let length = (N * 4) as u32;
    // SAFETY: the context is valid, and `quoted` has room for that many bytes.
    unsafe {
        bpf_skb_change_tail(ctx.cast(), ETHERNET + length, 0) == 0
            && bpf_skb_change_head(ctx.cast(), headers, 0) == 0
            && bpf_skb_load_bytes(ctx, ETHERNET + headers, quoted.as_mut_ptr().cast(), length) == 0
    }
}

#[inline(always)]
fn store_link_header(skb: &Skb, target: &UplinkFacts, ether_type: u16) -> bool {
    let [a, b, c, d, e, f] = mac_octets(target.mac);
    let to = [
        u16::from_ne_bytes([a, b]),
        u16::from_ne_bytes([c, d]),
        u16::from_ne_bytes([e, f]),
        0,
        0,
        0,
        ether_type,
    ];
    store(skb, 0, &to)
}

/// The Internet checksum of words in network order, on top of `seed`.
#[inline(always)]
fn checksum<const N: usize>(words: &mut [u32; N], seed: u32) -> u16 {
    // SAFETY: `words` is initialised and of the given length.
    let sum = unsafe {
        bpf_csum_diff(core::ptr::null_mut(), 0, words.as_mut_ptr(), (N * 4) as u32, seed)
    } as u32;
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// Two network-order halves of a word.
#[inline(always)]
const fn word(high: u16, low: u16) -> u32 {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

/// Turns a packet, which starts with an Ethernet header, into an error to its sender. `false` when the
/// kernel refuses, which may spoil the packet.
#[inline(never)]
fn fragmentation_needed(skb: &Skb, frame: &mut Frame, target: &UplinkFacts) -> bool {
    const IP: u32 = 20;
    const FRAGMENTATION_NEEDED: u16 = 3 << 8 | 4;
    let sender = Ipv4::narrow(&frame.segment.source);
    let quoted = &mut frame.quoted;
    if !reshape(skb, IP + ICMP, quoted) {
        return false;
    }
    let mtu = target.mtu.min(u16::MAX.into()) as u16;
    let mut icmp = [word(FRAGMENTATION_NEEDED, 0), word(0, mtu)];
    let of_quoted = !u32::from(checksum(quoted, 0)) & 0xffff;
    let [a, b] = checksum(&mut icmp, of_quoted).to_ne_bytes();
    let [kind, code] = FRAGMENTATION_NEEDED.to_be_bytes();
    icmp[0] = u32::from_ne_bytes([kind, code, a, b]);
    let length = (IP + ICMP + QUOTED) as u16;
    let mut ip =
        [word(0x4500, length), 0, word(u16::from_be_bytes([TTL, 1]), 0), target.gateway4, sender];
    let [c, d] = checksum(&mut ip, 0).to_ne_bytes();
    ip[2] = u32::from_ne_bytes([TTL, 1, c, d]);
    store_link_header(skb, target, EtherType::Ipv4 as u16)
        && store(skb, ETHERNET, &ip)
        && store(skb, ETHERNET + IP, &icmp)
}

/// As [`fragmentation_needed`].
#[inline(never)]
fn packet_too_big(skb: &Skb, frame: &mut Frame, target: &UplinkFacts) -> bool {
    const IP: u32 = 40;
    const PACKET_TOO_BIG: u32 = 2;
    const ICMPV6: u32 = 58;
    // The error comes in the receiver's name.
    let [s0, s1, s2, s3]: [u32; 4] = bytemuck::must_cast(frame.segment.destination);
    let [d0, d1, d2, d3]: [u32; 4] = bytemuck::must_cast(frame.segment.source);
    if !reshape(skb, IP + ICMP, &mut frame.quoted) {
        return false;
    }
    let of_quoted = !u32::from(checksum(&mut frame.quoted, 0)) & 0xffff;
    let length = ICMP + QUOTED;
    // One place for what is quoted and then for what is summed up: the stack is nearly full.
    let [summed @ .., _, _, _, _, _, _, _, _] = &mut frame.quoted;
    *summed = [
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
        length.to_be(),
        ICMPV6.to_be(),
        (PACKET_TOO_BIG << 24).to_be(),
        target.mtu.to_be(),
    ];
    let [a, b] = checksum(summed, of_quoted).to_ne_bytes();
    let icmp = [u32::from_ne_bytes([PACKET_TOO_BIG as u8, 0, a, b]), target.mtu.to_be()];
    let head = u32::from_ne_bytes([0x60, 0, 0, 0]);
    let [l0, l1] = (length as u16).to_be_bytes();
    let next = u32::from_ne_bytes([l0, l1, ICMPV6 as u8, TTL]);
    let ip = [head, next, s0, s1, s2, s3, d0, d1, d2, d3];
    store_link_header(skb, target, EtherType::Ipv6 as u16)
        && store(skb, ETHERNET, &ip)
        && store(skb, ETHERNET + IP, &icmp)
}
