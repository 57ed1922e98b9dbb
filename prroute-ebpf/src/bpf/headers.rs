//! Reading a packet's headers: fast where they are plain and linear, by copying where not.

use network_types::eth::EthHdr;
use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, mac_word};
use prroute_ebpf::family::Family;
use prroute_ebpf::packet::Packet as _;
use prroute_ebpf::parse::NotParsed;
use prroute_ebpf::parse::outline::Outline;

use super::count::count;
use super::scratch::Scratch;
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

/// Reads the headers of a packet on uplink `here`; counts what cannot be parsed.
#[inline(always)]
pub(super) fn read<F: Family>(skb: &Skb, here: &UplinkFacts, into: &mut Scratch<F>) -> Headers {
    let offset = network(here);
    match F::parse(&skb.linear(), offset) {
        Ok(segment) => {
            into.segment = segment;
            Headers::Segment
        }
        Err(NotParsed::NotOurs) => Headers::None,
        Err(NotParsed::LaterFragment(_) | NotParsed::Malformed) => {
            match read_rare(skb, offset, into) {
                SEGMENT => Headers::Segment,
                LATER_FRAGMENT => Headers::LaterFragment,
                NOT_OURS => Headers::None,
                _ => {
                    count(here.id, Reason::Unparsable);
                    Headers::None
                }
            }
        }
    }
}

const SEGMENT: u32 = 0;
const LATER_FRAGMENT: u32 = 1;
const NOT_OURS: u32 = 2;
const MALFORMED: u32 = 3;

/// A function of its own, with a stack frame of its own; such functions return numbers.
#[inline(never)]
fn read_rare<F: Family>(skb: &Skb, offset: usize, into: &mut Scratch<F>) -> u32 {
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
