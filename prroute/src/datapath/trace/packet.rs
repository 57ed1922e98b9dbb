//! A packet that was reported, in words.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use prroute_common::address::{Address6, octets4, octets6};
use prroute_common::reason::Reason;
use prroute_common::trace::{NO_DECISION, Report, Verdict, about};
use prroute_common::uplink::mac_octets;
use prroute_ebpf::decide::deliver::Delivery;
use prroute_ebpf::decide::{InboundKind, OutboundKind};

use crate::state::uplink::{Ifindex, UplinkId};

/// How a packet gets to the uplink that it should leave by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// It goes there anyway.
    AsItIs,
    /// The destination is on the link.
    Destination,
    /// The gateway of its source's subnet.
    SubnetGateway,
    /// The uplink's gateway.
    Gateway,
    /// The device has no link-layer addresses.
    Device,
    /// The router that its request came from.
    Router([u8; 6]),
}

/// What the programs decided about a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub came_in: bool,
    pub verdict: Verdict,
    /// What was decided about its flow, in words; `None`: its flow does not matter.
    pub about_flow: Option<&'static str>,
    /// Where its flow was known to be.
    pub flow_on: Option<UplinkId>,
    /// That flow was confirmed.
    pub confirmed: bool,
    pub opened_by_host: bool,
    /// It opened, confirmed or moved its flow.
    pub changes_flow: bool,
    /// The uplink that it was on.
    pub uplink: UplinkId,
    /// The uplink that it should leave by.
    pub target: Option<UplinkId>,
    /// It should leave there because of its source, and is no reply.
    pub own_source: bool,
    pub next_hop: Option<NextHop>,
    /// Why it does not leave by `target`, or why its flow is not taken for one that lives here.
    pub reason: Option<Reason>,
    /// `mode = "observe"`: it was left as it is.
    pub observed: bool,
}

impl Decision {
    pub fn of(report: &Report) -> Self {
        let is = |bit| report.about & bit != 0;
        let id = |id| (id != 0).then_some(UplinkId(id));
        let came_in = report.direction == 0;
        let verdict = Verdict::from_code(report.verdict).unwrap_or(Verdict::Passed);
        let (next_hop, not_delivered) = way(report);
        // Nothing is, of what is neither for the host nor for a guest behind it.
        let is_recorded = |kind: &InboundKind| {
            !matches!(kind, InboundKind::Open | InboundKind::Adopt) || is(about::CHANGES)
        };
        let inbound = came_in.then(|| inbound(report.decision)).flatten().filter(is_recorded);
        let outbound = (!came_in).then(|| outbound(report.decision)).flatten();
        let reason = match verdict {
            Verdict::Refused if came_in => Some(Reason::RebindRefused),
            Verdict::Refused => Some(Reason::Unconfirmed),
            Verdict::Told => Some(Reason::SenderTold),
            // Of a later fragment it is not told.
            Verdict::Held => not_delivered.or(Some(Reason::Held)),
            _ if is(about::TARGET_GONE) => Some(Reason::UplinkGone),
            _ => not_delivered.or_else(|| refused(report, verdict, next_hop)),
        };
        Self {
            came_in,
            verdict,
            about_flow: inbound.map(InboundKind::name).or(outbound.map(OutboundKind::name)),
            flow_on: id(report.flow_on),
            confirmed: is(about::CONFIRMED),
            opened_by_host: is(about::OPENED_BY_HOST),
            changes_flow: is(about::CHANGES),
            uplink: UplinkId(report.uplink),
            target: id(report.target),
            own_source: is(about::OWN_SOURCE) && outbound != Some(OutboundKind::Reply),
            next_hop,
            reason,
            observed: is(about::OBSERVED),
        }
    }
}

fn inbound(code: u8) -> Option<InboundKind> {
    InboundKind::ALL.into_iter().find(|kind| code != NO_DECISION && *kind as u32 == u32::from(code))
}

fn outbound(code: u8) -> Option<OutboundKind> {
    OutboundKind::ALL
        .into_iter()
        .find(|kind| code != NO_DECISION && *kind as u32 == u32::from(code))
}

/// How it gets there, or why it does not.
fn way(report: &Report) -> (Option<NextHop>, Option<Reason>) {
    let next_hop = match Delivery::from_code(report.delivery) {
        None => return (None, None),
        Some(Delivery::Leave(reason) | Delivery::LeaveOrHold(reason)) => {
            return (None, Some(reason));
        }
        Some(Delivery::Stay) => NextHop::AsItIs,
        Some(Delivery::Direct) => NextHop::Destination,
        Some(Delivery::SubnetGateway) => NextHop::SubnetGateway,
        Some(Delivery::Gateway) => NextHop::Gateway,
        Some(Delivery::Device) => NextHop::Device,
        Some(Delivery::Router | Delivery::Readdress) => NextHop::Router(mac_octets(report.router)),
    };
    (Some(next_hop), None)
}

/// It was to be moved, and the kernel did not take it.
fn refused(report: &Report, verdict: Verdict, next_hop: Option<NextHop>) -> Option<Reason> {
    let is_to_move = next_hop.is_some_and(|next_hop| next_hop != NextHop::AsItIs);
    let stays = verdict == Verdict::Passed && report.about & about::OBSERVED == 0;
    (is_to_move && stays).then_some(Reason::RedirectFailed)
}

