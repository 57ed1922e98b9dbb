//! Verdicts to deeds: the only place with a TC action number.

use aya_ebpf::bindings::{bpf_redir_neigh, bpf_redir_neigh__bindgen_ty_1};
use aya_ebpf::helpers::generated::bpf_redirect_neigh;
use prroute_common::flow::Flow;
use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, flag};
use prroute_ebpf::family::{Family, Ipv4, Ipv6};
use prroute_ebpf::parse::{NotParsed, Segment};

use super::count::count;
use super::lookup::{self, Entry, Tables};
use super::skb::Skb;

/// TCX_NEXT = TC_ACT_UNSPEC: the next program in the chain decides. Everything else would end it.
const TC_ACT_UNSPEC: i32 = -1;
/// What `bpf_redirect_neigh` returns when it took the packet.
const TC_ACT_REDIRECT: i32 = 7;

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The kernel's own way.
    Pass,
    /// A redirect helper has been told where it goes.
    Redirect,
}

impl Action {
    #[inline(always)]
    pub(super) const fn code(self) -> i32 {
        match self {
            Self::Pass => TC_ACT_UNSPEC,
            Self::Redirect => TC_ACT_REDIRECT,
        }
    }
}

/// Parses a packet on uplink `here`; counts why where there is nothing to decide.
#[inline(always)]
pub(super) fn parse<F: Family>(skb: &Skb, here: &UplinkFacts) -> Option<Segment<F::Address>> {
    let offset = if here.link_header == 0 { 0 } else { network_types::eth::EthHdr::LEN };
    let mut parsed = F::parse(&skb.linear(), offset);
    if matches!(parsed, Err(NotParsed::Malformed)) && !skb.is_linear() {
        parsed = F::parse(&skb.copying(), offset);
    }
    let reason = match parsed {
        Ok(segment) => return Some(segment),
        Err(NotParsed::NotOurs) => return None,
        Err(NotParsed::Fragment) => Reason::Fragment,
        Err(NotParsed::IcmpError) => Reason::IcmpError,
        Err(NotParsed::Malformed) => Reason::Unparsable,
    };
    count(here.id, reason);
    None
}

/// Writes a flow: in place where it has an entry, else as a new one.
#[inline(always)]
pub(super) fn write<F: Tables>(
    key: &F::Key,
    entry: Option<Entry>,
    flow: Flow,
    uplink: u16,
    reason: Reason,
) where
    F::Key: 'static,
    F::Address: 'static,
{
    let written = match entry {
        Some(entry) => {
            // SAFETY: the pointer is to a live map value of two aligned words.
            unsafe { *entry.flow = flow };
            true
        }
        None => F::flows().insert(key, flow, 0).is_ok(),
    };
    count(uplink, if written { reason } else { Reason::TableFull });
}

/// A family that knows how its next hops are written.
pub(super) trait NextHop: Tables
where
    Self::Key: 'static,
    Self::Address: 'static,
{
    /// The destination itself as next hop.
    fn direct(destination: Self::Address) -> bpf_redir_neigh;
    /// The uplink's gateway as next hop.
    fn gateway(target: &UplinkFacts) -> bpf_redir_neigh;
}

#[inline(always)]
fn next_hop6(address: [u8; 16]) -> bpf_redir_neigh {
    let word =
        |i: usize| u32::from_ne_bytes([address[i], address[i + 1], address[i + 2], address[i + 3]]);
    let ipv6_nh = [word(0), word(4), word(8), word(12)];
    bpf_redir_neigh {
        nh_family: AF_INET6,
        __bindgen_anon_1: bpf_redir_neigh__bindgen_ty_1 { ipv6_nh },
    }
}

#[inline(always)]
fn next_hop4(address: [u8; 4]) -> bpf_redir_neigh {
    // The helper reads the whole structure: the words behind an IPv4 address are zeroed too.
    let ipv6_nh = [u32::from_ne_bytes(address), 0, 0, 0];
    bpf_redir_neigh {
        nh_family: AF_INET,
        __bindgen_anon_1: bpf_redir_neigh__bindgen_ty_1 { ipv6_nh },
    }
}

impl NextHop for Ipv4 {
    #[inline(always)]
    fn direct(destination: [u8; 4]) -> bpf_redir_neigh {
        next_hop4(destination)
    }

    #[inline(always)]
    fn gateway(target: &UplinkFacts) -> bpf_redir_neigh {
        if target.flags & flag::GATEWAY4_IS_V6 != 0 {
            return next_hop6(target.gateway4);
        }
        let [a, b, c, d, ..] = target.gateway4;
        next_hop4([a, b, c, d])
    }
}

impl NextHop for Ipv6 {
    #[inline(always)]
    fn direct(destination: [u8; 16]) -> bpf_redir_neigh {
        next_hop6(destination)
    }

    #[inline(always)]
    fn gateway(target: &UplinkFacts) -> bpf_redir_neigh {
        next_hop6(target.gateway6)
    }
}

/// Sends a reply out of `target`, to a next hop that is named: left to itself the helper would
/// take any IPv4 destination for an on-link one. Once the helper has accepted, the kernel can
/// only deliver or drop, so everything that can be wrong is checked before.
#[inline(always)]
pub(super) fn redirect<F: NextHop>(
    skb: &Skb,
    segment: &Segment<F::Address>,
    target: &UplinkFacts,
    reason: Reason,
) -> Action
where
    F::Key: 'static,
    F::Address: 'static,
{
    if target.ifindex == skb.ifindex() {
        return Action::Pass;
    }
    let refused = if !lookup::is_up(target) {
        Reason::UplinkDown
    } else if target.flags & flag::REPLY_OFF != 0 {
        return Action::Pass;
    } else if largest_packet(skb, segment.headers, target.link_header) > target.mtu {
        Reason::TooBig
    } else {
        let mut next_hop = if F::is_on_link(target.id, segment.destination) {
            F::direct(segment.destination)
        } else if target.flags & F::HAS_GATEWAY != 0 {
            F::gateway(target)
        } else {
            count(target.id, Reason::NoNextHop);
            return Action::Pass;
        };
        let length = size_of::<bpf_redir_neigh>() as i32;
        // SAFETY: `next_hop` is an initialised structure of the given length on the stack.
        let result = unsafe { bpf_redirect_neigh(target.ifindex, &raw mut next_hop, length, 0) };
        if result == i64::from(TC_ACT_REDIRECT) {
            count(target.id, reason);
            return Action::Redirect;
        }
        Reason::RedirectFailed
    };
    count(target.id, refused);
    Action::Pass
}

/// Bytes of the largest network-layer packet this one puts on the wire. `headers` are those of
/// the network and transport layer.
#[inline(always)]
fn largest_packet(skb: &Skb, headers: u32, link_header: u32) -> u32 {
    match skb.segment_size() {
        0 => skb.len().saturating_sub(link_header),
        payload => payload + headers,
    }
}
