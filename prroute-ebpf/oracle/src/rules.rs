//! Rules that no packet and no state of a flow may break.

use core::fmt::Debug;

use prroute_common::flow::{Origin, TCP_REBIND_IDLE};
use prroute_common::time::since;
use prroute_ebpf::decide::{
    self, FlowEntry, Inbound, InboundPacket, Locality, Outbound, OutboundPacket, Write,
};
use prroute_ebpf::wire::parse::{Kind, Segment, protocol};
use prroute_ebpf::wire::{Wire, key};

use crate::facts::Facts;
use crate::{ETHERNET, fast_path};

macro_rules! rule {
    ($holds:expr, $($said:tt)+) => {
        if !$holds {
            return Err(format!($($said)+));
        }
    };
}

pub(crate) fn check<F: Wire>(facts: &Facts, frame: &[u8]) -> Result<(), String>
where
    F::Address: Debug,
    F::Key: Debug + PartialEq,
{
    let whole = F::parse(&frame, ETHERNET);
    let linear = &frame[..facts.linear.min(frame.len())];
    let fast = F::fast_headers(&linear, ETHERNET);
    if let Some(fast) = &fast {
        fast_path::headers_agree::<F>(fast, &whole)?;
    }
    let Ok(segment) = whole else { return Ok(()) };
    keys_meet::<F>(&segment)?;
    let known = facts.known(segment.protocol);
    if let Some(fast) = &fast {
        let packet = arrival(facts, &segment);
        fast_path::steps_agree(fast.l4, &segment, facts, &packet)?;
    }
    inbound_keeps_to_its_rules(facts, &segment, known)?;
    outbound_keeps_to_its_rules(facts, &segment, known, frame.len())
}

/// A packet and its answer have one key.
fn keys_meet<F: Wire>(segment: &Segment<F::Address>) -> Result<(), String>
where
    F::Address: Debug,
    F::Key: Debug + PartialEq,
{
    let kind = match segment.kind {
        Kind::EchoRequest => Kind::EchoReply,
        Kind::EchoReply => Kind::EchoRequest,
        kind => kind,
    };
    let answer = Segment {
        source: segment.destination,
        destination: segment.source,
        source_port: segment.destination_port,
        destination_port: segment.source_port,
        kind,
        ..*segment
    };
    let (there, back) = (key::inbound::<F>(segment), key::outbound::<F>(&answer));
    rule!(there == back, "{segment:?} has the key {there:?}, its answer {back:?}");
    Ok(())
}

fn inbound_keeps_to_its_rules<A>(
    facts: &Facts,
    segment: &Segment<A>,
    known: Option<FlowEntry>,
) -> Result<(), String> {
    let kind = segment.kind;
    if !decide::inbound_needs_flow(kind, facts.locality, facts.exposed, facts.noted) {
        return Ok(());
    }
    rule!(kind != Kind::Error, "an ICMP error is looked up");
    let arrival = arrival(facts, segment);
    if let Some(known) = &known {
        for router in [0, known.flow.router(), arrival.router] {
            let arrival = InboundPacket { router, ..arrival };
            fast_path::inbound_agrees(&arrival, known, facts.recorded_is_up)?;
        }
    }
    let decision = decide::inbound(&arrival, known, facts.recorded_is_up);
    let told = || format!("{arrival:?}\nof {known:?}\nis {decision:?}");
    let opens = matches!(kind, Kind::TcpOpening | Kind::EchoRequest | Kind::Datagram);
    match &decision {
        Inbound::Open(_) => rule!(opens, "an answer opens: {}", told()),
        Inbound::Adopt(_) => {
            let proves = kind == Kind::Tcp && segment.tcp.acknowledges();
            rule!(proves && known.is_none(), "adopted: {}", told());
            rule!(facts.locality == Locality::Shared, "adopted: {}", told());
        }
        _ => {}
    }
    // Uplink ids have eight bits, and so have those of the facts.
    if let Inbound::Open(flow) | Inbound::Adopt(flow) | Inbound::Rebind(flow) = &decision {
        let place = (flow.uplink(), flow.generation());
        rule!(place == (facts.here.id, facts.here.generation), "elsewhere: {}", told());
        rule!(flow.origin() == Some(Origin::Inbound), "not opened inbound: {}", told());
    }
    let Some(known) = known else { return Ok(()) };
    if let Inbound::Refresh(flow) | Inbound::Confirm(flow) = &decision {
        rule!(flow.origin() == Some(known.origin), "another origin: {}", told());
        rule!(flow.uplink() == known.flow.uplink(), "moved without saying so: {}", told());
        let may_end = segment.tcp.fin() || kind == Kind::TcpReset;
        let closes = flow.is_closed() && !known.flow.is_closed();
        rule!(!closes || (known.confirmed && may_end), "closed: {}", told());
        let is_other_router = flow.router() != known.flow.router();
        let may_prove = segment.protocol != protocol::TCP || kind == Kind::Tcp;
        rule!(!is_other_router || !known.confirmed || may_prove, "readdressed: {}", told());
    }
    if known.is_aged && (known.origin == Origin::Inbound || !facts.client_port) {
        let begins = matches!(decision, Inbound::Open(_) | Inbound::Pass);
        rule!(begins, "an aged flow: {}", told());
    } else if known.origin == Origin::Host {
        let stays = matches!(decision, Inbound::Refresh(_) | Inbound::Confirm(_));
        let is_asked = matches!(decision, Inbound::Rebind(_))
            && segment.protocol == protocol::UDP
            && facts.locality == Locality::Shared
            && !(known.flow.is_heard_here() || facts.client_port || known.uplink() == facts.here);
        let begins = kind == Kind::TcpOpening || known.is_aged;
        rule!(stays || begins || is_asked, "the host's own: {}", told());
    } else if known.uplink() != facts.here && facts.recorded_is_up {
        let lives = since(facts.now, known.flow.last_in()) < TCP_REBIND_IDLE;
        rule!(!lives || decision == Inbound::RefuseRebind, "a live flow: {}", told());
    }
    Ok(())
}

