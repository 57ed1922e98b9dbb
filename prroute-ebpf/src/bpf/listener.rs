//! UDP sockets of this host, seen from its packets.

use core::ptr;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::bpf_sock;
use aya_ebpf::helpers::generated::{bpf_sk_fullsock, bpf_sk_lookup_udp, bpf_sk_release};
use prroute_ebpf::wire::Family;
use prroute_ebpf::wire::parse::protocol;

use super::frame::Frame;
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

/// The words of a socket's own address that differ from `address`, joined. Each access is volatile: the
/// kernel allows words to be read one by one. An IPv6 socket that takes IPv4 has the IPv4 word too.
///
/// # Safety
///
/// `socket` must be a socket that the kernel has handed out.
#[inline(always)]
unsafe fn difference(family: Family, socket: *mut bpf_sock, address: [u32; 4]) -> u32 {
    if family == Family::Ipv4 {
        // SAFETY: by the caller; the verifier checks the access.
        return unsafe { ptr::read_volatile(&raw const (*socket).src_ip4) } ^ address[0];
    }
    let mut bits = 0;
    for (word, address) in address.into_iter().enumerate() {
        // SAFETY: as above.
        bits |= unsafe { ptr::read_volatile(&raw const (*socket).src_ip6[word]) } ^ address;
    }
    bits
}

/// Whether a socket of this host sends the datagram in the frame as it is: what is translated has
/// another socket's address or port.
#[inline(always)]
pub(super) fn sends_itself(skb: &Skb, frame: &Frame) -> bool {
    let socket = skb.sender();
    if socket.is_null() {
        return false;
    }
    let segment = &frame.segment;
    // SAFETY: the kernel keeps the socket while the packet lives, and the verifier checks the
    // access. The own port is in native byte order.
    let port = unsafe { ptr::read_volatile(&raw const (*socket).src_port) } as u16;
    // SAFETY: as above.
    let is_wildcard = unsafe { difference(frame.family, socket, [0; 4]) } == 0;
    let source = bytemuck::must_cast(segment.source);
    // SAFETY: as above.
    let is_at = is_wildcard || unsafe { difference(frame.family, socket, source) } == 0;
    is_at && port == u16::from_be_bytes(segment.source_port)
}

/// Whether a UDP socket may send the datagram in the frame, perhaps with a translated source. What a tunnel of
/// the kernel wraps (VXLAN, Geneve, FOU) has the socket of the packet inside, or none; a UDP socket that is
/// connected is that of the datagram if it is connected to where that goes.
#[inline(always)]
pub(super) fn is_of_udp_socket(skb: &Skb, frame: &Frame) -> bool {
    let sender = skb.sender();
    if sender.is_null() {
        return false;
    }
    // SAFETY: the kernel keeps the socket while the packet lives; what the helper returns is the same one,
    // or null for one that is not a whole socket.
    let socket = unsafe { bpf_sk_fullsock(sender) };
    if socket.is_null() {
        return false;
    }
    // SAFETY: as above; the verifier checks the access.
    let protocol = unsafe { ptr::read_volatile(&raw const (*socket).protocol) };
    // SAFETY: as above.
    let peer = unsafe { ptr::read_volatile(&raw const (*socket).dst_port) };
    protocol == u32::from(protocol::UDP)
        && (peer == 0 || peer == u16::from_ne_bytes(frame.segment.destination_port))
}

/// Who gets the datagram in the frame.
#[inline(never)]
pub(super) fn of(skb: &Skb, frame: &Frame) -> Listener {
    /// Words of `struct bpf_sock_tuple`: of IPv4 and of IPv6.
    const IPV4: u32 = 3;
    const IPV6: u32 = 9;
    let segment = &frame.segment;
    let [s0, s1, s2, s3]: [u32; 4] = bytemuck::must_cast(segment.source);
    let [d0, d1, d2, d3]: [u32; 4] = bytemuck::must_cast(segment.destination);
    let ([p0, p1], [p2, p3]) = (segment.source_port, segment.destination_port);
    let ports = u32::from_ne_bytes([p0, p1, p2, p3]);
    let mut tuple = [s0, s1, s2, s3, d0, d1, d2, d3, ports];
    let ctx = skb.context().as_ptr();
    let socket = if frame.family == Family::Ipv4 {
        (tuple[1], tuple[2]) = (d0, ports);
        // SAFETY: the context is valid, and the tuple is initialised beyond the given length.
        unsafe { bpf_sk_lookup_udp(ctx, (&raw mut tuple).cast(), IPV4 * 4, CURRENT_NETNS, 0) }
    } else {
        // SAFETY: as above.
        unsafe { bpf_sk_lookup_udp(ctx, (&raw mut tuple).cast(), IPV6 * 4, CURRENT_NETNS, 0) }
    };
    if socket.is_null() {
        return Listener::None;
    }
    // SAFETY: the kernel has handed it out just now.
    let is_wildcard = unsafe { difference(frame.family, socket, [0; 4]) } == 0;
    // SAFETY: as above.
    let is_connected = unsafe { ptr::read_volatile(&raw const (*socket).dst_port) } != 0;
    // SAFETY: as above; it is not used any more.
    unsafe { bpf_sk_release(socket.cast()) };
    match (is_connected, is_wildcard) {
        (true, _) => Listener::Connected,
        (false, true) => Listener::Wildcard,
        (false, false) => Listener::Bound,
    }
}
