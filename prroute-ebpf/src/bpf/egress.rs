//! Egress: sends replies out of the uplink their flow came in on.

use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, flag};
use prroute_ebpf::decide::fast::{self, Entry, FastOut, Step};
use prroute_ebpf::decide::{Locality, OutboundPacket, UplinkRef};
use prroute_ebpf::wire::fast_headers::{FastHeaders, FastL4};
use prroute_ebpf::wire::parse::{Kind, Numbers};
use prroute_ebpf::wire::{Family, Ipv4, Ipv6, Wire as _, is_inline_address, key};

use super::action::{Action, Fast};
use super::count::count;
use super::deliver::{self, Outgoing};
use super::frame::{Direction, Frame};
use super::headers::{self, Headers};
use super::lookup::{self, Found};
use super::maps::{Maps, by_family};
use super::outbound::{self, Next};
use super::skb::{GSO_BY_FRAGS, Network, Skb};
use super::too_big::{self, Told};
use super::{
    address, clock, fragment, icmp_source, log, mss, observe, own_source, ports, trace, uplink,
    waited, write,
};

#[inline(always)]
pub(super) fn run(skb: &Skb) -> i32 {
    let Some(here) = uplink::at(skb.ifindex()) else { return Action::Pass as i32 };
    if skb.is_redirected() {
        return waited::send_again(skb, here) as i32;
    }
    let read = match skb.network() {
        Network::Ipv4 => read::<Ipv4>(skb, here),
        Network::Ipv6 => read::<Ipv6>(skb, here),
        Network::Tagged => {
            count(here.id, Reason::Tagged);
            return Action::Pass as i32;
        }
        Network::Other => return Action::Pass as i32,
    };
    match read {
        Ok(fast) => fast as i32,
        Err(Headers::Segment) => {
            let next = outbound::handle(skb, here);
            log::decision(skb, Direction::Out);
            let action = to_target(skb, here, next);
            trace::leaves(skb, here, action, false);
            action as i32
        }
        Err(Headers::LaterFragment) => {
            let action = fragment::follow(skb, here);
            trace::leaves(skb, here, action, true);
            action as i32
        }
        Err(_) => Action::Pass as i32,
    }
}

/// What becomes of the packet in the frame, of which it was decided whether it goes to a target.
#[inline(always)]
fn to_target(skb: &Skb, here: &'static UplinkFacts, next: Next) -> Action {
    trace::foresee(skb, here, next);
    if next != Next::Redirect {
        return Action::Pass;
    }
    if observe::is_on() { observe::segment(skb, here) } else { send(skb, here) }
}

/// Takes the fast path, or reads the headers into the frame for the slow one.
#[inline(always)]
fn read<F: Maps>(skb: &Skb, here: &'static UplinkFacts) -> Result<Fast, Headers> {
    match fast_path::<F>(skb, here) {
        fast @ (Fast::SlowPath | Fast::SlowPathWithoutFlow) => {
            Err(headers::read::<F>(skb, here, Direction::Out, fast))
        }
        fast => Ok(fast),
    }
}

#[inline(always)]
fn fast_path<F: Maps>(skb: &Skb, here: &'static UplinkFacts) -> Fast {
    if log::is_on() || (trace::is_on(here) && trace::asks_for::<F>(skb, here, Direction::Out)) {
        return Fast::SlowPath;
    }
    let Some(headers) = headers::fast::<F>(skb, here) else { return Fast::SlowPath };
    let is_owned = is_inline_address::<F>(here, &headers.source);
    let is_quiet = is_owned && here.flags & F::LAST_HOP == 0 && !address::may_be_exposed(here);
    if address::may_change_gateway::<F>(skb, here, &headers.source) {
        return Fast::SlowPath;
    }
    // What a guest opened behind a translated address leaves by the gateway that the kernel chose.
    let is_of_guest = here.flags & F::SUBNET_GATEWAYS != 0 && skb.is_forwarded();
    let step = fast::outbound_step(headers.l4, is_quiet, here.flags & F::OWN_SOURCE != 0);
    if step == Step::Pass && !is_of_guest {
        return Fast::Pass;
    }
    of_flow::<F>(skb, here, &headers, is_owned)
}

