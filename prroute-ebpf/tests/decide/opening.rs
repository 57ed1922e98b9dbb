//! How flows begin, and how they are confirmed.

use prroute_common::flow::{Flow, TCP_IDLE, TCP_REBIND_IDLE};
use prroute_ebpf::decide::{
    AtSyn, Inbound, InboundPacket, Locality, Outbound, OutboundPacket, UplinkRef, Write, inbound,
    inbound_needs_flow, outbound, outbound_needs_flow,
};
use prroute_ebpf::wire::parse::{Kind, Numbers, TcpFlags};

use crate::{ELSEWHERE, HERE, KINDS, NOW, arrival, departure, flow, known, own};

#[test]
fn only_openings_and_datagrams_open_a_flow() {
    for kind in KINDS {
        let opens = matches!(kind, Kind::TcpOpening | Kind::EchoRequest | Kind::Datagram);
        let begins = flow(HERE, 0);
        let begins = if kind == Kind::TcpOpening { begins.with_received(1) } else { begins };
        let expected = if opens { Inbound::Open(begins) } else { Inbound::Pass };
        assert_eq!(inbound(&arrival(kind, None), None, true), expected, "{kind:?}");
    }
}

#[test]
fn a_segment_in_the_middle_of_a_connection_is_adopted_unconfirmed() {
    let middle = arrival(Kind::Tcp, Some(77));
    assert_eq!(inbound(&middle, None, true), Inbound::Adopt(flow(HERE, 0).with_heard(77)));
    for kind in [Kind::TcpAnswer, Kind::TcpReset] {
        assert_eq!(inbound(&arrival(kind, Some(77)), None, true), Inbound::Pass, "{kind:?}");
    }
    for destination in [Locality::NotLocal, Locality::OwnedBy(2), Locality::OwnedHere] {
        let other = InboundPacket { destination, ..middle };
        assert_eq!(inbound(&other, None, true), Inbound::Pass, "{destination:?}");
    }
}

#[test]
fn answers_to_the_host_never_open_a_flow() {
    for kind in [Kind::Datagram, Kind::Tcp, Kind::TcpAnswer] {
        // The host asks from a client's port.
        let arrival =
            |kind, number| InboundPacket { to_client_port: true, ..arrival(kind, number) };
        let first = inbound(&arrival(kind, Some(1)), known(own(ELSEWHERE, 5), false), true);
        assert_eq!(first, Inbound::Confirm(own(ELSEWHERE, 5).with_last_in(NOW)), "{kind:?}");
        let later = inbound(&arrival(kind, Some(1)), known(own(ELSEWHERE, 5), true), true);
        assert_eq!(later, Inbound::Refresh(own(ELSEWHERE, 5).with_last_in(NOW)), "{kind:?}");
    }
    let live = inbound(&arrival(Kind::TcpOpening, None), known(own(HERE, 1), true), true);
    assert_eq!(live, Inbound::Refresh(own(HERE, 1).with_last_in(NOW).with_heard_here()));
    let idle = |confirmed| known(own(HERE, TCP_REBIND_IDLE), confirmed);
    let reused = inbound(&arrival(Kind::TcpOpening, None), idle(true), true);
    assert_eq!(reused, Inbound::Open(flow(HERE, 0).with_received(1)));
    let attempt = inbound(&arrival(Kind::TcpOpening, None), idle(false), true);
    assert!(matches!(attempt, Inbound::Confirm(_)), "still the host's own: {attempt:?}");
}

