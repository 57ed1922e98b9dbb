//! Datagrams: who spoke first, and what a pause changes.

use prroute_common::flow::{ANSWER_TIME, HOST_FIRST, OTHER_IDLE, UNCONFIRMED_IDLE};
use prroute_ebpf::decide::{
    FlowEntry, Inbound, InboundPacket, Locality, Outbound, OutboundPacket, Write, inbound,
    is_preferred_aged, outbound,
};
use prroute_ebpf::wire::parse::{Kind, protocol};

use crate::{ELSEWHERE, HERE, NOW, arrival, departure, flow, own};

fn entry(flow: prroute_common::flow::Flow, confirmed: bool) -> Option<FlowEntry> {
    FlowEntry::new(flow, confirmed, protocol::UDP, NOW)
}

/// SIP calls, VPN rekeys, dead peer detection.
#[test]
fn what_the_host_says_first_after_a_pause_goes_where_its_peer_was() {
    let call = departure(Kind::Datagram, 0, 0);
    let asked = |idle| flow(ELSEWHERE, idle).with_last_out(NOW - idle);
    for (flow, confirmed) in [
        (asked(OTHER_IDLE + 1), true),
        (asked(60 * 86_400 * 7), true),
        (asked(UNCONFIRMED_IDLE + 1), false),
    ] {
        let known = entry(flow, confirmed);
        assert!(known.unwrap().is_aged);
        let verdict = outbound(&call, known);
        let Outbound::Reply { uplink: ELSEWHERE, write: Write::Refresh(kept), .. } = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!((kept.last_out(), kept.last_in()), (NOW, flow.last_in()));
        // A server at a client's port was asked twice.
        let at_client = outbound(&OutboundPacket { from_client_port: true, ..call }, known);
        let expected = if confirmed { verdict } else { Outbound::OpenByHost(own(HERE, 0)) };
        assert_eq!(at_client, expected, "a client's port");
    }
    let unanswered = entry(flow(ELSEWHERE, OTHER_IDLE + 1), true);
    assert_eq!(outbound(&call, unanswered), Outbound::OpenByHost(own(HERE, 0)));
    let reply = departure(Kind::EchoReply, 0, 0);
    assert_eq!(outbound(&reply, entry(asked(OTHER_IDLE + 1), true)), Outbound::Pass);
}

/// A telephone that has registered once elsewhere, and somebody who has asked there in its name.
#[test]
fn of_two_aged_entries_the_later_one_speaks_if_it_is_answered() {
    let confirmed = flow(ELSEWHERE, OTHER_IDLE + 2).with_last_out(NOW - OTHER_IDLE - 1);
    let asked = flow(HERE, UNCONFIRMED_IDLE + 2);
    let answered = asked.with_last_out(NOW - UNCONFIRMED_IDLE - 1);
    assert!(is_preferred_aged(&answered, &confirmed, false));
    assert!(!is_preferred_aged(&asked, &confirmed, false), "nobody has answered");
    assert!(!is_preferred_aged(&answered, &confirmed, true), "a client's port");
    let earlier = answered.with_last_in(confirmed.last_in() - 1);
    assert!(!is_preferred_aged(&earlier, &confirmed, false), "the other one is later");
}

#[test]
fn a_request_elsewhere_wins_back_a_flow_that_the_host_began_unanswered() {
    let request = arrival(Kind::Datagram, None);
    let began = |ago: u32| own(ELSEWHERE, ago).with_last_out(NOW - ago.min(ANSWER_TIME));
    for confirmed in [false, true] {
        let verdict = inbound(&request, entry(began(HOST_FIRST), confirmed), true);
        assert_eq!(verdict, Inbound::Rebind(flow(HERE, 0)), "an answer elsewhere is none there");
    }
    let kept = |arrival: &InboundPacket, flow, why| {
        let verdict = inbound(arrival, entry(flow, false), true);
        let Inbound::Confirm(flow) = verdict else { panic!("{why}: {verdict:?}") };
        flow
    };
    let late = ANSWER_TIME;
    kept(&request, began(HOST_FIRST + 1), "it sends one way, as it seems");
    kept(&request, began(ANSWER_TIME - 1), "this is the answer, wherever it comes in");
    kept(&request, began(late).with_heard_here(), "it was answered where it went");
    let answered = kept(&request, own(HERE, late), "this is the answer");
    assert!(answered.is_heard_here());
    let at_client = InboundPacket { to_client_port: true, ..request };
    kept(&at_client, began(late), "a client is asked nothing");
    let owned = InboundPacket { destination: Locality::OwnedHere, ..request };
    kept(&owned, began(late), "bound to an uplink's address, which says where it leaves");
    let protocol = InboundPacket { protocol: 47, ..request };
    kept(&protocol, began(late), "no ports that tell who serves");
}

/// R3: whoever pretends to be the peer.
#[test]
fn a_clients_flow_stays_the_hosts_however_late_its_peer_speaks() {
    let late = InboundPacket { to_client_port: true, ..arrival(Kind::Datagram, None) };
    for idle in [1, OTHER_IDLE, OTHER_IDLE + 1, 60 * 86_400 * 7] {
        for confirmed in [false, true] {
            let verdict = inbound(&late, entry(own(ELSEWHERE, idle), confirmed), true);
            assert!(matches!(verdict, Inbound::Refresh(_) | Inbound::Confirm(_)), "{verdict:?}");
        }
    }
    let service = InboundPacket { to_client_port: false, ..late };
    let aged = entry(own(ELSEWHERE, OTHER_IDLE + 1), true);
    assert_eq!(inbound(&service, aged, true), Inbound::Open(flow(HERE, 0)), "a request of its own");
}

/// A flood of requests makes the table of unconfirmed flows forget, and who asks then would be the first.
#[test]
fn what_the_host_sends_again_is_recorded_where_no_flood_of_syn_cache_reaches() {
    let again = departure(Kind::Datagram, 0, 0);
    let Outbound::Own(Write::Confirm(kept)) = outbound(&again, entry(own(HERE, 1), false)) else {
        panic!("not confirmed")
    };
    assert_eq!(kept.opened_at(), own(HERE, 1).opened_at());
    let later = outbound(&again, entry(kept, true));
    assert!(matches!(later, Outbound::Own(Write::Refresh(_))), "{later:?}");
}