/// For a packet whose flow is looked up, or which goes to the owner of its source. A function of its own,
/// whose stack the slow path does not need.
#[inline(never)]
fn of_flow<F: Maps>(
    skb: &Skb,
    here: &'static UplinkFacts,
    headers: &FastHeaders<F::Address>,
    is_owned: bool,
) -> Fast {
    let forwarded = skb.is_forwarded();
    let keeps_own = here.flags & F::OWN_SOURCE != 0 && !is_owned && !forwarded;
    if keeps_own
        && headers.l4.is_tcp()
        && let Some(owner) = own_source::quiet_owner::<F>(skb, here, headers)
    {
        return to_owner::<F>(skb, here, headers, owner);
    }
    if fast::outbound_step(headers.l4, false, true) != Step::LookUp {
        return Fast::SlowPath;
    }
    let now = clock::now();
    let key = key::outbound_fast::<F>(headers);
    let Found { at, flow, confirmed } = match lookup::fast::<F>(&key, headers.protocol) {
        Ok(found) => found,
        Err(slow_path) => return slow_path,
    };
    // A packet in transit that has the ports of a guest's conversation is none of it.
    if forwarded && !uplink::is_from_guest(skb) {
        return Fast::SlowPath;
    }
    let here_ref = UplinkRef::of(here);
    let length = skb.len().saturating_sub(here.link_header);
    let packet = OutboundPacket {
        kind: headers.l4.kind(),
        // As is known of what was read in another function.
        tcp: Numbers { flags: headers.tcp.flags.without_fin(), ..headers.tcp },
        payload: length.saturating_sub(F::HEADER + headers.transport),
        source: Locality::Shared,
        here: here_ref,
        leaves_by: here_ref,
        forwarded,
        from_client_port: ports::is_client(headers.source_port()),
        now,
    };
    let entry = Entry { flow: &flow, confirmed, protocol: headers.protocol };
    let mut reason = Reason::Redirected;
    let (target, router, becomes) = match fast::decide_outbound(&packet, &entry) {
        FastOut::SlowPath => return Fast::SlowPath,
        FastOut::Own(becomes) if keeps_own => {
            reason = Reason::RedirectedToOwner;
            (own_source::owner::<F>(skb, here, headers).unwrap_or(here), 0, becomes)
        }
        FastOut::Own(becomes) => (here, 0, becomes),
        FastOut::Reply { uplink, router, becomes } => {
            let Some(target) = uplink::of(uplink) else { return Fast::SlowPath };
            (target, router, becomes)
        }
    };
    let is_right = target.id == here.id && (router == 0 || deliver::is_addressed_to(skb, router));
    let is_off = target.flags & flag::REPLY_OFF != 0 && reason == Reason::Redirected;
    let size = size::<F>(skb, here, headers);
    // The slow path knows who gets what an uplink without replies does not. One branch: each costs the verifier.
    if (is_off & keeps_own) | (!is_right & (is_off | (size > target.mtu) | observe::is_on())) {
        return Fast::SlowPath;
    }
    write::changed_words(at, &flow, &becomes);
    if is_right {
        return Fast::Pass;
    }
    let FastHeaders { source, destination, .. } = *headers;
    let may_go_to_owner = keeps_own && reason == Reason::Redirected;
    let packet = Outgoing { source, destination, router, size, reason, may_go_to_owner };
    deliver::deliver::<F>(skb, here, target, &packet).into()
}

/// Sends a segment of the host's own to the owner of its source.
#[inline(always)]
fn to_owner<F: Maps>(
    skb: &Skb,
    here: &'static UplinkFacts,
    headers: &FastHeaders<F::Address>,
    owner: &'static UplinkFacts,
) -> Fast {
    let is_clamped = headers.l4 != FastL4::TcpSegment && owner.mtu < here.mtu;
    let size = size::<F>(skb, here, headers);
    if is_clamped || size > owner.mtu || observe::is_on() {
        return Fast::SlowPath;
    }
    let FastHeaders { source, destination, .. } = *headers;
    let (router, reason) = (0, Reason::RedirectedToOwner);
    let packet = Outgoing { source, destination, router, size, reason, may_go_to_owner: false };
    deliver::deliver::<F>(skb, here, owner, &packet).into()
}

