//! The decision log: off unless the loader sets `AYA_LOG_LEVEL`, and then folded away by the
//! verifier, so that it costs nothing.

use aya_log_ebpf::info;
use aya_log_ebpf::macro_support::{Level, level_enabled};
use core::net::{Ipv4Addr, Ipv6Addr};
use prroute_common::address::{octets4, octets6};
use prroute_ebpf::wire::Family;

use super::frame::{Direction, Frame};
use super::skb::Skb;

/// Whether decisions are logged; a constant to the verifier.
#[inline(always)]
pub(super) fn is_on() -> bool {
    level_enabled(Level::Info)
}

/// Logs what was decided for the packet in the frame of `direction`, if anything was.
///
/// It is done when the functions that decide have returned: the verifier of Linux 6.1 goes through
/// all of this again for each state in which it is called.
#[inline(always)]
pub(super) fn decision(skb: &Skb, direction: Direction) {
    if is_on() {
        write(skb, direction);
    }
}

macro_rules! write {
    ($name:ident, $address:expr) => {
        #[inline(never)]
        fn $name(skb: &Skb, direction: u32) {
            let frame = if direction == Direction::In as u32 {
                Frame::of(Direction::In)
            } else {
                Frame::of(Direction::Out)
            };
            let Some(frame) = frame else { return };
            let (direction, decision) = if direction == Direction::In as u32 {
                ("in", frame.came_in.name())
            } else {
                ("out", frame.leaves.name())
            };
            let segment = &frame.segment;
            info!(
                skb.context(),
                "{} interface {}: protocol {} {:i} port {} to {:i} port {}: {}",
                direction,
                skb.ifindex(),
                segment.protocol,
                ($address)(segment.source),
                u16::from_be_bytes(segment.source_port),
                ($address)(segment.destination),
                u16::from_be_bytes(segment.destination_port),
                decision,
            );
        }
    };
}

write!(write4, |address: [u64; 2]| Ipv4Addr::from(octets4(address[0] as u32)));
write!(write6, |address| Ipv6Addr::from(octets6(address)));

#[inline(always)]
fn write(skb: &Skb, direction: Direction) {
    let Some(frame) = Frame::of(direction) else { return };
    if !frame.is_decided {
        return;
    }
    match frame.family {
        Family::Ipv4 => write4(skb, direction as u32),
        Family::Ipv6 => write6(skb, direction as u32),
    }
}
