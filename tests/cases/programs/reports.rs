//! What became of a packet is reported while somebody asks for it, and nothing else changes.

use prroute::datapath::trace::{Decision, NextHop, Tracer};
use prroute::state::uplink::UplinkId;
use prroute_common::reason::Reason;
use prroute_common::trace::{Filter, Verdict};

use super::fixture::{DROP, Fixture, PASS, REDIRECT, with, with_fixture};
use super::frames::{Kind, frame, frame_with};
use super::steering::{CLIENT, OWNED_1, SHARED};

const UPLINK_2: Option<UplinkId> = Some(UplinkId(2));

/// What was reported of one packet.
fn one(tracer: &mut Tracer) -> Decision {
    let decision = tracer.next_packet().expect("a report").decision;
    assert!(tracer.next_packet().is_none(), "one report of one packet");
    decision
}

/// Records a flow of the shared address on uplink 2; its reply.
fn recorded(fixture: &mut Fixture, family: usize) -> Vec<u8> {
    let (client, shared) = (CLIENT[family], SHARED[family]);
    assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, shared)), PASS);
    frame(Kind::SynAck, shared, client)
}

#[test]
fn a_request_and_its_reply_are_reported_with_what_became_of_them() {
    with_fixture(|fixture| {
        let mut tracer = fixture.tracer(Filter::NONE);
        for (family, client) in CLIENT.iter().enumerate() {
            let answer = recorded(fixture, family);
            let packet = tracer.next_packet().unwrap();
            assert!(packet.decision.came_in && packet.decision.changes_flow);
            assert_eq!(packet.decision.about_flow, Some("record"));
            assert_eq!(packet.decision.uplink, UplinkId(2));
            assert_eq!(packet.source.to_string(), client.0);
            assert_eq!((packet.source_port, packet.destination_port), (40_000, 443));
            assert_eq!(packet.bytes.len(), packet.length as usize);
            assert!(packet.has_link_header);

            assert_eq!(fixture.egress(1, &answer), REDIRECT);
            let packet = tracer.next_packet().unwrap();
            assert_eq!(packet.bytes[12..], answer[12..], "the packet itself");
            let decision = packet.decision;
            assert_eq!((decision.verdict, decision.target), (Verdict::Moved, UPLINK_2));
            assert_eq!((decision.flow_on, decision.next_hop), (UPLINK_2, Some(NextHop::Gateway)));
            assert_eq!(decision.reason, None);

            assert_eq!(fixture.egress(2, &answer), PASS);
            let decision = one(&mut tracer);
            assert_eq!((decision.verdict, decision.target), (Verdict::Passed, UPLINK_2));
            assert_eq!(decision.next_hop, Some(NextHop::AsItIs));
        }
    });
}

#[test]
fn what_is_not_moved_is_reported_with_its_reason() {
    with_fixture(|fixture| {
        let mut tracer = fixture.tracer(Filter::NONE);
        let answer = recorded(fixture, 0);
        one(&mut tracer);
        let mut decided = |fixture: &mut Fixture, action| {
            fixture.sync();
            assert_eq!(fixture.egress(1, &answer), action);
            let decision = one(&mut tracer);
            assert_eq!(decision.target, UPLINK_2);
            (decision.verdict, decision.reason)
        };
        fixture.uplinks[1].device.way_out.v4.resolved = false;
        let no_next_hop = decided(fixture, PASS);
        assert_eq!(no_next_hop, (Verdict::Passed, Some(Reason::NoNextHop)));
        fixture.uplinks[1].device.way_out.v4.resolved = true;
        fixture.uplinks[1].device.up = false;
        assert_eq!(decided(fixture, PASS), (Verdict::Passed, Some(Reason::UplinkDown)));
        fixture.uplinks[1].device.hold = true;
        assert_eq!(decided(fixture, DROP), (Verdict::Held, Some(Reason::UplinkDown)));
        fixture.uplinks[1].device.up = true;
        fixture.uplinks[1].device.way_out.v4.resolved = false;
        assert_eq!(decided(fixture, DROP), (Verdict::Held, Some(Reason::NoNextHop)));
        fixture.uplinks[1].device.way_out.v4.resolved = true;
        fixture.uplinks[1].device.hold = false;
        fixture.uplinks[1].generation += 1;
        assert_eq!(decided(fixture, PASS), (Verdict::Passed, Some(Reason::UplinkGone)));
    });
}