#[test]
fn tcp_is_confirmed_by_the_acknowledgement_of_the_syn_ack() {
    let opened = flow(HERE, 1);
    let Outbound::Reply { uplink: HERE, write: Write::Refresh(answered), .. } =
        outbound(&departure(Kind::TcpAnswer, 1000, 0), known(opened, false))
    else {
        panic!("a SYN-ACK is steered by an unconfirmed flow")
    };
    assert_eq!(answered.sent(), Some(1001));
    for wrong in [1000, 1002, 0] {
        let verdict = inbound(&arrival(Kind::Tcp, Some(wrong)), known(answered, false), true);
        assert!(matches!(verdict, Inbound::Refresh(_)), "{wrong}: {verdict:?}");
    }
    let Inbound::Confirm(confirmed) =
        inbound(&arrival(Kind::Tcp, Some(1001)), known(answered, false), true)
    else {
        panic!("the right acknowledgement confirms")
    };
    assert_eq!(confirmed.heard(), Some(1001));
}

/// Where a client's SYN comes three times within half a second, Linux answers two of them (`tcp_invalid_ratelimit`).
#[test]
fn the_same_syn_again_leaves_the_syn_ack_what_is_to_be_acknowledged() {
    let syn = |sequence| {
        let packet = arrival(Kind::TcpOpening, None);
        InboundPacket { tcp: Numbers { sequence, ..packet.tcp }, ..packet }
    };
    let answered = flow(HERE, 1).with_received(501).with_sent(1001);
    let again = inbound(&syn(500), known(answered, false), true);
    assert_eq!(again, Inbound::Refresh(answered.with_last_in(NOW)));
    let Inbound::Refresh(other) = inbound(&syn(700), known(answered, false), true) else {
        panic!("a SYN opens no second flow of one key")
    };
    assert_eq!((other.received(), other.sent()), (Some(701), None), "another connection");
}

#[test]
fn an_unconfirmed_flow_steers_nothing_but_syn_ack_and_rst() {
    let answer = outbound(&departure(Kind::TcpAnswer, 5, 0), known(flow(ELSEWHERE, 1), false));
    assert!(matches!(answer, Outbound::Reply { uplink: ELSEWHERE, .. }), "{answer:?}");
    let reset =
        |sequence, flow| outbound(&departure(Kind::TcpReset, sequence, 0), known(flow, false));
    for (sequence, entry) in [
        (0, flow(ELSEWHERE, 1)),
        (77, flow(ELSEWHERE, 1).with_heard(77)),
        (1001, flow(ELSEWHERE, 1).with_sent(1001)),
    ] {
        let verdict = reset(sequence, entry);
        assert!(matches!(verdict, Outbound::Reply { uplink: ELSEWHERE, .. }), "{verdict:?}");
    }
    for entry in [flow(ELSEWHERE, 1), flow(ELSEWHERE, 1).with_heard(77)] {
        assert_eq!(reset(5000, entry), Outbound::Unproved, "of a connection it knows nothing of");
    }
    let data = departure(Kind::Tcp, 5000, 100);
    assert_eq!(outbound(&data, known(flow(ELSEWHERE, 1), false)), Outbound::Unproved);
    for claim in [4999, 5001, 5100, 0] {
        let claimed = flow(ELSEWHERE, 1).with_heard(claim);
        assert_eq!(outbound(&data, known(claimed, false)), Outbound::Unproved, "{claim}");
    }
    let verdict = outbound(&data, known(flow(ELSEWHERE, 1).with_heard(5000), false));
    assert!(
        matches!(verdict, Outbound::Reply { write: Write::Confirm(_), .. }),
        "who acknowledges what comes next sees what the host sends: {verdict:?}"
    );
}