/// A packet that was reported.
#[derive(Clone, Debug)]
pub struct TracedPacket {
    /// By the kernel's monotonic clock.
    pub time: Duration,
    pub device: Ifindex,
    pub protocol: u8,
    pub source: IpAddr,
    pub source_port: u16,
    pub destination: IpAddr,
    pub destination_port: u16,
    pub later_fragment: bool,
    /// `bytes` begin with an Ethernet header.
    pub has_link_header: bool,
    /// Bytes with the link-layer header.
    pub length: u32,
    /// Its first bytes.
    pub bytes: Vec<u8>,
    pub decision: Decision,
}

impl TracedPacket {
    pub fn of(report: &Report) -> Self {
        let captured = (report.captured as usize).min(report.packet.len());
        let address = |address: Address6| match report.version {
            4 => Ipv4Addr::from(octets4(address[0] as u32)).into(),
            _ => Ipv6Addr::from(octets6(address)).into(),
        };
        Self {
            time: Duration::from_nanos(report.time_ns),
            device: Ifindex(report.ifindex),
            protocol: report.protocol,
            source: address(report.source),
            source_port: u16::from_be_bytes(report.source_port),
            destination: address(report.destination),
            destination_port: u16::from_be_bytes(report.destination_port),
            later_fragment: report.about & about::LATER_FRAGMENT != 0,
            has_link_header: report.link_header != 0,
            length: report.length,
            bytes: report.packet[..captured].to_vec(),
            decision: Decision::of(report),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;

    use super::*;

    fn leaves() -> Report {
        Report { direction: 1, uplink: 1, decision: NO_DECISION, ..Report::zeroed() }
    }

    #[test]
    fn a_reply_that_is_moved_says_where_and_by_whom() {
        let report = Report {
            decision: OutboundKind::Reply as u8,
            verdict: Verdict::Moved as u8,
            target: 2,
            flow_on: 2,
            delivery: Delivery::Gateway.code(),
            about: about::CONFIRMED,
            ..leaves()
        };
        let decision = Decision::of(&report);
        assert_eq!(decision.verdict, Verdict::Moved);
        assert_eq!(decision.target, Some(UplinkId(2)));
        assert_eq!(decision.next_hop, Some(NextHop::Gateway));
        assert_eq!(decision.reason, None);
        assert!(decision.confirmed && !decision.own_source);
    }

    #[test]
    fn what_does_not_leave_by_its_uplink_has_a_reason() {
        let reply = Report { decision: OutboundKind::Reply as u8, target: 2, ..leaves() };
        let reason = |report: &Report| Decision::of(report).reason;
        let no_next_hop = Delivery::LeaveOrHold(Reason::NoNextHop).code();
        assert_eq!(reason(&Report { delivery: no_next_hop, ..reply }), Some(Reason::NoNextHop));
        let held = Report { verdict: Verdict::Held as u8, ..reply };
        assert_eq!(reason(&Report { delivery: no_next_hop, ..held }), Some(Reason::NoNextHop));
        assert_eq!(reason(&held), Some(Reason::Held));
        let gone = Report { about: about::TARGET_GONE, ..reply };
        assert_eq!(reason(&gone), Some(Reason::UplinkGone));
        let refused = Report { delivery: Delivery::Gateway.code(), ..reply };
        assert_eq!(reason(&refused), Some(Reason::RedirectFailed));
        let observed = Report { about: about::OBSERVED, ..refused };
        assert_eq!(reason(&observed), None);
        let unproved = Report {
            decision: OutboundKind::Unproved as u8,
            verdict: Verdict::Refused as u8,
            ..leaves()
        };
        assert_eq!(reason(&unproved), Some(Reason::Unconfirmed));
    }

    #[test]
    fn a_packet_whose_flow_does_not_matter_has_no_decision_about_it() {
        let decision = Decision::of(&leaves());
        assert_eq!((decision.about_flow, decision.target), (None, None));
        assert_eq!(decision.verdict, Verdict::Passed);
    }

    #[test]
    fn what_is_not_recorded_is_not_said_to_be() {
        let about_flow = |kind: InboundKind, about| {
            let report = Report { direction: 0, decision: kind as u8, about, ..leaves() };
            Decision::of(&report).about_flow
        };
        for kind in [InboundKind::Open, InboundKind::Adopt] {
            assert_eq!(about_flow(kind, 0), None, "in transit");
            assert_eq!(about_flow(kind, about::CHANGES), Some(kind.name()));
        }
        assert_eq!(about_flow(InboundKind::Refresh, 0), Some("known here"));
    }

    #[test]
    fn numbers_that_no_program_writes_do_no_harm() {
        let odd = Report { verdict: 99, decision: 99, delivery: 30, captured: 9_999, ..leaves() };
        let packet = TracedPacket::of(&odd);
        assert_eq!(packet.decision.about_flow, None);
        assert_eq!(packet.bytes.len(), odd.packet.len());
    }
}