#[test]
fn a_sender_that_is_told_and_a_flow_that_lives_elsewhere_have_verdicts_of_their_own() {
    with_fixture(|fixture| {
        fixture.uplinks[1].device.mtu = 1280;
        fixture.sync();
        let (client, shared) = (CLIENT[0], SHARED[0]);
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, shared)), PASS);
        let mut tracer = fixture.tracer(Filter::NONE);
        let too_big = frame_with(Kind::Udp, shared, client, &[7; 1400]);
        assert_eq!(fixture.egress(1, &too_big), REDIRECT);
        let decision = one(&mut tracer);
        assert_eq!((decision.verdict, decision.target), (Verdict::Told, UPLINK_2));
        assert_eq!(decision.reason, Some(Reason::SenderTold));

        assert_eq!(fixture.ingress(1, &frame(Kind::Udp, client, shared)), PASS);
        let decision = one(&mut tracer);
        assert_eq!(decision.verdict, Verdict::Refused);
        assert_eq!((decision.flow_on, decision.reason), (UPLINK_2, Some(Reason::RebindRefused)));
    });
}

#[test]
fn a_packet_that_needs_no_flow_is_reported_without_one() {
    with_fixture(|fixture| {
        let mut tracer = fixture.tracer(Filter::NONE);
        assert_eq!(fixture.ingress(1, &frame(Kind::Ack, CLIENT[0], OWNED_1[0])), PASS);
        let decision = one(&mut tracer);
        assert_eq!((decision.about_flow, decision.target), (None, None));
        assert_eq!(decision.verdict, Verdict::Passed);
        // Nothing of an earlier packet is left in the report of the next one.
        let answer = recorded(fixture, 0);
        one(&mut tracer);
        assert_eq!(fixture.egress(1, &answer), REDIRECT);
        one(&mut tracer);
        assert_eq!(fixture.egress(1, &frame(Kind::Ack, OWNED_1[0], CLIENT[0])), PASS);
        let decision = one(&mut tracer);
        assert_eq!((decision.about_flow, decision.target), (None, None));
        assert_eq!((decision.next_hop, decision.reason), (None, None));
    });
}

#[test]
fn observed_packets_are_reported_with_where_they_belong() {
    with(Fixture::observing, |fixture| {
        let mut tracer = fixture.tracer(Filter::NONE);
        let answer = recorded(fixture, 0);
        one(&mut tracer);
        assert_eq!(fixture.egress(1, &answer), PASS);
        let decision = one(&mut tracer);
        assert!(decision.observed);
        assert_eq!((decision.verdict, decision.target), (Verdict::Passed, UPLINK_2));
        assert_eq!((decision.next_hop, decision.reason), (Some(NextHop::Gateway), None));
    });
}

#[test]
fn only_what_is_asked_for_is_reported() {
    with_fixture(|fixture| {
        let moved = Filter { verdicts: Verdict::Moved.bit(), uplink: 2, ..Filter::NONE };
        let mut tracer = fixture.tracer(moved);
        let answer = recorded(fixture, 0);
        assert_eq!(fixture.egress(2, &answer), PASS);
        assert!(tracer.next_packet().is_none());
        assert_eq!(fixture.egress(1, &answer), REDIRECT);
        assert_eq!(one(&mut tracer).verdict, Verdict::Moved);
        drop(tracer);

        let port = Filter { remote_port: 40_001_u16.to_be_bytes(), ..Filter::NONE };
        let mut tracer = fixture.tracer(port);
        assert_eq!(fixture.egress(1, &answer), REDIRECT);
        assert!(tracer.next_packet().is_none());
        drop(tracer);

        let mut changes = fixture.tracer(Filter { changes: 1, ..Filter::NONE });
        assert_eq!(fixture.egress(1, &answer), REDIRECT);
        assert!(changes.next_packet().is_none(), "the flow stays what it was");
        recorded(fixture, 1);
        assert!(one(&mut changes).changes_flow);
    });
}

#[test]
fn what_is_too_much_is_counted() {
    with_fixture(|fixture| {
        let answer = recorded(fixture, 0);
        let mut tracer = fixture.tracer(Filter::NONE);
        // More than the ring buffer has room for, and than are reported in a second.
        for _ in 0..1_500 {
            assert_eq!(fixture.egress(1, &answer), REDIRECT);
        }
        let mut reported = 0;
        while tracer.next_packet().is_some() {
            reported += 1;
        }
        assert!(reported > 0, "some are reported");
        assert!(tracer.skipped().unwrap() > 0, "{reported} of 1500 reported, none skipped");
    });
}

#[test]
fn nobody_asks_when_the_reader_is_gone() {
    with_fixture(|fixture| {
        let tracer = fixture.tracer(Filter::NONE);
        assert!(fixture.is_traced());
        drop(tracer);
        assert!(!fixture.is_traced());
        // One that was killed takes nothing back: its time is over.
        let killed = fixture.tracer(Filter::NONE);
        std::mem::forget(killed);
        assert!(fixture.is_traced());
        let answer = recorded(fixture, 0);
        prroute_tests::wait::until("the time is over", std::time::Duration::from_secs(10), || {
            assert_eq!(fixture.egress(1, &answer), REDIRECT);
            Ok((!fixture.is_traced()).then_some(()))
        })
        .unwrap();
    });
}
