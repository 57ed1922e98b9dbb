//! The slow path of a packet that came in: functions that are called one after the other, each with a stack
//! frame of its own, and that hand the [`Frame`] on.

use prroute_common::flow::Origin;
use prroute_common::reason::Reason;
use prroute_common::uplink::{UplinkFacts, flag};
use prroute_ebpf::decide::{self, InboundKind, InboundPacket, Locality, UplinkRef};
use prroute_ebpf::wire::parse::{Kind, protocol};
use prroute_ebpf::wire::{Wire, key};

use super::count::count;
use super::frame::{Direction, Frame, WriteTo};
use super::listener::{self, Listener};
use super::maps::{Maps, by_family};
use super::skb::Skb;
use super::{
    address, clock, headers, lookup, mss, observe, ports, route, syn_cache, udp_origin, uplink,
    write,
};

/// Handles the packet whose headers are in the frame.
#[inline(always)]
pub(super) fn handle(skb: &Skb, here: &'static UplinkFacts) {
    if here.flags & flag::SMALLER != 0 && !observe::is_on() {
        fit(skb, here);
    }
    if !prepare(skb, here) {
        return;
    }
    lookup::find_inbound();
    decide();
    settle(here);
    look_for_receiver(skb);
    write::apply(Direction::In);
}

/// Has the other end of a connection send what fits this uplink, which is smaller than others.
#[inline(never)]
fn fit(skb: &Skb, here: &UplinkFacts) -> u32 {
    let Some(frame) = Frame::of(Direction::In) else { return 0 };
    // What the host opened from an address of its own got the size of another uplink's route.
    let keeps_own = by_family!(frame.family, F => here.flags & F::OWN_SOURCE != 0);
    let kind = frame.segment.kind;
    if kind == Kind::TcpOpening || (kind == Kind::TcpAnswer && keeps_own) {
        mss::fit(skb, here, frame, here);
    }
    0
}

/// What is known of a packet's destination.
struct Destination {
    locality: Locality,
    is_exposed: bool,
    is_last_hop: bool,
    notes_routers: bool,
}

#[inline(always)]
fn destination<F: Maps>(here: &UplinkFacts, frame: &mut Frame) -> Destination {
    let address = F::narrow(&frame.segment.destination);
    let locality = address::locality::<F>(here, &address);
    // One stamp for all addresses of the uplink, as on the fast path.
    let is_exposed = locality == Locality::OwnedHere && address::may_be_exposed(here);
    let remote = F::narrow(&frame.segment.source);
    let ports = key::inbound_ports(&frame.segment);
    frame.set_key::<F>(F::key(address, remote, ports, frame.segment.protocol));
    Destination {
        locality,
        is_exposed,
        is_last_hop: here.flags & F::LAST_HOP != 0,
        notes_routers: here.flags & F::NOTES_ROUTERS != 0,
    }
}

/// Whose packet it is, and whether its flow matters.
#[inline(never)]
fn prepare(skb: &Skb, here: &'static UplinkFacts) -> bool {
    let Some(frame) = Frame::of(Direction::In) else { return false };
    frame.is_decided = false;
    let Destination { locality, is_exposed, is_last_hop, notes_routers } =
        by_family!(frame.family, F => destination::<F>(here, frame));
    let kind = frame.segment.kind;
    if !decide::inbound_needs_flow(kind, locality, is_exposed, is_last_hop) {
        return false;
    }
    let now = clock::now();
    if let Locality::OwnedBy(owner) = locality {
        by_family!(frame.family, F => {
            address::expose::<F>(owner, &F::narrow(&frame.segment.destination), now);
        });
    }
    let notes_router = is_last_hop || (locality == Locality::Shared && notes_routers);
    let segment = &frame.segment;
    let packet = InboundPacket {
        kind,
        protocol: segment.protocol,
        tcp: segment.tcp,
        payload: skb.len().saturating_sub(here.link_header + segment.headers),
        destination: locality,
        here: UplinkRef::of(here),
        router: if notes_router { headers::sender_of_frame(skb, here) } else { 0 },
        to_client_port: ports::is_client(segment.destination_port),
        now,
    };
    frame.set_inbound(&packet);
    if packet.protocol == protocol::TCP && locality.is_owned() {
        syn_cache::promote(Direction::In, now);
    }
    true
}

/// Decides.
#[inline(never)]
fn decide() -> u32 {
    let Some(frame) = Frame::of(Direction::In) else { return 0 };
    let packet = frame.inbound();
    let entry = frame.entry.get();
    let recorded_is_up = match &entry {
        Some(entry) if entry.uplink() != packet.here => {
            uplink::of(entry.uplink()).is_some_and(uplink::is_up)
        }
        _ => true,
    };
    let decision = decide::inbound(&packet, entry, recorded_is_up);
    (frame.is_decided, frame.came_in) = (true, decision.kind());
    if let Some(flow) = decision.flow() {
        frame.write.flow = *flow;
    }
    0
}

/// What is to be written and counted for the decision.
#[inline(never)]
fn settle(here: &'static UplinkFacts) -> u32 {
    let Some(frame) = Frame::of(Direction::In) else { return 0 };
    let (to, reason) = match frame.came_in {
        InboundKind::Pass => (WriteTo::Nothing, None),
        InboundKind::RefuseRebind => {
            count(here.id, Reason::RebindRefused);
            (WriteTo::Nothing, None)
        }
        InboundKind::Open => (WriteTo::Unconfirmed, Some(Reason::OpenedInbound)),
        InboundKind::Adopt => (WriteTo::Unconfirmed, Some(Reason::Adopted)),
        InboundKind::Refresh => (WriteTo::Entry, None),
        InboundKind::Confirm => (WriteTo::Confirmed, Some(Reason::Confirmed)),
        InboundKind::Rebind => (WriteTo::EntryAnew, Some(Reason::Rebound)),
    };
    frame.write.set(to, here.id, reason);
    0
}

/// Who gets the packet: of what is not local a guest behind this host, or nothing is opened; of a datagram
/// that begins a flow, or had no socket before, the socket.
#[inline(never)]
fn look_for_receiver(skb: &Skb) -> u32 {
    let Some(frame) = Frame::of(Direction::In) else { return 0 };
    let packet = frame.inbound();
    let opens = frame.came_in == InboundKind::Open;
    if packet.destination == Locality::NotLocal {
        if opens && !route::is_to_guest(skb, frame) {
            frame.write.to = WriteTo::Nothing;
        }
        return 0;
    }
    if packet.protocol != protocol::UDP || packet.kind != Kind::Datagram {
        return 0;
    }
    let begins = opens || frame.came_in == InboundKind::Rebind;
    let entry = frame.entry.get();
    if !begins && !entry.as_ref().is_some_and(|entry| entry.flow.is_for_nobody()) {
        let is_inbound = entry.is_some_and(|entry| entry.origin == Origin::Inbound);
        if is_inbound && udp_origin::is_recorded(frame.segment.destination_port) {
            udp_origin::record_request(frame, packet.now);
        }
        return 0;
    }
    let listener = listener::of(skb, frame);
    if listener == Listener::Wildcard {
        udp_origin::record_request(frame, packet.now);
    }
    // Who has connected from a client's port before it heard of its peer was not asked by it.
    let is_asked = match listener {
        Listener::None => false,
        Listener::Connected => !packet.to_client_port,
        Listener::Bound | Listener::Wildcard => true,
    };
    frame.write.flow = frame.write.flow.with_socket(is_asked);
    0
}
