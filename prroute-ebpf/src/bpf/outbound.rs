//! The slow path of a packet that is about to leave: functions that are called one after the other, each
//! with a stack frame of its own, and that hand the [`Frame`] on.

use prroute_common::flow::Origin;
use prroute_common::reason::Reason;
use prroute_common::time::Ticks;
use prroute_common::uplink::{UplinkFacts, flag};
use prroute_ebpf::decide::{
    self, FlowEntry, Locality, Outbound, OutboundKind, OutboundPacket, UplinkRef,
};
use prroute_ebpf::wire::parse::{Kind, protocol};
use prroute_ebpf::wire::{gateway_of_source, key};

use super::count::count;
use super::frame::{Direction, Frame, PendingWrite, RedirectTarget, Table, WriteTo};
use super::maps::{Maps, by_family};
use super::skb::Skb;
use super::{
    address, clock, deliver, fragment, headers, listener, lookup, ports, syn_cache, udp_origin,
    uplink, write,
};

/// What comes next for the packet in the frame.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Next {
    Pass = 0,
    /// To the target in the frame.
    Redirect = 1,
    /// The flow matters.
    Flow = 2,
}

/// Handles the packet whose headers are in the frame. Tells whether it goes to a target.
#[inline(always)]
pub(super) fn handle(skb: &Skb, here: &'static UplinkFacts) -> Next {
    let next = prepare(skb, here);
    if next != Next::Flow {
        return next;
    }
    lookup::find_outbound();
    disown(skb);
    decide();
    let next = settle(here);
    write::apply(Direction::Out);
    next
}

/// What is known of a packet's source.
struct Source {
    locality: Locality,
    is_exposed: bool,
    /// Its own reply goes to a router that was noted.
    is_last_hop: bool,
    /// The owner, where the host's own packets go there because of their source.
    owner: Option<&'static UplinkFacts>,
    /// The gateway may be another subnet's.
    may_change_gateway: bool,
    has_subnet_gateways: bool,
}

#[inline(always)]
fn source<F: Maps>(skb: &Skb, here: &'static UplinkFacts, frame: &mut Frame) -> Source {
    let address = F::narrow(&frame.segment.source);
    let destination = F::narrow(&frame.segment.destination);
    let locality = address::locality::<F>(here, &address);
    let keeps_own = here.flags & F::OWN_SOURCE != 0;
    let is_specific = || skb.is_bound_to_device() || address::is_specific::<F>(here, &destination);
    let has_own_gateway = || gateway_of_source::<F>(here, &address).is_some();
    let forwarded = skb.is_forwarded();
    let owner = decide::owner_for_own(
        keeps_own,
        forwarded,
        locality,
        here.id,
        has_own_gateway,
        is_specific,
    );
    let owner = owner.and_then(uplink::with_id);
    let is_exposed = match locality {
        // One stamp for all addresses of the uplink, as on the fast path.
        Locality::OwnedHere => address::may_be_exposed(here),
        Locality::OwnedBy(_) => owner.is_some() && address::is_exposed::<F>(&address),
        Locality::Shared | Locality::NotLocal => false,
    };
    let ports = key::outbound_ports(&frame.segment);
    frame.set_key::<F>(F::key(address, destination, ports, frame.segment.protocol));
    Source {
        locality,
        is_exposed,
        is_last_hop: owner.unwrap_or(here).flags & F::LAST_HOP != 0,
        owner,
        may_change_gateway: address::may_change_gateway::<F>(skb, here, &address),
        has_subnet_gateways: here.flags & F::SUBNET_GATEWAYS != 0,
    }
}

