//! UDP sockets of this host, seen from its packets.

use core::ptr;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::bpf_sock;
use aya_ebpf::helpers::generated::{bpf_sk_lookup_udp, bpf_sk_release};
use prroute_ebpf::family::{Family, Ipv4, Ipv6};
use prroute_ebpf::parse::Segment;

use super::skb::Skb;

/// `BPF_F_CURRENT_NETNS`: that of the device.
const CURRENT_NETNS: u64 = u64::MAX;

/// Who gets a datagram that came in.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Listener {
    /// No socket: it is translated, or for nobody.
    None = 0,
    /// A socket that is bound to an address.
    Bound = 1,
    /// One that is bound to no address.
    Wildcard = 2,
    /// One that is connected to who sent it.
    Connected = 3,
}

/// A family whose sockets can be looked up.
pub(super) trait Listening: Family {
    /// `struct bpf_sock_tuple`, in words.
    type Tuple;

    fn tuple(segment: &Segment<Self::Address>) -> Self::Tuple;
    /// # Safety
    ///
    /// `socket` must be a socket that the kernel has handed out.
    unsafe fn is_wildcard(socket: *mut bpf_sock) -> bool;
    /// Whether the socket is bound to this address.
    ///
    /// # Safety
    ///
    /// As for [`Listening::is_wildcard`].
    unsafe fn is_bound_to(socket: *mut bpf_sock, address: &Self::Address) -> bool;
}

#[inline(always)]
fn ports<A>(segment: &Segment<A>) -> u32 {
    let ([s0, s1], [d0, d1]) = (segment.source_port, segment.destination_port);
    u32::from_ne_bytes([s0, s1, d0, d1])
}

impl Listening for Ipv4 {
    type Tuple = [u32; 3];

    #[inline(always)]
    fn tuple(segment: &Segment<Self::Address>) -> [u32; 3] {
        [segment.source, segment.destination, ports(segment)]
    }

    #[inline(always)]
    unsafe fn is_wildcard(socket: *mut bpf_sock) -> bool {
        // SAFETY: by the caller; the verifier checks the access. An IPv6 socket that takes IPv4 has
        // this word too.
        unsafe { ptr::read_volatile(&raw const (*socket).src_ip4) == 0 }
    }

    #[inline(always)]
    unsafe fn is_bound_to(socket: *mut bpf_sock, address: &Self::Address) -> bool {
        // SAFETY: as above.
        unsafe { ptr::read_volatile(&raw const (*socket).src_ip4) == *address }
    }
}

impl Listening for Ipv6 {
    type Tuple = [u32; 9];

    #[inline(always)]
    fn tuple(segment: &Segment<Self::Address>) -> [u32; 9] {
        let [s0, s1, s2, s3]: [u32; 4] = bytemuck::must_cast(segment.source);
        let [d0, d1, d2, d3]: [u32; 4] = bytemuck::must_cast(segment.destination);
        [s0, s1, s2, s3, d0, d1, d2, d3, ports(segment)]
    }

    #[inline(always)]
    unsafe fn is_wildcard(socket: *mut bpf_sock) -> bool {
        let mut bits = 0;
        for word in 0..4 {
            // SAFETY: as for IPv4.
            bits |= unsafe { ptr::read_volatile(&raw const (*socket).src_ip6[word]) };
        }
        bits == 0
    }

    #[inline(always)]
    unsafe fn is_bound_to(socket: *mut bpf_sock, address: &Self::Address) -> bool {
        let address: [u32; 4] = bytemuck::must_cast(*address);
        let mut bits = 0;
        for word in 0..4 {
            // SAFETY: as for IPv4.
            let bound = unsafe { ptr::read_volatile(&raw const (*socket).src_ip6[word]) };
            bits |= bound ^ address[word];
        }
        bits == 0
    }
}

/// Whether a socket of this host sends the datagram as it is: what is translated has another
/// socket's address or port.
#[inline(always)]
pub(super) fn sends_itself<F: Listening>(skb: &Skb, segment: &Segment<F::Address>) -> bool {
    let socket = skb.sender();
    if socket.is_null() {
        return false;
    }
    // SAFETY: the kernel keeps the socket while the packet lives, and the verifier checks the
    // access. The own port is in native byte order.
    let port = unsafe { ptr::read_volatile(&raw const (*socket).src_port) } as u16;
    // SAFETY: as above.
    let is_at = unsafe { F::is_wildcard(socket) || F::is_bound_to(socket, &segment.source) };
    is_at && port == u16::from_be_bytes(segment.source_port)
}

/// Who gets this datagram.
#[inline(always)]
pub(super) fn of<F: Listening>(skb: &Skb, segment: &Segment<F::Address>) -> Listener {
    match look_up::<F>(skb, segment) {
        0 => Listener::None,
        1 => Listener::Bound,
        2 => Listener::Wildcard,
        _ => Listener::Connected,
    }
}

/// A function of its own, with a stack frame of its own; such functions return numbers.
#[inline(never)]
fn look_up<F: Listening>(skb: &Skb, segment: &Segment<F::Address>) -> u32 {
    let mut tuple = F::tuple(segment);
    let size = size_of::<F::Tuple>() as u32;
    let (ctx, tuple) = (skb.context().as_ptr(), (&raw mut tuple).cast());
    // SAFETY: the context is valid, and the tuple is initialised and of the given length.
    let socket = unsafe { bpf_sk_lookup_udp(ctx, tuple, size, CURRENT_NETNS, 0) };
    if socket.is_null() {
        return Listener::None as u32;
    }
    // SAFETY: the kernel has handed it out just now.
    let is_wildcard = unsafe { F::is_wildcard(socket) };
    // SAFETY: as above.
    let is_connected = unsafe { ptr::read_volatile(&raw const (*socket).dst_port) } != 0;
    // SAFETY: as above; it is not used any more.
    unsafe { bpf_sk_release(socket.cast()) };
    let listener = match (is_connected, is_wildcard) {
        (true, _) => Listener::Connected,
        (false, true) => Listener::Wildcard,
        (false, false) => Listener::Bound,
    };
    listener as u32
}
