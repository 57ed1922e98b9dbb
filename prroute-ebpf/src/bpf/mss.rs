//! The maximum segment size that two hosts agree on must fit the uplink.
//!
//! The host offers and accepts sizes by the route it would have taken, which is another uplink's:
//! a SYN that comes in on a small uplink, and a SYN-ACK that is moved to one, are clamped. With
//! `own-source = "datapath"` also a SYN that is moved, and a SYN-ACK that comes in.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::{bpf_l4_csum_replace, bpf_skb_load_bytes, bpf_skb_store_bytes};
use prroute_common::uplink::UplinkFacts;
use prroute_ebpf::wire::{Family, Ipv4, Ipv6, Wire as _};

use super::frame::Frame;
use super::skb::Skb;

/// Offsets in a TCP header, and its length without options.
const CHECKSUM: u32 = 16;
const HEADER: u32 = 20;

/// Option kinds (RFC 9293), and the length of a maximum segment size option.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;
const MSS_LENGTH: u8 = 4;

/// Options that are looked at: every stack sends the segment size among the first.
const MAX_OPTIONS: u32 = 6;

/// Makes the segment size that the packet in the frame offers fit `uplink`.
#[inline(always)]
pub(super) fn fit(skb: &Skb, here: &UplinkFacts, frame: &Frame, uplink: &UplinkFacts) {
    let segment = &frame.segment;
    let network = if frame.family == Family::Ipv4 { Ipv4::HEADER } else { Ipv6::HEADER };
    let end = here.link_header + segment.headers;
    clamp(skb, end, segment.transport, uplink.mtu.saturating_sub(network + HEADER));
}

/// Lowers the maximum segment size of the TCP header that ends at `end` (bytes from the start of
/// the packet) and is `length` bytes long, to `limit`.
#[inline(never)]
fn clamp(skb: &Skb, end: u32, length: u32, limit: u32) -> u32 {
    let tcp = end.saturating_sub(length);
    let mut at = tcp + HEADER;
    for _ in 0..MAX_OPTIONS {
        if at + 4 > end {
            return 0;
        }
        let Some([kind, size, high, low]) = load(skb, at) else { return 0 };
        match kind {
            END => return 0,
            NO_OPERATION => at += 1,
            MAXIMUM_SEGMENT_SIZE if size == MSS_LENGTH => {
                let offered = u16::from_be_bytes([high, low]);
                if u32::from(offered) > limit {
                    replace(skb, tcp, at + 2, offered, limit as u16);
                }
                return 0;
            }
            _ if size < 2 => return 0,
            _ => at += u32::from(size),
        }
    }
    0
}

#[inline(always)]
fn load(skb: &Skb, at: u32) -> Option<[u8; 4]> {
    let mut bytes = 0u32;
    // SAFETY: the context is valid, and `bytes` has room for four bytes.
    let result =
        unsafe { bpf_skb_load_bytes(skb.context().as_ptr(), at, (&raw mut bytes).cast(), 4) };
    (result == 0).then_some(bytes.to_ne_bytes())
}

#[inline(always)]
fn replace(skb: &Skb, tcp: u32, at: u32, old: u16, new: u16) {
    let ctx = skb.context().as_ptr();
    let (old, new) = (old.to_be(), new.to_be());
    // An unaligned value straddles two checksum words: its bytes are swapped in both.
    let is_odd = at.wrapping_sub(tcp) & 1 == 1;
    let (from, to) = if is_odd { (old.swap_bytes(), new.swap_bytes()) } else { (old, new) };
    // SAFETY: the context is valid, and `new` is two initialised bytes. Where the checksum can be
    // written so can the option behind it.
    unsafe {
        if bpf_l4_csum_replace(ctx.cast(), tcp + CHECKSUM, from.into(), to.into(), 2) == 0 {
            bpf_skb_store_bytes(ctx.cast(), at, (&raw const new).cast(), 2, 0);
        }
    }
}