/// Whose packet it is, and whether its flow matters; if not, where the packet goes.
#[inline(never)]
fn prepare(skb: &Skb, here: &'static UplinkFacts) -> Next {
    let Some(frame) = Frame::of(Direction::Out) else { return Next::Pass };
    (frame.is_decided, frame.sends_own, frame.changes_gateway) = (false, false, false);
    // Never moved, and nothing is recorded of it.
    if headers::is_broadcast(skb, here) {
        return Next::Pass;
    }
    let source = by_family!(frame.family, F => source::<F>(skb, here, frame));
    let Source { locality, owner, .. } = source;
    let forwarded = skb.is_forwarded();
    if locality == Locality::NotLocal && forwarded && !uplink::is_from_guest(skb) {
        return Next::Pass;
    }
    let now = clock::now();
    let segment = &frame.segment;
    let is_tcp = segment.protocol == protocol::TCP;
    let packet = OutboundPacket {
        kind: segment.kind,
        tcp: segment.tcp,
        payload: skb.len().saturating_sub(here.link_header + segment.headers),
        source: locality,
        here: UplinkRef::of(here),
        leaves_by: UplinkRef::of(owner.unwrap_or(here)),
        forwarded,
        from_client_port: ports::is_client(segment.source_port),
        now,
    };
    frame.set_outbound(&packet);
    frame.target = RedirectTarget {
        router: 0,
        uplink: packet.leaves_by,
        reason: if owner.is_none() { Reason::Redirected } else { Reason::RedirectedToOwner },
    };
    frame.sends_own = owner.is_some();
    // A connection without a record leaves by the owner of its address, perhaps by another gateway.
    frame.changes_gateway = matches!(packet.kind, Kind::Tcp | Kind::TcpAnswer | Kind::TcpReset)
        && locality == Locality::OwnedHere
        && source.may_change_gateway;
    // What a guest opened behind a translated address leaves by the gateway that the kernel chose.
    let is_exposed = source.is_exposed || (source.has_subnet_gateways && forwarded);
    let (kind, is_last_hop) = (packet.kind, source.is_last_hop);
    if !decide::outbound_needs_flow(kind, locality, is_exposed, is_last_hop, owner.is_some()) {
        return without_flow(frame, now);
    }
    // An address may come to be shared while its connections are young.
    let may_be_cached = locality.is_owned() || kind == Kind::TcpAnswer;
    if is_tcp && may_be_cached {
        syn_cache::promote(Direction::Out, now);
    }
    Next::Flow
}

/// A packet that needs no flow: the host's own goes to the owner of its source, if rules do not see to
/// that; of an uplink with several gateways only the gateway may be another one.
#[inline(always)]
fn without_flow(frame: &Frame, now: Ticks) -> Next {
    let goes = frame.sends_own || frame.changes_gateway;
    fragment::remember(frame, goes.then_some(&frame.target), now);
    if goes { Next::Redirect } else { Next::Pass }
}

/// Has a datagram that the host sends unasked not taken for the answer to one that came in. What was
/// recorded for that is overwritten.
#[inline(never)]
fn disown(skb: &Skb) -> u32 {
    let Some(frame) = Frame::of(Direction::Out) else { return 0 };
    let packet = frame.outbound();
    let entry = frame.entry.get();
    if entry.is_some_and(|entry| is_unasked(skb, frame, &entry, &packet)) {
        frame.entry.table = Table::None;
    }
    0
}

/// Whether a datagram of the host's own only looks like the answer to one that came in before, which
/// anybody may have sent (R3): its socket was not there then, or was a client's, or sends to this peer
/// without being asked; or no socket sends it at all, but a tunnel. Of an answered flow that is settled.
#[inline(always)]
fn is_unasked(skb: &Skb, frame: &Frame, entry: &FlowEntry, packet: &OutboundPacket) -> bool {
    if packet.forwarded
        || packet.kind != Kind::Datagram
        || frame.segment.protocol != protocol::UDP
        || entry.origin != Origin::Inbound
        || entry.flow.is_answered()
    {
        return false;
    }
    // What is translated has no socket where it comes in; nor has the port from which a tunnel of the kernel sends.
    let is_hosts = || {
        listener::sends_itself(skb, frame)
            || (packet.from_client_port && !listener::is_of_udp_socket(skb, frame))
    };
    (entry.flow.has_no_socket() && is_hosts()) || udp_origin::is_hosts_peer(frame, packet.now)
}

/// Decides.
#[inline(never)]
fn decide() -> u32 {
    let Some(frame) = Frame::of(Direction::Out) else { return 0 };
    let packet = frame.outbound();
    let entry = frame.entry.get();
    let decision = decide::outbound(&packet, entry);
    (frame.is_decided, frame.leaves) = (true, decision.kind());
    match decision {
        Outbound::Pass | Outbound::Unproved => {}
        Outbound::OpenByHost(flow) => frame.write.flow = flow,
        Outbound::Own(write) => keep(&mut frame.write, write),
        Outbound::Reply { uplink, router, write } => {
            keep(&mut frame.write, write);
            frame.target = RedirectTarget { router, uplink, reason: Reason::Redirected };
        }
        Outbound::ToOwner(owner) => frame.target.uplink = UplinkRef { id: owner, generation: 0 },
    }
    0
}

