//! What is decided, fact by fact. Rule numbers are those of the design: R1 reply on ingress,
//! R3 nothing else is touched.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be built fails its test")]

use prroute_common::flow::{
    Flow, OTHER_IDLE, OTHER_REBIND_IDLE, Origin, SEEN_REFRESH, TCP_IDLE, TCP_REBIND_IDLE,
    UNCONFIRMED_IDLE,
};
use prroute_common::time::MASK;
use prroute_ebpf::parse::{Kind, Numbers, protocol};
use prroute_ebpf::verdict::{
    Arrival, Departure, Inbound, Known, Locality, Outbound, Place, Settled, Write, inbound,
    inbound_needs_flow, is_settled_in, is_worth_writing, later_in, later_out, outbound,
    outbound_needs_flow, settled_out,
};

const HERE: Place = Place { uplink: 1, generation: 1 };
const ELSEWHERE: Place = Place { uplink: 2, generation: 1 };
const NOW: u32 = 1_000_000;
const KINDS: [Kind; 8] = [
    Kind::TcpOpening,
    Kind::TcpAnswer,
    Kind::TcpReset,
    Kind::Tcp,
    Kind::EchoRequest,
    Kind::EchoReply,
    Kind::Datagram,
    Kind::Error,
];

/// An inbound flow at `place` that had its last packet in `idle` ticks ago.
fn flow(place: Place, idle: u32) -> Flow {
    Flow::inbound(place.uplink, place.generation, NOW - idle)
}

fn known(flow: Flow, confirmed: bool) -> Option<Known> {
    Some(Known { flow, origin: flow.origin().unwrap(), confirmed })
}

fn own(place: Place, idle: u32) -> Flow {
    Flow::by_host(place.uplink, place.generation, NOW - idle)
}

fn arrival(kind: Kind, acknowledgement: Option<u32>) -> Arrival {
    let protocol = match kind {
        Kind::TcpOpening | Kind::TcpAnswer | Kind::TcpReset | Kind::Tcp => protocol::TCP,
        _ => protocol::UDP,
    };
    Arrival {
        kind,
        protocol,
        tcp: Numbers {
            sequence: 0,
            acknowledgement: acknowledgement.unwrap_or_default(),
            acknowledges: acknowledgement.is_some(),
        },
        destination: Locality::Shared,
        here: HERE,
        router: 0,
        now: NOW,
    }
}

fn departure(kind: Kind, sequence: u32, payload: u32) -> Departure {
    Departure {
        kind,
        tcp: Numbers { sequence, acknowledgement: 0, acknowledges: true },
        payload,
        source: Locality::Shared,
        here: HERE,
        forwarded: false,
        now: NOW,
    }
}

#[test]
fn only_openings_and_datagrams_open_a_flow() {
    for kind in KINDS {
        let opens = matches!(kind, Kind::TcpOpening | Kind::EchoRequest | Kind::Datagram);
        let expected = if opens { Inbound::Open(flow(HERE, 0)) } else { Inbound::Pass };
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
        let other = Arrival { destination, ..middle };
        assert_eq!(inbound(&other, None, true), Inbound::Pass, "{destination:?}");
    }
}

#[test]
fn answers_to_the_host_never_open_a_flow() {
    for kind in [Kind::Datagram, Kind::Tcp, Kind::TcpAnswer] {
        let first = inbound(&arrival(kind, Some(1)), known(own(ELSEWHERE, 5), false), true);
        assert_eq!(first, Inbound::Confirm(own(ELSEWHERE, 5).with_last_in(NOW)), "{kind:?}");
        let later = inbound(&arrival(kind, Some(1)), known(own(ELSEWHERE, 5), true), true);
        assert_eq!(later, Inbound::Refresh(own(ELSEWHERE, 5).with_last_in(NOW)), "{kind:?}");
    }
    let live = inbound(&arrival(Kind::TcpOpening, None), known(own(HERE, 1), true), true);
    assert_eq!(live, Inbound::Refresh(own(HERE, 1).with_last_in(NOW)));
    let idle = |confirmed| known(own(HERE, TCP_REBIND_IDLE), confirmed);
    let reused = inbound(&arrival(Kind::TcpOpening, None), idle(true), true);
    assert_eq!(reused, Inbound::Open(flow(HERE, 0)));
    let attempt = inbound(&arrival(Kind::TcpOpening, None), idle(false), true);
    assert!(matches!(attempt, Inbound::Confirm(_)), "still the host's own: {attempt:?}");
}

