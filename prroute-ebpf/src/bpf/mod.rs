//! The half of the datapath that exists only in the kernel. A packet's way:
//!
//! ```text
//! skb -> parse -> locality -> (flow key -> lookup) -> verdict -> action, count
//! ```

mod action;
mod asked;
mod clock;
mod count;
mod egress;
mod error_source;
mod fragment;
mod guest;
mod headers;
mod ingress;
mod listener;
mod log;
mod lookup;
mod maps;
mod mss;
mod opening;
mod ports;
mod record;
mod redirect;
mod scratch;
mod skb;
mod slow_in;
mod slow_out;
mod sockets;
mod too_big;

use aya_ebpf::{macros::classifier, programs::TcContext};

use crate::bpf::skb::Skb;

/// The licence the kernel asks for: `bpf_redirect_neigh` is open to every program, other
/// helpers a later version may need are not.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[classifier]
pub(crate) fn prroute_ingress(ctx: TcContext) -> i32 {
    ingress::run(&Skb::new(ctx)).code()
}

#[classifier]
pub(crate) fn prroute_egress(ctx: TcContext) -> i32 {
    egress::run(&Skb::new(ctx)).code()
}

/// A panic that could be reached would loop forever, which the verifier refuses to load.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
