//! Ingress: records where flows come in. Never changes a packet's way.

use prroute_common::flow::SEEN_REFRESH;
use prroute_common::reason::Reason;
use prroute_common::time::is_within;
use prroute_common::uplink::{UplinkFacts, flag};
use prroute_ebpf::decide::fast::{self, Entry, FastIn, Step};
use prroute_ebpf::decide::{InboundPacket, Locality, UplinkRef};
use prroute_ebpf::wire::fast_headers::FastHeaders;
use prroute_ebpf::wire::{Family, Ipv4, Ipv6, is_inline_address, key};

use super::action::{Action, Fast};
use super::count::count;
use super::frame::Direction;
use super::headers::{self, Headers};
use super::lookup::{self, Found};
use super::maps::Maps;
use super::skb::{Network, Skb};
use super::{address, clock, inbound, log, ports, syn_cache, trace, udp_origin, uplink, write};

#[inline(always)]
pub(super) fn run(skb: &Skb) -> Action {
    if !skb.is_to_host() {
        return Action::Pass;
    }
    let Some(here) = uplink::at(skb.ifindex()) else { return Action::Pass };
    if here.flags & flag::REPLY_OFF != 0 {
        return Action::Pass;
    }
    let read = match skb.network() {
        Network::Ipv4 => read::<Ipv4>(skb, here),
        Network::Ipv6 => read::<Ipv6>(skb, here),
        Network::Tagged => {
            count(here.id, Reason::Tagged);
            return Action::Pass;
        }
        Network::Other => return Action::Pass,
    };
    // What follows the first fragment has no ports, and nothing to tell.
    if read == Headers::Segment {
        inbound::handle(skb, here);
        log::decision(skb, Direction::In);
        trace::came_in(skb, here);
    }
    Action::Pass
}

/// Takes the fast path, or reads the headers into the frame for the slow one.
#[inline(always)]
fn read<F: Maps>(skb: &Skb, here: &'static UplinkFacts) -> Headers {
    match fast_path::<F>(skb, here) {
        fast @ (Fast::SlowPath | Fast::SlowPathWithoutFlow) => {
            headers::read::<F>(skb, here, Direction::In, fast)
        }
        _ => Headers::NotOurs,
    }
}

#[inline(always)]
fn fast_path<F: Maps>(skb: &Skb, here: &'static UplinkFacts) -> Fast {
    if log::is_on() || (trace::is_on(here) && trace::asks_for::<F>(skb, here, Direction::In)) {
        return Fast::SlowPath;
    }
    let Some(headers) = headers::fast::<F>(skb, here) else { return Fast::SlowPath };
    let is_owned = is_inline_address::<F>(here, &headers.destination);
    let is_quiet = is_owned && here.flags & F::LAST_HOP == 0 && !address::may_be_exposed(here);
    match fast::inbound_step(headers.l4, is_quiet, here.flags & flag::SMALLER != 0) {
        Step::Pass => Fast::Pass,
        Step::CacheSyn => {
            let key = key::inbound_fast::<F>(&headers);
            syn_cache::insert::<F>(&key, UplinkRef::of(here), clock::now());
            Fast::Pass
        }
        Step::LookUp if F::FAMILY == Family::Ipv4 => of_flow::<F>(skb, here, &headers, is_owned),
        Step::LookUp => of_flow_apart::<F>(skb, here),
        Step::SlowPath => Fast::SlowPath,
    }
}

/// A function of its own, which reads the headers once more: with both families in line the slow path
/// would have too little stack left (Linux 6.1).
#[inline(never)]
fn of_flow_apart<F: Maps>(skb: &Skb, here: &'static UplinkFacts) -> Fast {
    let Some(headers) = headers::fast::<F>(skb, here) else { return Fast::SlowPath };
    let is_owned = is_inline_address::<F>(here, &headers.destination);
    of_flow::<F>(skb, here, &headers, is_owned)
}

/// For a packet whose flow is looked up.
#[inline(always)]
fn of_flow<F: Maps>(
    skb: &Skb,
    here: &'static UplinkFacts,
    headers: &FastHeaders<F::Address>,
    is_owned: bool,
) -> Fast {
    let is_last_hop = here.flags & F::LAST_HOP != 0;
    // From shared addresses alone the router may answer: whose address it is takes a lookup.
    if here.flags & F::NOTES_ROUTERS != 0 && !is_last_hop && !is_owned {
        return Fast::SlowPath;
    }
    let now = clock::now();
    let key = key::inbound_fast::<F>(headers);
    let found = match lookup::fast::<F>(&key, headers.protocol) {
        Ok(found) => found,
        Err(slow_path) => return slow_path,
    };
    let packet = InboundPacket {
        kind: headers.l4.kind(),
        protocol: headers.protocol,
        tcp: headers.tcp,
        payload: 0,
        destination: Locality::NotLocal,
        here: UplinkRef::of(here),
        router: if is_last_hop { headers::sender_of_frame(skb, here) } else { 0 },
        to_client_port: ports::is_client(headers.destination_port()),
        now,
    };
    let Found { at, flow, confirmed } = found;
    // A SYN to an address of this uplink may wait in the cache, of another connection than the entry.
    if is_owned && headers.l4.is_tcp() && !is_within(now, flow.last_in(), SEEN_REFRESH) {
        return Fast::SlowPath;
    }
    let entry = Entry { flow: &flow, confirmed, protocol: headers.protocol };
    let write = match fast::decide_inbound(&packet, &entry, !is_owned) {
        FastIn::SlowPath => return Fast::SlowPath,
        FastIn::Nothing => None,
        FastIn::Write(new) => Some(new),
    };
    if !udp_origin::is_settled::<F>(headers, now) {
        return Fast::SlowPath;
    }
    if let Some(new) = write {
        write::changed_words(at, &flow, &new);
    }
    Fast::Pass
}
