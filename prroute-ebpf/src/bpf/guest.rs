//! Guests: hosts behind this one, on prefixes that are routed to an interface that is no uplink.

use core::mem::MaybeUninit;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::bpf_fib_lookup as Parameters;
use aya_ebpf::helpers::generated::bpf_fib_lookup;
use prroute_ebpf::family::{Address4, Address6};
use prroute_ebpf::parse::Segment;

use super::lookup::{self, Tables};
use super::skb::Skb;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// `BPF_FIB_LKUP_RET_SUCCESS` and `BPF_FIB_LKUP_RET_NO_NEIGH`: there is a route.
const FOUND: i64 = 0;
const FOUND_WITHOUT_NEIGHBOUR: i64 = 7;

/// A family whose routes can be asked for.
pub(super) trait Routed: Tables {
    fn fill(parameters: &mut Parameters, segment: &Segment<Self::Address>);
}

impl Routed for prroute_ebpf::family::Ipv4 {
    #[inline(always)]
    fn fill(parameters: &mut Parameters, segment: &Segment<Address4>) {
        parameters.family = AF_INET;
        parameters.__bindgen_anon_3.ipv4_src = segment.source;
        parameters.__bindgen_anon_4.ipv4_dst = segment.destination;
    }
}

impl Routed for prroute_ebpf::family::Ipv6 {
    #[inline(always)]
    fn fill(parameters: &mut Parameters, segment: &Segment<Address6>) {
        parameters.family = AF_INET6;
        parameters.__bindgen_anon_3.ipv6_src = bytemuck::cast(segment.source);
        parameters.__bindgen_anon_4.ipv6_dst = bytemuck::cast(segment.destination);
    }
}

/// Whether the packet is for somebody behind this host: the kernel would forward it to an
/// interface that is no uplink. On an interface whose forwarding is off it would not.
#[inline(always)]
pub(super) fn is_behind<F: Routed>(skb: &Skb, segment: &Segment<F::Address>) -> bool {
    let ifindex = forwarded_to::<F>(skb, segment);
    ifindex != 0 && lookup::uplink_at(ifindex).is_none()
}

/// Words of [`Parameters`].
const WORDS: usize = size_of::<Parameters>() / size_of::<u64>();

/// The interface that the kernel would forward the packet to, or 0.
#[inline(never)]
fn forwarded_to<F: Routed>(skb: &Skb, segment: &Segment<F::Address>) -> u32 {
    let mut words = MaybeUninit::<[u64; WORDS]>::uninit();
    let first: *mut u64 = words.as_mut_ptr().cast();
    for word in 0..WORDS {
        // SAFETY: there are as many words. Left to itself the compiler zeroes them by a call, for
        // which there is no stack left.
        unsafe { first.add(word).write_volatile(0) };
    }
    // SAFETY: the words fill a structure of integers and of unions of integers, which may be zero.
    let parameters: &mut Parameters = unsafe { &mut *first.cast() };
    parameters.ifindex = skb.ifindex();
    F::fill(parameters, segment);
    let length = size_of::<Parameters>() as i32;
    // SAFETY: the context is valid, and the structure is initialised and of the given length.
    let result = unsafe { bpf_fib_lookup(skb.context().as_ptr(), parameters, length, 0) };
    match result {
        FOUND | FOUND_WITHOUT_NEIGHBOUR => parameters.ifindex,
        _ => 0,
    }
}