#[test]
fn the_hosts_own_data_confirms_a_flow_on_the_owner_of_its_address() {
    let data = OutboundPacket { source: Locality::OwnedBy(2), ..departure(Kind::Tcp, 1, 1) };
    let verdict = outbound(&data, known(flow(ELSEWHERE, 1), false));
    assert!(matches!(verdict, Outbound::Reply { write: Write::Confirm(_), .. }), "{verdict:?}");
    let fin = TcpFlags::new(true, true);
    let end = OutboundPacket { payload: 0, tcp: Numbers { flags: fin, ..data.tcp }, ..data };
    let verdict = outbound(&end, known(flow(ELSEWHERE, 1), false));
    assert!(matches!(verdict, Outbound::Reply { write: Write::Confirm(_), .. }), "{verdict:?}");
    // Linux sends it for a second SYN of the same ports, with other numbers, while it has no more than a first.
    for (source, expected) in
        [(Locality::OwnedBy(2), Outbound::ToOwner(2)), (Locality::OwnedHere, Outbound::Unproved)]
    {
        let ack = OutboundPacket { payload: 0, source, here: ELSEWHERE, ..data };
        let answered = flow(ELSEWHERE, 1).with_sent(1);
        assert_eq!(outbound(&ack, known(answered, false)), expected, "an acknowledgement alone");
    }
    let other = OutboundPacket { source: Locality::OwnedBy(3), ..data };
    let verdict = outbound(&other, known(flow(ELSEWHERE, 1), false));
    assert_eq!(verdict, Outbound::ToOwner(3), "a SYN elsewhere takes nothing from the owner");
    let shared = OutboundPacket { source: Locality::Shared, ..data };
    assert_eq!(outbound(&shared, known(flow(ELSEWHERE, 1), false)), Outbound::Unproved);
}

#[test]
fn other_protocols_are_confirmed_in_out_in() {
    let opened = flow(HERE, 1);
    let again = inbound(&arrival(Kind::Datagram, None), known(opened, false), true);
    assert!(matches!(again, Inbound::Refresh(_)), "not answered yet: {again:?}");
    let Outbound::Reply { write: Write::Refresh(answered), .. } =
        outbound(&departure(Kind::Datagram, 0, 0), known(opened, false))
    else {
        panic!("an unconfirmed datagram flow is steered")
    };
    let third = inbound(&arrival(Kind::Datagram, None), known(answered, false), true);
    assert!(matches!(third, Inbound::Confirm(_)), "{third:?}");
}

#[test]
fn the_common_tcp_packet_needs_no_lookup() {
    let owned = Locality::OwnedHere;
    assert!(!inbound_needs_flow(Kind::Tcp, owned, false, false));
    assert!(!outbound_needs_flow(Kind::Tcp, owned, false, false, false));
    assert!(inbound_needs_flow(Kind::TcpOpening, owned, false, false));
    for (exposed, last_hop) in [(true, false), (false, true)] {
        assert!(inbound_needs_flow(Kind::Tcp, owned, exposed, last_hop));
        assert!(outbound_needs_flow(Kind::Tcp, owned, exposed, last_hop, false));
    }
}

#[test]
fn a_syn_takes_over_no_entry_that_lives() {
    let at = |flow: Flow, confirmed| known(flow, confirmed).unwrap().at_syn(HERE, NOW);
    for confirmed in [false, true] {
        assert_eq!(at(flow(HERE, 0), confirmed), AtSyn::Stays, "it is the entry of this SYN");
        assert_eq!(at(flow(HERE, 1), confirmed), AtSyn::IsReplaced, "later, on the same ports");
        let newer = Flow::inbound(HERE.id, HERE.generation, NOW + 50);
        assert_eq!(at(newer, confirmed), AtSyn::Stays, "its flow was heard of since");
        let before = UplinkRef { generation: 2, ..HERE };
        assert_eq!(at(flow(before, 0), confirmed), AtSyn::Stays, "another device had this id");
    }
    let just_now = flow(ELSEWHERE, TCP_REBIND_IDLE - 1);
    assert_eq!(at(just_now, false), AtSyn::Stays, "it came in elsewhere just now");
    assert_eq!(at(flow(ELSEWHERE, TCP_REBIND_IDLE), false), AtSyn::IsReplaced);
    let idle = flow(ELSEWHERE, TCP_IDLE);
    assert_eq!(at(idle, true), AtSyn::GetsAnother, "a SYN alone moves no confirmed flow");
    for confirmed in [false, true] {
        assert_eq!(at(own(ELSEWHERE, TCP_IDLE), confirmed), AtSyn::Stays, "the host's own");
    }
}