#[inline(always)]
fn keep(write: &mut PendingWrite, what: decide::Write) {
    match what {
        decide::Write::Nothing => write.to = WriteTo::Nothing,
        decide::Write::Refresh(flow) => (write.to, write.flow) = (WriteTo::Entry, flow),
        decide::Write::Confirm(flow) => (write.to, write.flow) = (WriteTo::Confirmed, flow),
    }
}

/// What is to be written and counted for the decision, and where the packet goes.
#[inline(never)]
fn settle(here: &'static UplinkFacts) -> Next {
    let Some(frame) = Frame::of(Direction::Out) else { return Next::Pass };
    let packet = frame.outbound();
    let to = frame.write.to;
    let confirmed = (to == WriteTo::Confirmed).then_some(Reason::Confirmed);
    let target = frame.target.uplink;
    let (to, at, reason) = match frame.leaves {
        OutboundKind::OpenByHost if frame.entry.table == Table::Confirmed => {
            // The ports of a confirmed flow of others come to a flow of the host's own.
            (WriteTo::EntryAnew, here.id, Some(Reason::OpenedByHost))
        }
        OutboundKind::OpenByHost => (WriteTo::Unconfirmed, here.id, Some(Reason::OpenedByHost)),
        // The host's datagrams prove nothing, and need not.
        OutboundKind::Own if packet.kind == Kind::Datagram => (to, here.id, None),
        OutboundKind::Own => (to, here.id, confirmed),
        OutboundKind::Reply => (to, target.id, confirmed),
        _ => (WriteTo::Nothing, here.id, None),
    };
    frame.write.set(to, at, reason);
    let goes = match frame.leaves {
        OutboundKind::Reply => true,
        OutboundKind::ToOwner => to_owner(here, frame, &packet),
        OutboundKind::Pass => frame.sends_own || frame.changes_gateway,
        OutboundKind::Unproved => {
            count(here.id, Reason::Unconfirmed);
            frame.sends_own || frame.changes_gateway
        }
        OutboundKind::OpenByHost | OutboundKind::Own => frame.sends_own,
    };
    let next = if goes { to_target(here, frame, &packet) } else { Next::Pass };
    let target = (next == Next::Redirect).then_some(&frame.target);
    fragment::remember(frame, target, packet.now);
    next
}

/// Whether a segment without a record goes to the owner of its source, which is the target.
#[inline(always)]
fn to_owner(here: &UplinkFacts, frame: &mut Frame, packet: &OutboundPacket) -> bool {
    // Nothing is recorded of what comes in here, nor of what the host opens.
    let is_off = here.flags & flag::REPLY_OFF != 0 && !packet.forwarded;
    let id = frame.target.uplink.id;
    let generation = uplink::with_id(id).map_or(0, |facts| facts.generation);
    let reason = Reason::RedirectedToOwner;
    frame.target = RedirectTarget { router: 0, uplink: UplinkRef { id, generation }, reason };
    !is_off || frame.sends_own
}

/// Whether the target is there, and is not left to the kernel. A reply whose uplink is gone, is down or gets
/// none is a packet like others: where no rules see to that it goes to the owner of its source (R2).
#[inline(always)]
fn to_target(here: &UplinkFacts, frame: &mut Frame, packet: &OutboundPacket) -> Next {
    let is_reply = frame.leaves == OutboundKind::Reply;
    let may_go_to_owner = is_reply && frame.sends_own;
    match uplink::of(frame.target.uplink) {
        None => count(here.id, Reason::UplinkGone),
        // An uplink that gets no replies still gets the host's own packets that have its source.
        Some(target) if target.flags & flag::REPLY_OFF == 0 || (frame.sends_own && !is_reply) => {
            // Where it leaves already, and what the owner itself records, `deliver` looks at alone.
            let at = frame.target.uplink;
            let may_be_elsewhere =
                may_go_to_owner && at != UplinkRef::of(here) && at != packet.leaves_by;
            if !may_be_elsewhere || !deliver::has_no_way(target, frame) {
                return Next::Redirect;
            }
        }
        Some(_) => {}
    }
    if !may_go_to_owner {
        return Next::Pass;
    }
    let (uplink, reason) = (packet.leaves_by, Reason::RedirectedToOwner);
    frame.target = RedirectTarget { router: 0, uplink, reason };
    Next::Redirect
}