/// Bytes of the largest network-layer packet that a packet puts on the wire.
#[inline(always)]
fn size<F: Maps>(skb: &Skb, here: &UplinkFacts, headers: &FastHeaders<F::Address>) -> u32 {
    match skb.segment_size() {
        0 => skb.len().saturating_sub(here.link_header),
        payload => payload + F::HEADER + headers.transport,
    }
}

/// Sends the packet in the frame to its target.
#[inline(never)]
fn send(skb: &Skb, here: &'static UplinkFacts) -> Action {
    let Some(frame) = Frame::of(Direction::Out) else { return Action::Pass };
    let Some(target) = uplink::of(frame.target.uplink) else { return Action::Pass };
    let kind = frame.segment.kind;
    if by_family!(frame.family, F => is_right::<F>(skb, here, frame, target)) {
        return Action::Pass;
    }
    if matches!(kind, Kind::TcpOpening | Kind::TcpAnswer) && target.mtu < here.mtu {
        mss::fit(skb, here, frame, target);
    }
    let size = size_of_segment(skb, here, frame);
    if kind == Kind::Error {
        // What stays here keeps the source that the kernel gave it.
        if size <= target.mtu {
            icmp_source::correct(skb, here, frame, target);
        }
    } else if size > target.mtu && uplink::is_up(target) {
        match too_big::tell_sender(skb, here, frame, target) {
            Told::No => {}
            Told::Yes => {
                count(target.id, Reason::SenderTold);
                return Action::Redirect;
            }
            Told::Spoilt => {
                count(target.id, Reason::TooBig);
                return Action::Drop;
            }
        }
    }
    let (router, reason) = (frame.target.router, frame.target.reason);
    by_family!(frame.family, F => {
        let source = F::narrow(&frame.segment.source);
        let destination = F::narrow(&frame.segment.destination);
        let packet = Outgoing { source, destination, router, size, reason, may_go_to_owner: false };
        deliver::deliver::<F>(skb, here, target, &packet)
    })
}

/// Whether the packet in the frame leaves by its target as it is, to the right next hop.
#[inline(always)]
pub(super) fn is_right<F: Maps>(
    skb: &Skb,
    here: &UplinkFacts,
    frame: &Frame,
    target: &UplinkFacts,
) -> bool {
    is_right_from::<F>(skb, here, target, &F::narrow(&frame.segment.source), frame.target.router)
}

/// Likewise of a packet from `source`, whose request came from `router`, if that was noted.
#[inline(always)]
pub(super) fn is_right_from<F: Maps>(
    skb: &Skb,
    here: &UplinkFacts,
    target: &UplinkFacts,
    source: &F::Address,
    router: u64,
) -> bool {
    let by_last_hop = target.flags & F::NOTES_ROUTERS != 0 && router != 0;
    target.id == here.id && !by_last_hop && !address::may_change_gateway::<F>(skb, here, source)
}

/// The hop-by-hop header that tells the length of an IPv6 packet beyond 64 KiB (RFC 2675).
const JUMBO: u32 = 8;

/// What a length field of 16 bits can say, behind an IPv6 header.
const LONGEST_PLAIN: u32 = 65_535 + Ipv6::HEADER;

/// [`size`], of the packet in the frame. The segments of a super-packet have no header for its own
/// length.
#[inline(always)]
pub(super) fn size_of_segment(skb: &Skb, here: &UplinkFacts, frame: &Frame) -> u32 {
    let length = skb.len().saturating_sub(here.link_header);
    let payload = skb.segment_size();
    match payload {
        0 => return length,
        // Its association made its packets as they fit, and nobody says how large they are. One that does not fit here
        // is lost, and its sender is told when it comes again, by itself.
        GSO_BY_FRAGS => return 0,
        _ => {}
    }
    let segment = &frame.segment;
    let network = segment.headers.saturating_sub(segment.transport);
    let is_jumbo =
        frame.family == Family::Ipv6 && length > LONGEST_PLAIN && network >= Ipv6::HEADER + JUMBO;
    payload + segment.headers - if is_jumbo { JUMBO } else { 0 }
}
