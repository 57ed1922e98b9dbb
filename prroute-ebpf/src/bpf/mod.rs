//! The half of the datapath that exists only in the kernel: it fetches facts and carries out decisions. A
//! packet's way, downwards:
//!
//! ```text
//! ingress, egress      headers -> fast path, which is enough for most packets
//!   inbound, outbound  the slow path: facts -> lookup -> decision -> write, on one frame
//!   deliver            what leaves, to a next hop
//! ```

mod action;
mod address;
mod by_words;
mod clock;
mod count;
mod deliver;
mod egress;
mod fragment;
mod frame;
mod headers;
mod icmp_source;
mod inbound;
mod ingress;
mod listener;
mod log;
mod lookup;
mod maps;
mod mss;
mod observe;
mod outbound;
mod own_source;
mod ports;
mod route;
mod skb;
mod sockets;
mod syn_cache;
mod too_big;
mod trace;
mod udp_origin;
mod uplink;
mod waited;
mod write;

use aya_ebpf::{macros::classifier, programs::TcContext};

use crate::bpf::skb::Skb;

/// The licence the kernel asks for: `bpf_redirect_neigh` is open to every program, other
/// helpers a later version may need are not.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[classifier]
pub(crate) fn prroute_ingress(ctx: TcContext) -> i32 {
    ingress::run(&Skb::new(ctx)) as i32
}

#[classifier]
pub(crate) fn prroute_egress(ctx: TcContext) -> i32 {
    egress::run(&Skb::new(ctx))
}

/// A panic that could be reached would loop forever, which the verifier refuses to load.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
