//! Reading a packet's headers: in place where they are plain and linear, by copying for the slow path.

use network_types::eth::EthHdr;
use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, is_unicast, mac_word};
use prroute_ebpf::wire::fast_headers::FastHeaders;
use prroute_ebpf::wire::packet::Packet;
use prroute_ebpf::wire::parse::NotParsed;

use super::action::Fast;
use super::count::count;
use super::frame::{Direction, Frame};
use super::maps::Maps;
use super::skb::Skb;

/// What was read into the frame.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Headers {
    Segment = 0,
    LaterFragment = 1,
    /// Nothing to decide.
    NotOurs = 2,
    Malformed = 3,
}

/// Where the network header begins.
#[inline(always)]
pub(super) fn network(here: &UplinkFacts) -> usize {
    if here.link_header == 0 { 0 } else { EthHdr::LEN }
}

/// The headers of a plain packet on uplink `here`.
#[inline(always)]
pub(super) fn fast<F: Maps>(skb: &Skb, here: &UplinkFacts) -> Option<FastHeaders<F::Address>> {
    F::fast_headers(&skb.linear(), network(here))
}

/// Reads the headers of a packet on uplink `here` into the frame; counts what cannot be parsed. `fast` is
/// what the fast path has said of it.
#[inline(always)]
pub(super) fn read<F: Maps>(
    skb: &Skb,
    here: &UplinkFacts,
    direction: Direction,
    fast: Fast,
) -> Headers {
    let Some(frame) = Frame::of(direction) else { return Headers::NotOurs };
    frame.has_no_flow = fast == Fast::SlowPathWithoutFlow;
    let read = read_into::<F>(skb, here, direction);
    if read == Headers::Malformed {
        count(here.id, Reason::Unparsable);
    }
    read
}

#[inline(never)]
fn read_into<F: Maps>(skb: &Skb, here: &UplinkFacts, direction: Direction) -> Headers {
    let Some(frame) = Frame::of(direction) else { return Headers::NotOurs };
    frame.family = F::FAMILY;
    match F::parse(&skb.copying(), network(here)) {
        Ok(segment) => {
            frame.segment = segment.map(F::widen);
            Headers::Segment
        }
        Err(NotParsed::LaterFragment(fragment)) => {
            frame.fragment = fragment.map(F::widen);
            Headers::LaterFragment
        }
        Err(NotParsed::NotOurs) => Headers::NotOurs,
        Err(NotParsed::Malformed) => Headers::Malformed,
    }
}

/// Whether a frame is for everybody on its link, whatever its network header says: the address of a subnet's
/// broadcasts looks like others. A group's address would not tell: gateways may have one (network load balancing).
#[inline(always)]
pub(super) fn is_broadcast(skb: &Skb, here: &UplinkFacts) -> bool {
    const EVERYBODY: u64 = 0xffff_ffff_ffff;
    here.link_header != 0 && skb.linear().read(0).map(mac_word) == Some(EVERYBODY)
}

/// The link-layer address a frame came from, in the low 48 bits; 0 where frames have none, and where
/// nobody else can be sent to there: an address of several hosts, none, or the uplink's own.
#[inline(always)]
pub(super) fn sender_of_frame(skb: &Skb, here: &UplinkFacts) -> u64 {
    const SOURCE: usize = 6;
    if here.link_header == 0 {
        return 0;
    }
    let sender = skb.linear().read(SOURCE).map_or(0, mac_word);
    if is_unicast(sender) && sender != here.mac { sender } else { 0 }
}
