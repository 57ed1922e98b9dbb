//! The source of an ICMP error that is moved to another uplink.
//!
//! The kernel takes the address the quoted packet was sent to where that is local; for a
//! forwarded packet it takes one of the interface the error would have left by, which a router
//! behind the right uplink would not let pass.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::{
    bpf_csum_diff, bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_skb_store_bytes,
};
use prroute_common::uplink::UplinkFacts;
use prroute_ebpf::wire::{Address4, Address6, Family, Ipv4, Ipv6, is_inline_address};

use super::frame::Frame;
use super::skb::Skb;
use super::{deliver, uplink};

/// Offsets in the network headers, and of the checksum in an ICMPv6 header.
const IPV4_CHECKSUM: u32 = 10;
const IPV4_SOURCE: u32 = 12;
const IPV6_SOURCE: u32 = 8;
const IPV6_HEADER: u32 = 40;
const ICMPV6_CHECKSUM: u32 = 2;

/// `BPF_F_PSEUDO_HDR`.
const PSEUDO_HEADER: u64 = 1 << 4;

/// Gives the error in the frame, which goes to `target` if there is a way to it, a source that is right there.
#[inline(never)]
pub(super) fn correct(skb: &Skb, here: &UplinkFacts, frame: &Frame, target: &UplinkFacts) -> u32 {
    let sender = frame.segment.sender;
    if sender == frame.segment.source
        || !uplink::is_up(target)
        || !deliver::has_next_hop(target, frame)
    {
        return 0;
    }
    match frame.family {
        Family::Ipv4 => {
            let old = sender[0] as u32;
            // An error from elsewhere, passing through: its source is the truth.
            if target.count4 > 0
                && !is_inline_address::<Ipv4>(target, &old)
                && is_inline_address::<Ipv4>(here, &old)
            {
                replace4(skb, here.link_header, old, target.addresses4[0]);
            }
        }
        Family::Ipv6 => {
            if target.count6 > 0
                && !is_inline_address::<Ipv6>(target, &sender)
                && is_inline_address::<Ipv6>(here, &sender)
            {
                replace6(skb, here.link_header, sender, target.addresses6[0]);
            }
        }
    }
    0
}

#[inline(always)]
fn replace4(skb: &Skb, network: u32, old: Address4, new: Address4) {
    let ctx = skb.context().as_ptr();
    // SAFETY: the context is valid, and `new` is four initialised bytes. A refusal of the
    // second helper leaves a packet with a wrong checksum, which the next router drops; both
    // write to the same header, so that the second fails only where the first did.
    unsafe {
        bpf_l3_csum_replace(ctx.cast(), network + IPV4_CHECKSUM, old.into(), new.into(), 4);
        bpf_skb_store_bytes(ctx.cast(), network + IPV4_SOURCE, (&raw const new).cast(), 4, 0);
    }
}

#[inline(always)]
fn replace6(skb: &Skb, network: u32, mut old: Address6, mut new: Address6) {
    let ctx = skb.context().as_ptr();
    let checksum = network + IPV6_HEADER + ICMPV6_CHECKSUM;
    // SAFETY: as for IPv4; both addresses are sixteen initialised bytes, and stack slots of
    // arrays of that size are aligned for the helper.
    unsafe {
        let difference = bpf_csum_diff(old.as_mut_ptr().cast(), 16, new.as_mut_ptr().cast(), 16, 0);
        bpf_l4_csum_replace(ctx.cast(), checksum, 0, difference as u64, PSEUDO_HEADER);
        bpf_skb_store_bytes(ctx.cast(), network + IPV6_SOURCE, new.as_ptr().cast(), 16, 0);
    }
}
