//! The law of the fast path: what it answers is what the slow path answers.

use core::fmt::Debug;

use prroute_ebpf::decide::fast::{self, Entry, FastIn, FastOut, Step};
use prroute_ebpf::decide::{
    self, FlowEntry, Inbound, InboundPacket, Locality, Outbound, OutboundPacket, Write,
    worth_writing,
};
use prroute_ebpf::wire::fast_headers::{FastHeaders, FastL4};
use prroute_ebpf::wire::parse::{FirstFragment, Kind, NotParsed, Numbers, Segment, protocol};
use prroute_ebpf::wire::{Wire, key};

use crate::facts::Facts;

pub(crate) fn headers_agree<F: Wire>(
    fast: &FastHeaders<F::Address>,
    whole: &Result<Segment<F::Address>, NotParsed<F::Address>>,
) -> Result<(), String>
where
    F::Address: Debug,
    F::Key: Debug + PartialEq,
{
    let segment = match whole {
        Ok(segment) => segment,
        // Of addresses that no flow is recorded for: the fast path finds none.
        Err(NotParsed::NotOurs) if fast.l4 != FastL4::TcpSyn => return Ok(()),
        Err(_) => return Err(format!("{fast:?} of what is {whole:?}")),
    };
    let kind_agrees = match fast.l4 {
        FastL4::TcpOther => {
            let is_plain = segment.tcp.acknowledges() && !segment.tcp.fin();
            (segment.kind == Kind::Tcp && !is_plain)
                || matches!(segment.kind, Kind::TcpReset | Kind::TcpAnswer)
        }
        FastL4::TcpSegment => {
            segment.kind == Kind::Tcp && segment.tcp.acknowledges() && !segment.tcp.fin()
        }
        l4 => l4.kind() == segment.kind,
    };
    let agrees = kind_agrees
        && fast.l4.is_tcp() == (segment.protocol == protocol::TCP)
        && fast.source == segment.source
        && fast.destination == segment.destination
        && fast.protocol == segment.protocol
        && fast.tcp == Numbers { flags: segment.tcp.flags.without_fin(), ..segment.tcp }
        && F::HEADER + fast.transport == segment.headers
        && segment.first_fragment == FirstFragment::NONE;
    let ports = (fast.source_port(), fast.destination_port());
    if !agrees || (!fast.l4.is_echo() && ports != (segment.source_port, segment.destination_port)) {
        return Err(format!("{fast:?} of {segment:?}"));
    }
    let keys = (key::inbound_fast::<F>(fast), key::outbound_fast::<F>(fast));
    let slow = (key::inbound::<F>(segment), key::outbound::<F>(segment));
    if keys == slow { Ok(()) } else { Err(format!("{keys:?} for {slow:?}")) }
}

/// An entry as the fast path has it.
fn found(entry: &FlowEntry, protocol: u8) -> Entry<'_> {
    Entry { flow: &entry.flow, confirmed: entry.confirmed, protocol }
}

/// Of a packet whose flow has this entry, and perhaps another one: where a newer one beside it might be
/// preferred, the fast path has nothing to say.
pub(crate) fn inbound_agrees(
    packet: &InboundPacket,
    entry: &FlowEntry,
    recorded_is_up: bool,
) -> Result<(), String> {
    for exposes in [false, true] {
        let found = found(entry, packet.protocol);
        let flow = match fast::decide_inbound(packet, &found, exposes) {
            FastIn::SlowPath => continue,
            FastIn::Nothing => entry.flow,
            FastIn::Write(flow) => flow,
        };
        let may_be_another = packet.protocol == protocol::TCP
            && entry.confirmed
            && decide::may_be_superseded_in(entry, packet);
        let slow = decide::inbound(packet, Some(*entry), recorded_is_up);
        match slow {
            Inbound::Refresh(new)
                if !may_be_another && worth_writing(&entry.flow, &new) == flow => {}
            _ => return Err(format!("{packet:?}\nof {entry:?}\nwrites {flow:?}, and {slow:?}")),
        }
    }
    Ok(())
}

/// Likewise of a packet that is about to leave.
pub(crate) fn outbound_agrees(
    packet: &OutboundPacket,
    entry: &FlowEntry,
    protocol: u8,
) -> Result<(), String> {
    let fast = fast::decide_outbound(packet, &found(entry, protocol));
    let slow = decide::outbound(packet, Some(*entry));
    let may_be_another = entry.confirmed && decide::may_be_superseded_out(entry, packet);
    let agrees = match (fast, slow) {
        (FastOut::SlowPath, _) => return Ok(()),
        (FastOut::Own(becomes), Outbound::Own(Write::Refresh(new))) => {
            worth_writing(&entry.flow, &new) == becomes
        }
        (
            FastOut::Reply { uplink, router, becomes },
            Outbound::Reply { uplink: to, router: by, write: Write::Refresh(new) },
        ) => (uplink, router) == (to, by) && worth_writing(&entry.flow, &new) == becomes,
        _ => false,
    };
    if agrees && !may_be_another {
        return Ok(());
    }
    Err(format!("{packet:?}\nof {entry:?}\nis {fast:?}, and {slow:?}"))
}

/// Of a packet, before any table is asked.
pub(crate) fn steps_agree<A>(
    l4: FastL4,
    segment: &Segment<A>,
    facts: &Facts,
    packet: &InboundPacket,
) -> Result<(), String> {
    let is_quiet = facts.locality == Locality::OwnedHere && !facts.exposed && !facts.noted;
    let kind = segment.kind;
    let offers_size = matches!(kind, Kind::TcpOpening | Kind::TcpAnswer);
    let on_smaller = fast::inbound_step(l4, is_quiet, true);
    if offers_size && matches!(on_smaller, Step::Pass | Step::CacheSyn) {
        return Err(format!("{l4:?} that comes in on a smaller uplink: {on_smaller:?}"));
    }
    let inbound = fast::inbound_step(l4, is_quiet, false);
    let needs = decide::inbound_needs_flow(kind, facts.locality, facts.exposed, facts.noted);
    let agrees = match inbound {
        Step::Pass => !needs,
        // The word does not say where the connection's data begins.
        Step::CacheSyn => {
            let flow = decide::opened_at(facts.here, facts.now);
            matches!(decide::inbound(packet, None, true), Inbound::Open(new) if new.uplink() == flow.uplink()
                && new.generation() == flow.generation() && new.last_in() == flow.last_in()
                && new.origin() == flow.origin())
        }
        Step::LookUp | Step::SlowPath => true,
    };
    if !agrees {
        return Err(format!("{l4:?} that comes in: {inbound:?} at {facts:?}"));
    }
    let needs =
        decide::outbound_needs_flow(kind, facts.locality, facts.exposed, facts.noted, false);
    for keeps_own in [false, true] {
        let outbound = fast::outbound_step(l4, is_quiet, keeps_own);
        if outbound == Step::Pass && needs {
            return Err(format!("{l4:?} that leaves: {outbound:?} at {facts:?}"));
        }
    }
    Ok(())
}
