//! What is decided, fact by fact. Rule numbers are those of the design: R1 reply on ingress,
//! R3 nothing else is touched.

use prroute_common::flow::{
    Binding, Flow, OTHER_IDLE, OTHER_REBIND_IDLE, Origin, Seen, TCP_IDLE, TCP_REBIND_IDLE,
};
use prroute_ebpf::parse::{Kind, protocol};
use prroute_ebpf::verdict::{
    Found, Inbound, Locality, Outbound, Place, inbound, inbound_needs_flow, outbound,
    outbound_needs_flow,
};

const HERE: Place = Place { uplink: 1, generation: 1 };
const ELSEWHERE: Place = Place { uplink: 2, generation: 1 };
const NOW: u32 = 1_000_000;
const KINDS: [Kind; 5] =
    [Kind::TcpOpening, Kind::Tcp, Kind::EchoRequest, Kind::EchoReply, Kind::Datagram];

fn found(origin: Origin, place: Place, idle: u32) -> Found {
    Found {
        binding: Binding { origin, uplink: place.uplink, generation: place.generation },
        seen: Seen { inbound: NOW - idle, outbound: NOW - idle },
    }
}

fn decide_inbound(kind: Kind, found: Option<Found>, recorded_is_up: bool) -> Inbound {
    let protocol = match kind {
        Kind::TcpOpening | Kind::Tcp => protocol::TCP,
        _ => protocol::UDP,
    };
    inbound(kind, protocol, found, HERE, recorded_is_up, NOW)
}

#[test]
fn only_openings_and_datagrams_open_a_flow() {
    for kind in KINDS {
        let opens = matches!(kind, Kind::TcpOpening | Kind::EchoRequest | Kind::Datagram);
        let expected = if opens { Inbound::Open } else { Inbound::Pass };
        assert_eq!(decide_inbound(kind, None, true), expected, "{kind:?}");
    }
}

#[test]
fn answers_to_the_host_never_open_a_flow() {
    let own = found(Origin::Host, ELSEWHERE, OTHER_IDLE - 1);
    assert_eq!(decide_inbound(Kind::Datagram, Some(own), true), Inbound::Refresh);
    let live = found(Origin::Host, HERE, 0);
    assert_eq!(decide_inbound(Kind::TcpOpening, Some(live), true), Inbound::Refresh);
    assert_eq!(decide_inbound(Kind::Tcp, Some(live), true), Inbound::Refresh);
}

#[test]
fn a_live_flow_stays_on_its_uplink_while_that_is_up() {
    for kind in KINDS {
        let live = found(Origin::Inbound, ELSEWHERE, 0);
        assert_eq!(decide_inbound(kind, Some(live), true), Inbound::RefuseRebind, "{kind:?}");
        assert_eq!(decide_inbound(kind, Some(live), false), Inbound::Rebind, "{kind:?}");
    }
}

#[test]
fn an_idle_flow_follows_an_opening() {
    let idle = |ticks| Some(found(Origin::Inbound, ELSEWHERE, ticks));
    assert_eq!(decide_inbound(Kind::TcpOpening, idle(TCP_REBIND_IDLE), true), Inbound::Rebind);
    assert_eq!(
        decide_inbound(Kind::TcpOpening, idle(TCP_REBIND_IDLE - 1), true),
        Inbound::RefuseRebind
    );
    assert_eq!(decide_inbound(Kind::Tcp, idle(TCP_REBIND_IDLE * 10), true), Inbound::RefuseRebind);
    assert_eq!(decide_inbound(Kind::Datagram, idle(OTHER_REBIND_IDLE), true), Inbound::Rebind);
    assert_eq!(
        decide_inbound(Kind::Datagram, idle(OTHER_REBIND_IDLE - 1), true),
        Inbound::RefuseRebind
    );
}

#[test]
fn what_the_host_sends_keeps_no_dead_uplink_alive() {
    // The host goes on sending; the client has been silent on the recorded uplink for long.
    let mut flow = found(Origin::Inbound, ELSEWHERE, OTHER_REBIND_IDLE);
    flow.seen.outbound = NOW;
    assert_eq!(decide_inbound(Kind::Datagram, Some(flow), true), Inbound::Rebind);
}

#[test]
fn another_generation_of_the_uplink_is_another_uplink() {
    let older = Place { generation: 0, ..HERE };
    let flow = Some(found(Origin::Inbound, older, 0));
    assert_eq!(decide_inbound(Kind::Datagram, flow, false), Inbound::Rebind);
    assert_eq!(
        outbound(Kind::Tcp, Locality::Shared, flow, HERE, false),
        Outbound::Reply(older),
        "the caller finds the older generation gone"
    );
}

