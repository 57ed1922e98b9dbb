//! Programs on the sockets of a control group (sendmsg hooks: Linux 4.18, their `sk`: 5.3,
//! namespace cookie: 5.7). They help UDP sockets that are bound to no address, in one network
//! namespace; every other call goes on as if they were not there.

use core::ptr;

use aya_ebpf::bindings::{bpf_sock, bpf_sock_addr};
use aya_ebpf::helpers::generated::bpf_get_netns_cookie;
use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use prroute_common::address::{Address4, Address6};
use prroute_common::udp_origin::{Peer, SocketReason};
use prroute_ebpf::wire::parse::protocol;
use prroute_ebpf::wire::{Ipv4, Ipv6};

use super::maps::Maps;
use super::udp_origin;

/// The call goes on; 0 would make it fail with EPERM.
const ALLOW: i32 = 1;

/// `::ffff:0:0/96` before its last word (RFC 4291, 2.5.5.2).
const MAPPED: [u32; 3] = [0, 0, 0x0000_ffff_u32.to_be()];

#[cgroup_sock_addr(sendmsg4)]
pub(crate) fn prroute_sendmsg4(ctx: SockAddrContext) -> i32 {
    Call::new(&ctx).set_source::<Ipv4>();
    ALLOW
}

#[cgroup_sock_addr(sendmsg6)]
pub(crate) fn prroute_sendmsg6(ctx: SockAddrContext) -> i32 {
    // To an IPv4-mapped address the kernel sends by IPv4, and runs sendmsg4 instead.
    Call::new(&ctx).set_source::<Ipv6>();
    ALLOW
}

#[cgroup_sock_addr(connect4)]
pub(crate) fn prroute_connect4(ctx: SockAddrContext) -> i32 {
    Call::new(&ctx).notice_connect::<Ipv4>();
    ALLOW
}

#[cgroup_sock_addr(connect6)]
pub(crate) fn prroute_connect6(ctx: SockAddrContext) -> i32 {
    let call = Call::new(&ctx);
    let [a, b, c, mapped] = call.words6();
    if [a, b, c] == MAPPED {
        call.notice_connect_to::<Ipv4>(mapped, call.is_wildcard6());
    } else {
        call.notice_connect::<Ipv6>();
    }
    ALLOW
}

/// One call of a program on its socket. Every access is volatile: the kernel allows words of the
/// context to be read and written one by one, the compiler would join them.
#[derive(Clone, Copy)]
struct Call {
    raw: *mut bpf_sock_addr,
}

/// Reads one field of the context.
macro_rules! read {
    ($place:expr) => {
        // SAFETY: the kernel passes a valid context, and the verifier checks each access.
        unsafe { ptr::read_volatile(&raw const $place) }
    };
}

/// A family whose fields of the context these are.
trait SocketFamily: Maps {
    fn remote(call: Call) -> Self::Address;
    /// The program named a source, or the socket has one.
    fn has_source(call: Call) -> bool;
    fn is_wildcard(call: Call) -> bool;
    fn write_source(call: Call, source: Self::Address);
}

impl SocketFamily for Ipv4 {
    #[inline(always)]
    fn remote(call: Call) -> Address4 {
        read!((*call.raw).user_ip4)
    }

    #[inline(always)]
    fn has_source(call: Call) -> bool {
        read!((*call.raw).msg_src_ip4) != 0
    }

    #[inline(always)]
    fn is_wildcard(call: Call) -> bool {
        let socket = call.socket();
        read!((*socket).src_ip4) == 0
    }

    #[inline(always)]
    fn write_source(call: Call, source: Address4) {
        // SAFETY: as for `read!`; the kernel lets sendmsg4 write this word.
        unsafe { ptr::write_volatile(&raw mut (*call.raw).msg_src_ip4, source) };
    }
}

impl SocketFamily for Ipv6 {
    #[inline(always)]
    fn remote(call: Call) -> Address6 {
        bytemuck::must_cast(call.words6())
    }

    #[inline(always)]
    fn has_source(call: Call) -> bool {
        let mut bits = 0;
        for i in 0..4 {
            bits |= read!((*call.raw).msg_src_ip6[i]);
        }
        bits != 0
    }

    #[inline(always)]
    fn is_wildcard(call: Call) -> bool {
        call.is_wildcard6()
    }

    #[inline(always)]
    fn write_source(call: Call, source: Address6) {
        let words: [u32; 4] = bytemuck::must_cast(source);
        for (i, word) in words.into_iter().enumerate() {
            // SAFETY: as for `read!`; the kernel lets sendmsg6 write these words.
            unsafe { ptr::write_volatile(&raw mut (*call.raw).msg_src_ip6[i], word) };
        }
    }
}

impl Call {
    #[inline(always)]
    fn new(ctx: &SockAddrContext) -> Self {
        Self { raw: ctx.sock_addr }
    }

    #[inline(always)]
    fn socket(self) -> *mut bpf_sock {
        read!((*self.raw).__bindgen_anon_1.sk)
    }

    #[inline(always)]
    fn words6(self) -> [u32; 4] {
        [
            read!((*self.raw).user_ip6[0]),
            read!((*self.raw).user_ip6[1]),
            read!((*self.raw).user_ip6[2]),
            read!((*self.raw).user_ip6[3]),
        ]
    }

    #[inline(always)]
    fn is_wildcard6(self) -> bool {
        let socket = self.socket();
        let mut bits = 0;
        for i in 0..4 {
            bits |= read!((*socket).src_ip6[i]);
        }
        bits == 0
    }

    #[inline(always)]
    fn is_udp(self) -> bool {
        read!((*self.raw).protocol) == u32::from(protocol::UDP)
    }

    /// The socket is of the network namespace that is managed.
    #[inline(always)]
    fn is_ours(self) -> bool {
        let cookie = udp_origin::netns_cookie();
        // SAFETY: the helper takes the context of this program.
        cookie != 0 && unsafe { bpf_get_netns_cookie(self.raw.cast()) } == cookie
    }

    #[inline(always)]
    fn peer<A>(self, remote: A) -> Peer<A> {
        let socket = self.socket();
        // Network byte order in the first half of a word; the socket's own port is native.
        let remote_port = (read!((*self.raw).user_port) as u16).to_ne_bytes();
        let local_port = (read!((*socket).src_port) as u16).to_be_bytes();
        Peer { remote, remote_port, local_port, pad: [0; 4] }
    }

    #[inline(always)]
    fn set_source<F: SocketFamily>(self) {
        if !self.is_udp() || F::has_source(self) || !F::is_wildcard(self) || !self.is_ours() {
            return;
        }
        if let Some(source) = udp_origin::source_for_reply::<F>(self.peer(F::remote(self))) {
            F::write_source(self, source);
            udp_origin::count(SocketReason::SourceSet);
        }
    }

    #[inline(always)]
    fn notice_connect<F: SocketFamily>(self) {
        self.notice_connect_to::<F>(F::remote(self), F::is_wildcard(self));
    }

    /// A socket that has a port cannot be bound to an address any more (`bpf_bind` answers
    /// EINVAL): such a server cannot be helped, but must not fail in silence.
    #[inline(always)]
    fn notice_connect_to<F: Maps>(self, remote: F::Address, is_wildcard: bool) {
        if self.is_udp()
            && is_wildcard
            && self.is_ours()
            && udp_origin::has_asked::<F>(self.peer(remote))
        {
            udp_origin::count(SocketReason::ConnectedBack);
        }
    }
}