fn arrival<A>(facts: &Facts, segment: &Segment<A>) -> InboundPacket {
    InboundPacket {
        kind: segment.kind,
        protocol: segment.protocol,
        tcp: segment.tcp,
        payload: 0,
        destination: facts.locality,
        here: facts.here,
        router: 0x0000_0100_0002,
        to_client_port: facts.client_port,
        now: facts.now,
    }
}

fn outbound_keeps_to_its_rules<A>(
    facts: &Facts,
    segment: &Segment<A>,
    known: Option<FlowEntry>,
    length: usize,
) -> Result<(), String> {
    let kind = segment.kind;
    if !decide::outbound_needs_flow(kind, facts.locality, facts.exposed, facts.noted, false) {
        return Ok(());
    }
    let headers = ETHERNET + segment.headers as usize;
    let departure = OutboundPacket {
        kind,
        tcp: segment.tcp,
        payload: length.saturating_sub(headers) as u32,
        source: facts.locality,
        here: facts.here,
        leaves_by: facts.here,
        forwarded: facts.forwarded,
        from_client_port: facts.client_port,
        now: facts.now,
    };
    if let Some(known) = &known {
        fast_path::outbound_agrees(&departure, known, segment.protocol)?;
    }
    let decision = decide::outbound(&departure, known);
    let told = || format!("{departure:?}\nof {known:?}\nis {decision:?}");
    match &decision {
        Outbound::Reply { uplink, write, .. } => {
            let Some(known) = known else { return Err(format!("no flow: {}", told())) };
            let is_call = kind == Kind::Datagram && (known.confirmed || !facts.client_port);
            rule!(!known.is_aged || is_call, "an aged flow: {}", told());
            rule!(known.origin == Origin::Inbound, "the host's own: {}", told());
            rule!(*uplink == known.uplink(), "not to its uplink: {}", told());
            rule!(kind != Kind::TcpOpening && kind != Kind::EchoRequest, "moved: {}", told());
            let proves = kind != Kind::Tcp || matches!(write, Write::Confirm(_));
            rule!(known.confirmed || proves, "moved without proof: {}", told());
            rule!(kind != Kind::Error || *write == Write::Nothing, "an error: {}", told());
        }
        Outbound::ToOwner(owner) => {
            let owned = facts.locality == Locality::OwnedBy(*owner);
            let is_tcp = segment.protocol == protocol::TCP;
            // One of the host's own, or a confirmed one there, explains every segment.
            let is_explained = known.is_some_and(|known| {
                let is_there = known.confirmed && known.flow.uplink() == *owner;
                !known.is_aged && (!is_tcp || known.origin == Origin::Host || is_there)
            });
            let may_go = owned && !is_explained && (facts.forwarded || is_tcp);
            rule!(may_go, "to the owner: {}", told());
            rule!(kind != Kind::TcpOpening && kind != Kind::Error, "to the owner: {}", told());
        }
        Outbound::OpenByHost(_) => rule!(kind != Kind::Error, "an error opens: {}", told()),
        Outbound::Own(write) => {
            rule!(kind != Kind::Error || *write == Write::Nothing, "an error: {}", told());
        }
        Outbound::Pass | Outbound::Unproved => {}
    }
    Ok(())
}