#[test]
fn replies_leave_by_the_recorded_uplink() {
    for kind in [Kind::Tcp, Kind::EchoReply, Kind::Datagram] {
        for source in [Locality::Shared, Locality::OwnedBy(3), Locality::OwnedHere] {
            let flow = Some(found(Origin::Inbound, ELSEWHERE, 0));
            assert_eq!(outbound(kind, source, flow, HERE, false), Outbound::Reply(ELSEWHERE));
            let flow = Some(found(Origin::Inbound, HERE, 0));
            assert_eq!(outbound(kind, source, flow, HERE, false), Outbound::Refresh);
        }
    }
}

#[test]
fn what_the_host_opens_is_never_moved() {
    for flow in [None, Some(found(Origin::Inbound, ELSEWHERE, 0))] {
        let verdict = outbound(Kind::TcpOpening, Locality::Shared, flow, HERE, false);
        assert_eq!(verdict, Outbound::OpenByHost);
    }
    for kind in KINDS {
        let flow = Some(found(Origin::Host, ELSEWHERE, 0));
        assert_eq!(outbound(kind, Locality::Shared, flow, HERE, false), Outbound::Refresh);
    }
    assert!(!outbound_needs_flow(Kind::EchoRequest, Locality::Shared, false));
}

#[test]
fn an_unknown_local_reply_follows_the_routing_tables() {
    for source in [Locality::Shared, Locality::OwnedBy(2), Locality::OwnedHere] {
        assert_eq!(outbound(Kind::Tcp, source, None, HERE, false), Outbound::Pass);
        assert_eq!(outbound(Kind::EchoReply, source, None, HERE, false), Outbound::Pass);
        assert_eq!(outbound(Kind::Datagram, source, None, HERE, false), Outbound::OpenByHost);
    }
}

#[test]
fn an_unknown_forwarded_reply_leaves_by_the_owner_of_its_source() {
    for kind in [Kind::Tcp, Kind::EchoReply, Kind::Datagram] {
        let verdict = outbound(kind, Locality::OwnedBy(2), None, HERE, true);
        assert_eq!(verdict, Outbound::ToOwner(2));
    }
    assert_eq!(outbound(Kind::Tcp, Locality::Shared, None, HERE, true), Outbound::Pass);
    assert_eq!(
        outbound(Kind::TcpOpening, Locality::OwnedBy(2), None, HERE, true),
        Outbound::OpenByHost,
        "a SYN without ACK is never redirected"
    );
}

#[test]
fn the_common_tcp_packet_needs_no_lookup() {
    assert!(!inbound_needs_flow(Kind::Tcp, Locality::OwnedHere, false));
    assert!(!outbound_needs_flow(Kind::Tcp, Locality::OwnedHere, false));
    assert!(inbound_needs_flow(Kind::Tcp, Locality::OwnedHere, true));
    assert!(outbound_needs_flow(Kind::Tcp, Locality::OwnedHere, true));
    assert!(inbound_needs_flow(Kind::TcpOpening, Locality::OwnedHere, false));
}

#[test]
fn transit_needs_no_lookup() {
    for kind in KINDS {
        assert!(!inbound_needs_flow(kind, Locality::NotLocal, false));
        assert!(!outbound_needs_flow(kind, Locality::NotLocal, false));
    }
}

#[test]
fn an_entry_that_is_too_old_or_not_ours_is_none() {
    let entry = |idle: u32| Flow {
        binding: Binding { origin: Origin::Inbound, uplink: 2, generation: 1 }.pack(),
        seen: Seen { inbound: NOW - idle, outbound: 0 }.pack(),
    };
    for (protocol, limit) in [(protocol::TCP, TCP_IDLE), (protocol::UDP, OTHER_IDLE)] {
        assert!(Found::from_entry(entry(limit), protocol, NOW).is_some());
        assert!(Found::from_entry(entry(limit + 1), protocol, NOW).is_none());
    }
    assert!(Found::from_entry(Flow::default(), protocol::TCP, NOW).is_none());
}

#[test]
fn a_binding_survives_its_word() {
    for origin in [Origin::Inbound, Origin::Host] {
        let binding = Binding { origin, uplink: 255, generation: u16::MAX };
        assert_eq!(Binding::unpack(binding.pack()), Some(binding));
    }
    let seen = Seen { inbound: u32::MAX, outbound: 1 };
    assert_eq!(Seen::unpack(seen.pack()), seen);
}
