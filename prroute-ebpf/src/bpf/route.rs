//! The kernel's routes: guests are hosts behind this one, on prefixes that are routed to an interface that
//! is no uplink.

use core::mem::MaybeUninit;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::bpf_fib_lookup as Parameters;
use aya_ebpf::helpers::generated::bpf_fib_lookup;
use prroute_ebpf::wire::Family;

use super::frame::Frame;
use super::skb::Skb;
use super::uplink;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// `BPF_FIB_LKUP_RET_SUCCESS`, `.._NO_NEIGH` and `.._FRAG_NEEDED`: there is a route. Without a length to ask about
/// the last one is said when the interface is known already, also of what fits an interface without link-layer
/// header; whether the packet fits is the kernel's to say.
const FOUND: i64 = 0;
const FOUND_WITHOUT_NEIGHBOUR: i64 = 7;
const FOUND_TOO_SMALL: i64 = 8;

/// Whether the packet in the frame is for a guest: the kernel would forward it to an interface that is
/// no uplink. On an interface whose forwarding is off it would not.
#[inline(always)]
pub(super) fn is_to_guest(skb: &Skb, frame: &Frame) -> bool {
    let ifindex = forwarded_to(skb, frame);
    ifindex != 0 && uplink::at(ifindex).is_none()
}

/// Words of [`Parameters`].
const WORDS: usize = size_of::<Parameters>() / size_of::<u64>();

/// The interface that the kernel would forward the packet to, or 0.
#[inline(never)]
fn forwarded_to(skb: &Skb, frame: &Frame) -> u32 {
    let mut words = MaybeUninit::<[u64; WORDS]>::uninit();
    let first: *mut u64 = words.as_mut_ptr().cast();
    for word in 0..WORDS {
        // SAFETY: there are as many words. Left to itself the compiler zeroes them by a call, for
        // which there is no stack left.
        unsafe { first.add(word).write_volatile(0) };
    }
    // SAFETY: the words fill a structure of integers and of unions of integers, which may be zero.
    let parameters: &mut Parameters = unsafe { &mut *first.cast() };
    parameters.family = if frame.family == Family::Ipv4 { AF_INET } else { AF_INET6 };
    parameters.ifindex = skb.ifindex();
    // An IPv4 address is the first word of either.
    parameters.__bindgen_anon_3.ipv6_src = bytemuck::must_cast(frame.segment.source);
    parameters.__bindgen_anon_4.ipv6_dst = bytemuck::must_cast(frame.segment.destination);
    let length = size_of::<Parameters>() as i32;
    // SAFETY: the context is valid, and the structure is initialised and of the given length.
    let result = unsafe { bpf_fib_lookup(skb.context().as_ptr(), parameters, length, 0) };
    match result {
        FOUND | FOUND_WITHOUT_NEIGHBOUR | FOUND_TOO_SMALL => parameters.ifindex,
        _ => 0,
    }
}
