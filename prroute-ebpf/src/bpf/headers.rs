//! Reading a packet's headers: fast where they are plain and linear, by copying where not.

use network_types::eth::EthHdr;
use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, mac_word};
use prroute_ebpf::family::Family;
use prroute_ebpf::packet::Packet as _;
use prroute_ebpf::parse::NotParsed;
use prroute_ebpf::parse::outline::Outline;

use super::count::count;
use super::scratch::{Scratched, Way};
use super::skb::Skb;

/// What was read into the scratch memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Headers {
    Segment,
    LaterFragment,
    /// Nothing to decide.
    None,
}

/// Where the network header begins.
#[inline(always)]
fn network(here: &UplinkFacts) -> usize {
    if here.link_header == 0 { 0 } else { EthHdr::LEN }
}

/// A first look at a packet on uplink `here`.
#[inline(always)]
pub(super) fn outline<F: Family>(skb: &Skb, here: &UplinkFacts) -> Option<Outline<F::Address>> {
    F::outline(&skb.linear(), network(here))
}

/// Reads the headers of a packet on uplink `here` into the scratch memory of `way`; counts what
/// cannot be parsed.
///
/// It is done in functions of their own, called before those that decide and not by them: Linux
/// 6.1 allows 512 bytes along a chain of calls, each frame rounded up to 32, and both need much.
#[inline(always)]
pub(super) fn read<F: Scratched>(skb: &Skb, here: &UplinkFacts, way: Way) -> Headers {
    let offset = network(here);
    let read = match read_plain::<F>(skb, offset, way) {
        RARE => read_rare::<F>(skb, offset, way),
        read => read,
    };
    match read {
        SEGMENT => Headers::Segment,
        LATER_FRAGMENT => Headers::LaterFragment,
        NOT_OURS => Headers::None,
        _ => {
            count(here.id, Reason::Unparsable);
            Headers::None
        }
    }
}

const SEGMENT: u32 = 0;
const LATER_FRAGMENT: u32 = 1;
const NOT_OURS: u32 = 2;
const MALFORMED: u32 = 3;
const RARE: u32 = 4;

/// Functions with a stack frame of their own return numbers.
#[inline(never)]
fn read_plain<F: Scratched>(skb: &Skb, offset: usize, way: Way) -> u32 {
    let Some(into) = F::scratch(way) else { return NOT_OURS };
    match F::parse(&skb.linear(), offset) {
        Ok(segment) => {
            into.segment = segment;
            SEGMENT
        }
        Err(NotParsed::NotOurs) => NOT_OURS,
        Err(NotParsed::LaterFragment(_) | NotParsed::Malformed) => RARE,
    }
}

#[inline(never)]
fn read_rare<F: Scratched>(skb: &Skb, offset: usize, way: Way) -> u32 {
    let Some(into) = F::scratch(way) else { return NOT_OURS };
    match F::parse(&skb.copying(), offset) {
        Ok(segment) => {
            into.segment = segment;
            SEGMENT
        }
        Err(NotParsed::LaterFragment(fragment)) => {
            into.fragment = fragment;
            LATER_FRAGMENT
        }
        Err(NotParsed::NotOurs) => NOT_OURS,
        Err(NotParsed::Malformed) => MALFORMED,
    }
}

/// The link-layer address a frame came from, in the low 48 bits; 0 where frames have none.
#[inline(always)]
pub(super) fn sender_of_frame(skb: &Skb, here: &UplinkFacts) -> u64 {
    const SOURCE: usize = 6;
    if here.link_header == 0 {
        return 0;
    }
    skb.linear().read(SOURCE).map_or(0, mac_word)
}
