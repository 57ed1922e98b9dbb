//! Reading a packet's headers: fast where they are plain and linear, by copying where not.

use network_types::eth::EthHdr;
use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, is_unicast, mac_word};
use prroute_ebpf::family::Family;
use prroute_ebpf::packet::Packet;
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

/// Reads the headers of a packet on uplink `here` into the scratch memory; counts what cannot be
/// parsed.
#[inline(always)]
pub(super) fn read<F: Scratched>(skb: &Skb, here: &UplinkFacts, way: Way) -> Headers {
    let mut read = read_plain::<F>(skb, here, way as u32);
    if read == MALFORMED {
        read = read_rare::<F>(skb, here, way as u32);
    }
    match read {
        SEGMENT => Headers::Segment,
        LATER_FRAGMENT => Headers::LaterFragment,
        MALFORMED => {
            count(here.id, Reason::Unparsable);
            Headers::None
        }
        _ => Headers::None,
    }
}

const SEGMENT: u32 = 0;
const LATER_FRAGMENT: u32 = 1;
const NOT_OURS: u32 = 2;
const MALFORMED: u32 = 3;

/// What is plain and linear. A function of its own, with a stack frame of its own; such functions
/// return numbers.
#[inline(never)]
fn read_plain<F: Scratched>(skb: &Skb, here: &UplinkFacts, way: u32) -> u32 {
    read_from::<F>(&skb.linear(), here, way)
}

/// All the rest, by copying. A function of its own, as above.
#[inline(never)]
fn read_rare<F: Scratched>(skb: &Skb, here: &UplinkFacts, way: u32) -> u32 {
    read_from::<F>(&skb.copying(), here, way)
}

#[inline(always)]
fn read_from<F: Scratched>(packet: &impl Packet, here: &UplinkFacts, way: u32) -> u32 {
    let Some(scratch) = F::scratch(way) else { return NOT_OURS };
    match F::parse(packet, network(here)) {
        Ok(segment) => {
            scratch.segment = segment;
            SEGMENT
        }
        Err(NotParsed::LaterFragment(fragment)) => {
            scratch.fragment = fragment;
            LATER_FRAGMENT
        }
        Err(NotParsed::NotOurs) => NOT_OURS,
        Err(NotParsed::Malformed) => MALFORMED,
    }
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