#[test]
fn tcp_is_confirmed_by_the_acknowledgement_of_the_syn_ack() {
    let opened = flow(HERE, 1);
    let Outbound::Reply { place: HERE, write: Write::Refresh(answered), .. } =
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

#[test]
fn an_unconfirmed_flow_steers_nothing_but_syn_ack_and_rst() {
    let answer = outbound(&departure(Kind::TcpAnswer, 5, 0), known(flow(ELSEWHERE, 1), false));
    assert!(matches!(answer, Outbound::Reply { place: ELSEWHERE, .. }), "{answer:?}");
    let reset =
        |sequence, flow| outbound(&departure(Kind::TcpReset, sequence, 0), known(flow, false));
    for (sequence, entry) in [
        (0, flow(ELSEWHERE, 1)),
        (77, flow(ELSEWHERE, 1).with_heard(77)),
        (1001, flow(ELSEWHERE, 1).with_sent(1001)),
    ] {
        let verdict = reset(sequence, entry);
        assert!(matches!(verdict, Outbound::Reply { place: ELSEWHERE, .. }), "{verdict:?}");
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
    let data = Departure { source: Locality::OwnedBy(2), ..departure(Kind::Tcp, 1, 1) };
    let verdict = outbound(&data, known(flow(ELSEWHERE, 1), false));
    assert!(matches!(verdict, Outbound::Reply { write: Write::Confirm(_), .. }), "{verdict:?}");
    let other = Departure { source: Locality::OwnedBy(3), ..data };
    assert_eq!(outbound(&other, known(flow(ELSEWHERE, 1), false)), Outbound::Unproved);
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
fn a_live_flow_stays_on_its_uplink_while_that_is_up() {
    for kind in KINDS {
        for confirmed in [false, true] {
            let live = known(flow(ELSEWHERE, 0), confirmed);
            let verdict = inbound(&arrival(kind, Some(1)), live, true);
            assert_eq!(verdict, Inbound::RefuseRebind, "{kind:?}");
        }
    }
}

#[test]
fn a_silent_connection_moves_only_for_who_knows_its_numbers() {
    let silent = flow(ELSEWHERE, TCP_REBIND_IDLE * 10).with_sent(9000).with_heard(8000);
    for (number, moves) in
        [(7999, false), (8000, true), (8500, true), (9001, true), (9002, false), (0, false)]
    {
        let verdict = inbound(&arrival(Kind::Tcp, Some(number)), known(silent, true), true);
        assert_eq!(matches!(verdict, Inbound::Rebind(_)), moves, "{number}: {verdict:?}");
    }
    for kind in [Kind::TcpReset, Kind::TcpAnswer] {
        let verdict = inbound(&arrival(kind, Some(8500)), known(silent, true), true);
        assert_eq!(verdict, Inbound::RefuseRebind, "{kind:?}");
    }
    let syn = inbound(&arrival(Kind::TcpOpening, None), known(silent, true), true);
    assert_eq!(syn, Inbound::Open(flow(HERE, 0)), "beside it, unconfirmed");
    let recent = flow(ELSEWHERE, TCP_REBIND_IDLE - 1).with_sent(9000).with_heard(8000);
    let verdict = inbound(&arrival(Kind::Tcp, Some(8500)), known(recent, true), true);
    assert_eq!(verdict, Inbound::RefuseRebind);
}

#[test]
fn a_connection_whose_uplink_is_down_moves_at_once_for_who_knows_its_numbers() {
    let live = flow(ELSEWHERE, 0).with_sent(9000).with_heard(8000);
    let moved = inbound(&arrival(Kind::Tcp, Some(8500)), known(live, true), false);
    let Inbound::Rebind(moved) = moved else { panic!("{moved:?}") };
    assert_eq!((moved.uplink(), moved.heard(), moved.sent()), (1, Some(8500), Some(9000)));
    let guessed = inbound(&arrival(Kind::Tcp, Some(1)), known(live, true), false);
    assert_eq!(guessed, Inbound::RefuseRebind);
}

#[test]
fn an_idle_datagram_flow_follows_its_client() {
    let idle = |ticks| known(flow(ELSEWHERE, ticks), true);
    let arrival = arrival(Kind::Datagram, None);
    assert_eq!(inbound(&arrival, idle(OTHER_REBIND_IDLE), true), Inbound::Rebind(flow(HERE, 0)));
    assert_eq!(inbound(&arrival, idle(OTHER_REBIND_IDLE - 1), true), Inbound::RefuseRebind);
    assert_eq!(inbound(&arrival, idle(0), false), Inbound::Rebind(flow(HERE, 0)), "it is down");
}

#[test]
fn what_the_host_sends_keeps_no_dead_uplink_alive() {
    // The host goes on sending; the client has been silent on the recorded uplink for long.
    let flow = flow(ELSEWHERE, OTHER_REBIND_IDLE).with_last_out(NOW);
    let verdict = inbound(&arrival(Kind::Datagram, None), known(flow, true), true);
    assert!(matches!(verdict, Inbound::Rebind(_)), "{verdict:?}");
}

#[test]
fn replies_leave_by_the_recorded_uplink() {
    for kind in [Kind::Tcp, Kind::EchoReply, Kind::Datagram, Kind::Error] {
        for place in [HERE, ELSEWHERE] {
            let verdict = outbound(&departure(kind, 1, 0), known(flow(place, 0), true));
            let Outbound::Reply { place: to, .. } = verdict else {
                panic!("{kind:?}: {verdict:?}")
            };
            assert_eq!(to, place);
        }
    }
}

#[test]
fn an_icmp_error_neither_opens_nor_refreshes() {
    let error = departure(Kind::Error, 0, 0);
    assert_eq!(outbound(&error, None), Outbound::Pass);
    assert_eq!(outbound(&error, known(own(HERE, 1), true)), Outbound::Own(Write::Nothing));
    let verdict = outbound(&error, known(flow(ELSEWHERE, 9), true));
    assert!(matches!(verdict, Outbound::Reply { write: Write::Nothing, .. }), "{verdict:?}");
    for destination in [Locality::Shared, Locality::OwnedHere, Locality::NotLocal] {
        assert!(!inbound_needs_flow(Kind::Error, destination, true, true));
    }
}

#[test]
fn what_the_host_opens_is_never_moved() {
    for before in [None, known(flow(ELSEWHERE, 0), true), known(flow(ELSEWHERE, 0), false)] {
        let verdict = outbound(&departure(Kind::TcpOpening, 1, 0), before);
        assert_eq!(verdict, Outbound::OpenByHost(own(HERE, 0)));
    }
    for kind in KINDS {
        let verdict = outbound(&departure(kind, 1, 0), known(own(ELSEWHERE, 3), true));
        assert!(matches!(verdict, Outbound::Own(_)), "{kind:?}: {verdict:?}");
    }
    assert!(!outbound_needs_flow(Kind::EchoRequest, Locality::Shared, false, false));
}

#[test]
fn an_unknown_local_reply_follows_the_routing_tables() {
    for source in [Locality::Shared, Locality::OwnedBy(2), Locality::OwnedHere] {
        let of = |kind| Departure { source, ..departure(kind, 1, 0) };
        assert_eq!(outbound(&of(Kind::Tcp), None), Outbound::Pass);
        assert_eq!(outbound(&of(Kind::EchoReply), None), Outbound::Pass);
        assert_eq!(outbound(&of(Kind::Datagram), None), Outbound::OpenByHost(own(HERE, 0)));
    }
}

#[test]
fn an_unknown_forwarded_reply_leaves_by_the_owner_of_its_source() {
    let of = |kind, source| Departure { source, forwarded: true, ..departure(kind, 1, 0) };
    for kind in [Kind::Tcp, Kind::TcpAnswer, Kind::EchoReply, Kind::Datagram] {
        let verdict = outbound(&of(kind, Locality::OwnedBy(2)), None);
        assert_eq!(verdict, Outbound::ToOwner(2), "{kind:?}");
    }
    assert_eq!(outbound(&of(Kind::Tcp, Locality::Shared), None), Outbound::Pass);
    let syn = outbound(&of(Kind::TcpOpening, Locality::OwnedBy(2)), None);
    assert_eq!(syn, Outbound::OpenByHost(own(HERE, 0)), "a SYN without ACK is never redirected");
}

#[test]
fn the_common_tcp_packet_needs_no_lookup() {
    let owned = Locality::OwnedHere;
    assert!(!inbound_needs_flow(Kind::Tcp, owned, false, false));
    assert!(!outbound_needs_flow(Kind::Tcp, owned, false, false));
    assert!(inbound_needs_flow(Kind::TcpOpening, owned, false, false));
    for (exposed, last_hop) in [(true, false), (false, true)] {
        assert!(inbound_needs_flow(Kind::Tcp, owned, exposed, last_hop));
        assert!(outbound_needs_flow(Kind::Tcp, owned, exposed, last_hop));
    }
}

#[test]
fn an_entry_that_is_too_old_or_not_ours_is_none() {
    for (confirmed, protocol, limit) in [
        (true, protocol::TCP, TCP_IDLE),
        (true, protocol::UDP, OTHER_IDLE),
        (false, protocol::TCP, UNCONFIRMED_IDLE),
        (false, protocol::UDP, UNCONFIRMED_IDLE),
    ] {
        let entry = |idle| Known::from_entry(flow(ELSEWHERE, idle), confirmed, protocol, NOW);
        assert!(entry(limit).is_some() && entry(limit + 1).is_none());
    }
    let late = |idle| Known::from_entry(own(HERE, idle), false, protocol::UDP, NOW);
    assert!(late(OTHER_IDLE).is_some(), "a late answer meets the record of its question");
    assert!(Known::from_entry(Flow::default(), true, protocol::TCP, NOW).is_none());
}

#[test]
fn a_flow_keeps_each_fact_in_its_bits() {
    let flow = Flow::inbound(255, u16::MAX, 0xff_ffff)
        .with_last_out(0xab_cdef)
        .with_heard(u32::MAX)
        .with_sent(7)
        .with_router(0xffff_ffff_ffff);
    assert_eq!(flow.origin(), Some(Origin::Inbound));
    assert_eq!((flow.uplink(), flow.generation()), (255, u16::MAX));
    assert_eq!((flow.last_in(), flow.last_out()), (0xff_ffff, 0xab_cdef));
    assert_eq!((flow.heard(), flow.sent()), (Some(u32::MAX), Some(7)));
    assert_eq!(flow.router(), 0xffff_ffff_ffff);
    assert!(flow.is_answered());
    let moved = flow.rebound(3, 4, 5);
    assert_eq!((moved.uplink(), moved.generation(), moved.last_in()), (3, 4, 5));
    assert_eq!((moved.sent(), moved.router()), (Some(7), 0));
}

#[test]
fn a_slightly_later_time_alone_is_not_written() {
    let old = flow(HERE, SEEN_REFRESH);
    assert!(!is_worth_writing(&old, &old.with_last_in(NOW - 1)));
    assert!(is_worth_writing(&old, &old.with_last_in(NOW)));
    assert!(is_worth_writing(&old, &old.with_heard(1)));
    assert!(is_worth_writing(&old, &old.with_router(1)));
}

#[test]
fn a_settled_datagram_is_one_whose_flow_says_it_all_already() {
    let answered = |place, idle| flow(place, idle).with_last_out(NOW - idle);
    let out = |flow: &Flow| settled_out(flow, HERE, NOW);
    assert!(is_settled_in(&answered(HERE, 0), true, HERE, NOW));
    assert_eq!(out(&answered(HERE, 0)), Settled::Here);
    let own_elsewhere = own(ELSEWHERE, 0).with_last_in(NOW);
    assert!(is_settled_in(&own(HERE, 0).with_last_in(NOW), true, HERE, NOW));
    assert!(!is_settled_in(&own_elsewhere, true, HERE, NOW), "it exposes the address it is for");
    assert_eq!(out(&own(ELSEWHERE, 0).with_last_out(NOW)), Settled::Here);
    assert!(!is_settled_in(&answered(ELSEWHERE, 0), true, HERE, NOW), "the flow is elsewhere");
    assert_eq!(out(&answered(ELSEWHERE, 0)), Settled::At(ELSEWHERE));
    let another = Place { generation: 2, ..HERE };
    assert!(!is_settled_in(&answered(another, 0), true, HERE, NOW), "another device's");
    assert_eq!(out(&answered(another, 0)), Settled::At(another));
    for (flow, why) in [
        (answered(HERE, SEEN_REFRESH), "its stamps are old"),
        (answered(HERE, 0).with_router(1), "a router was noted"),
        (answered(ELSEWHERE, 0).with_router(1), "a router was noted elsewhere"),
        (Flow::default(), "no program wrote it"),
    ] {
        assert!(!is_settled_in(&flow, true, HERE, NOW), "{why}");
        assert_eq!(out(&flow), Settled::No, "{why}");
    }
    assert_eq!(out(&flow(HERE, 0)), Settled::No, "the first answer");
    // A while later only the time is new, unless it took so long that the flow is over.
    for idle in [SEEN_REFRESH, OTHER_IDLE] {
        let old = answered(HERE, idle);
        assert_eq!(later_in(&old, true, HERE, NOW), Some(old.with_last_in(NOW)));
        assert_eq!(later_out(&old, true, HERE, NOW), Some(old.with_last_out(NOW)));
    }
    for (flow, why) in [
        (answered(HERE, OTHER_IDLE + 1), "it is over"),
        (answered(ELSEWHERE, SEEN_REFRESH), "it is elsewhere"),
        (answered(another, SEEN_REFRESH), "another device's"),
        (answered(HERE, SEEN_REFRESH).with_router(1), "a router was noted"),
        (Flow::default(), "no program wrote it"),
    ] {
        assert_eq!(later_in(&flow, true, HERE, NOW), None, "{why}");
        assert_eq!(later_out(&flow, true, HERE, NOW), None, "{why}");
    }
    assert_eq!(later_out(&flow(HERE, SEEN_REFRESH), true, HERE, NOW), None, "the first answer");
    // A stamp of "never" lies ahead of a late clock, where differences are taken as 0.
    let late = MASK - 1;
    let never_in = Flow::by_host(HERE.uplink, HERE.generation, late).with_last_out(late);
    assert!(!is_settled_in(&never_in, true, HERE, late), "nothing came in yet");
}

#[test]
fn a_datagram_that_confirms_its_flow_is_none_that_only_goes_on() {
    let one_way = flow(HERE, 0);
    assert!(is_settled_in(&one_way, false, HERE, NOW), "nobody answers it");
    assert!(!is_settled_in(&one_way.with_last_out(NOW), false, HERE, NOW), "the second request");
    let asked = own(HERE, 0).with_last_in(NOW);
    assert!(!is_settled_in(&asked, false, HERE, NOW), "the first answer to the host");
    let old = flow(HERE, SEEN_REFRESH);
    assert_eq!(later_in(&old, false, HERE, NOW), Some(old.with_last_in(NOW)));
    assert_eq!(later_in(&old.with_last_out(NOW), false, HERE, NOW), None);
    assert_eq!(later_in(&flow(HERE, UNCONFIRMED_IDLE + 1), false, HERE, NOW), None, "it is over");
    let replied = |idle| flow(HERE, idle).with_last_out(NOW - idle);
    let kept = replied(UNCONFIRMED_IDLE).with_last_out(NOW);
    assert_eq!(later_out(&replied(UNCONFIRMED_IDLE), false, HERE, NOW), Some(kept));
    assert_eq!(later_out(&replied(UNCONFIRMED_IDLE + 1), false, HERE, NOW), None, "it is over");
    let sent = own(HERE, 0).with_last_out(NOW);
    assert_eq!(settled_out(&sent, HERE, NOW), Settled::Here, "nobody answers the host");
}
