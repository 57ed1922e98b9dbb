//! What a first look decides, a closer one decides too.

use core::fmt::Debug;

use prroute_common::flow::Flow;
use prroute_ebpf::family::Family;
use prroute_ebpf::key;
use prroute_ebpf::parse::outline::{Common, Outline};
use prroute_ebpf::parse::{FirstFragment, Kind, NotParsed, Numbers, Segment, protocol};
use prroute_ebpf::verdict::{
    self, Arrival, Departure, Inbound, Known, Outbound, Place, Settled, Write, is_worth_writing,
};

use crate::facts::Facts;

pub(crate) fn agrees<F: Family>(
    outline: &Outline<F::Address>,
    whole: &Result<Segment<F::Address>, NotParsed<F::Address>>,
) -> Result<(), String>
where
    F::Address: Debug,
    F::Key: Debug + PartialEq,
{
    let segment = match whole {
        Ok(segment) => segment,
        // Of addresses that no flow is recorded for: a first look finds none.
        Err(NotParsed::NotOurs) if outline.kind != (Common::Tcp { opens: true }) => return Ok(()),
        Err(_) => return Err(format!("{outline:?} of what is {whole:?}")),
    };
    let kind_agrees = match outline.kind {
        Common::Udp => segment.protocol == protocol::UDP && segment.kind == Kind::Datagram,
        Common::Tcp { opens } => {
            segment.protocol == protocol::TCP && opens == (segment.kind == Kind::TcpOpening)
        }
    };
    let agrees = kind_agrees
        && outline.source == segment.source
        && outline.destination == segment.destination
        && outline.destination_port() == segment.destination_port
        && segment.first_fragment == FirstFragment::NONE;
    if !agrees {
        return Err(format!("{outline:?} of {segment:?}"));
    }
    let keys = (key::inbound_outline::<F>(outline), key::outbound_outline::<F>(outline));
    let closer = (key::inbound::<F>(segment), key::outbound::<F>(segment));
    if keys == closer { Ok(()) } else { Err(format!("{keys:?} for {closer:?}")) }
}

/// Of a datagram that belongs to a flow.
pub(crate) fn nothing_is_missed(facts: &Facts, flow: Flow, confirmed: bool) -> Result<(), String> {
    let known = Known::from_entry(flow, confirmed, protocol::UDP, facts.now);
    let told = |what| Err(format!("{what} is new of {flow:?} at {facts:?}"));
    let arrival = arrival(facts, Kind::Datagram, protocol::UDP);
    let inbound = verdict::inbound(&arrival, known, facts.recorded_is_up);
    if verdict::is_settled_in(&flow, confirmed, facts.here, facts.now) {
        match inbound {
            Inbound::Refresh(new) if known.is_some() && !is_worth_writing(&flow, &new) => {}
            _ => return told("a datagram that came in"),
        }
    }
    if let Some(later) = verdict::later_in(&flow, confirmed, facts.here, facts.now)
        && inbound != Inbound::Refresh(later)
    {
        return told("more than the time of a datagram that came in");
    }
    let departure = Departure {
        kind: Kind::Datagram,
        tcp: Numbers::default(),
        payload: 0,
        source: facts.locality,
        here: facts.here,
        forwarded: facts.forwarded,
        from_client_port: facts.client_port,
        now: facts.now,
    };
    let outbound = verdict::outbound(&departure, known);
    let settled = verdict::settled_out(&flow, confirmed, facts.here, facts.now);
    if settled != Settled::No {
        match outbound {
            Outbound::Own(Write::Refresh(new))
                if settled == Settled::Here && !is_worth_writing(&flow, &new) => {}
            Outbound::Reply { place, router: 0, write: Write::Refresh(new) }
                if is_way(settled, place, facts.here) && !is_worth_writing(&flow, &new) => {}
            _ => return told("a datagram that leaves"),
        }
    }
    if let Some(later) = verdict::later_out(&flow, confirmed, facts.here, facts.now) {
        match outbound {
            Outbound::Own(Write::Refresh(new)) if new == later => {}
            Outbound::Reply { place, router: 0, write: Write::Refresh(new) }
                if place == facts.here && new == later => {}
            _ => return told("more than the time of a datagram that leaves"),
        }
    }
    Ok(())
}

/// Of a SYN to an address of the uplink that it came in on.
pub(crate) fn opening_is_recorded(facts: &Facts) -> Result<(), String> {
    let arrival = arrival(facts, Kind::TcpOpening, protocol::TCP);
    // The word does not say where the connection's data begins.
    let flow = verdict::opened_at(facts.here, facts.now).with_received(1);
    match verdict::inbound(&arrival, None, facts.recorded_is_up) {
        Inbound::Open(opened) if opened == flow => Ok(()),
        other => Err(format!("{other:?} of a SYN, and not {flow:?}")),
    }
}

fn arrival(facts: &Facts, kind: Kind, protocol: u8) -> Arrival {
    Arrival {
        kind,
        protocol,
        tcp: Numbers::default(),
        payload: 0,
        destination: facts.locality,
        here: facts.here,
        router: 0,
        to_client_port: facts.client_port,
        now: facts.now,
    }
}

fn is_way(settled: Settled, place: Place, here: Place) -> bool {
    match settled {
        Settled::No => false,
        Settled::Here => place == here,
        Settled::At(target) => place == target,
    }
}
