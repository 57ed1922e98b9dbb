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
        // Of addresses that no flow is recorded for.
        Err(NotParsed::NotOurs) => return Ok(()),
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
    if outline.kind == Common::Udp {
        let keys = (key::inbound_outline::<F>(outline), key::outbound_outline::<F>(outline));
        let closer = (key::inbound::<F>(segment), key::outbound::<F>(segment));
        if keys != closer {
            return Err(format!("{keys:?} for {closer:?}"));
        }
    }
    Ok(())
}

/// Of a datagram that belongs to a confirmed flow.
pub(crate) fn nothing_is_missed(facts: &Facts, flow: Flow) -> Result<(), String> {
    let known = Known::from_entry(flow, true, protocol::UDP, facts.now);
    let told = |what| Err(format!("{what} is new of {flow:?} at {facts:?}"));
    if verdict::is_settled_in(&flow, facts.here, facts.now) {
        let arrival = Arrival {
            kind: Kind::Datagram,
            protocol: protocol::UDP,
            tcp: Numbers::default(),
            destination: facts.locality,
            here: facts.here,
            router: 0,
            now: facts.now,
        };
        match verdict::inbound(&arrival, known, facts.recorded_is_up) {
            Inbound::Refresh(new) if known.is_some() && !is_worth_writing(&flow, &new) => {}
            _ => return told("a datagram that came in"),
        }
    }
    let settled = verdict::settled_out(&flow, facts.here, facts.now);
    if settled != Settled::No {
        let departure = Departure {
            kind: Kind::Datagram,
            tcp: Numbers::default(),
            payload: 0,
            source: facts.locality,
            here: facts.here,
            forwarded: facts.forwarded,
            now: facts.now,
        };
        match verdict::outbound(&departure, known) {
            Outbound::Own(Write::Refresh(new))
                if settled == Settled::Here && !is_worth_writing(&flow, &new) => {}
            Outbound::Reply { place, router: 0, write: Write::Refresh(new) }
                if is_way(settled, place, facts.here) && !is_worth_writing(&flow, &new) => {}
            _ => return told("a datagram that leaves"),
        }
    }
    Ok(())
}

fn is_way(settled: Settled, place: Place, here: Place) -> bool {
    match settled {
        Settled::No => false,
        Settled::Here => place == here,
        Settled::At(target) => place == target,
    }
}
