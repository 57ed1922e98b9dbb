//! What a first look decides by itself is what a closer one would.

use prroute_common::flow::{OTHER_IDLE, UNCONFIRMED_IDLE};
use prroute_common::reason::Reason;
use prroute_common::time::seconds;

use super::aging::age;
use super::fixture::{Fixture, PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame};
use super::steering::{CLIENT, OWNED_2};

/// Longer than the datapath writes no later time.
const WHILE: u32 = seconds(5);

fn idle(fixture: &Fixture) -> Vec<bool> {
    fixture.flows().iter().map(|flow| flow.idle_seconds > 3.0).collect()
}

#[test]
fn a_conversation_that_goes_on_lives_on_and_one_that_was_over_begins_anew() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let (request, answer) =
                (frame(Kind::Udp, client, owned), frame(Kind::Udp, owned, client));
            assert_eq!(fixture.ingress(2, &request), PASS);
            assert_eq!(fixture.egress(2, &answer), PASS);
            assert_eq!(fixture.ingress(2, &request), PASS);
            let confirmed = fixture.count(2, Reason::Confirmed);
            let opened = fixture.count(2, Reason::OpenedInbound);

            age(fixture, WHILE);
            assert_eq!(idle(fixture), [true]);
            assert_eq!(fixture.ingress(2, &request), PASS);
            assert_eq!(idle(fixture), [false], "the request counts");
            age(fixture, WHILE);
            assert_eq!(fixture.egress(2, &answer), PASS);
            assert_eq!(idle(fixture), [false], "and so does its answer");

            // Neither has been heard of for its whole life, the last of both lately.
            age(fixture, OTHER_IDLE - WHILE);
            assert_eq!(fixture.ingress(2, &request), PASS);
            assert_eq!(idle(fixture), [false]);
            assert_eq!(fixture.count(2, Reason::OpenedInbound), opened);
            assert_eq!(fixture.count(2, Reason::Confirmed), confirmed);

            age(fixture, OTHER_IDLE + WHILE);
            assert_eq!(fixture.ingress(2, &request), PASS);
            assert_eq!(fixture.count(2, Reason::OpenedInbound), opened + 1);
            fixture.forget_flows();
        }
    });
}

/// Datagrams that keep coming in elsewhere keep their address exposed, for the connections that
/// nobody would look up otherwise.
#[test]
fn an_address_stays_exposed_while_datagrams_for_it_come_in_elsewhere() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            assert_eq!(fixture.ingress(1, &frame(Kind::Syn, client, owned)), PASS);
            assert_eq!(fixture.egress(2, &frame(Kind::SynAck, owned, client)), REDIRECT);
            assert_eq!(fixture.ingress(1, &frame(Kind::Ack, client, owned)), PASS);
            let (request, answer) =
                (frame(Kind::Udp, client, owned), frame(Kind::Udp, owned, client));
            assert_eq!(fixture.ingress(1, &request), PASS);
            assert_eq!(fixture.egress(2, &answer), REDIRECT);
            assert_eq!(fixture.ingress(1, &request), PASS);
            // Ten minutes and more.
            for _ in 0..5 {
                age(fixture, OTHER_IDLE - WHILE);
                assert_eq!(fixture.ingress(1, &request), PASS);
                assert_eq!(fixture.egress(2, &answer), REDIRECT);
            }
            let data = frame(Kind::Ack, owned, client);
            assert_eq!(fixture.egress(2, &data), REDIRECT, "the connection came in on uplink 1");
        }
    });
}

#[test]
fn an_opening_is_recorded_once_and_again_when_it_was_forgotten() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let opened = fixture.count(2, Reason::OpenedInbound);
            let opening = frame(Kind::Syn, client, owned);
            for _ in 0..3 {
                assert_eq!(fixture.ingress(2, &opening), PASS);
                assert_eq!(fixture.count(2, Reason::OpenedInbound), opened + 1, "sent again");
            }
            age(fixture, WHILE);
            assert_eq!(fixture.ingress(2, &opening), PASS);
            assert_eq!(idle(fixture), [false], "it is still trying");
            age(fixture, UNCONFIRMED_IDLE + WHILE);
            assert_eq!(fixture.ingress(2, &opening), PASS);
            assert_eq!(fixture.count(2, Reason::OpenedInbound), opened + 2);
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, owned, client)), REDIRECT);
            fixture.forget_flows();
        }
    });
}

/// Both ends open at once (RFC 9293, 3.5): the host did too, and its connection is not moved.
#[test]
fn an_opening_that_meets_the_hosts_own_is_no_request() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            assert_eq!(fixture.egress(1, &frame(Kind::Syn, owned, client)), PASS);
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, owned)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, owned, client)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Ack, owned, client)), PASS);
        }
        assert_eq!(fixture.count(2, Reason::OpenedInbound), 0);
    });
}

/// As collectors of logs and measurements hear them, and as hosts send them.
#[test]
fn what_nobody_answers_is_recorded_once_for_as_long_as_it_goes_on() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let (inbound, outbound) = (Reason::OpenedInbound, Reason::OpenedByHost);
            let before = (fixture.count(2, inbound), fixture.count(2, outbound));
            let heard = frame(Kind::Udp, client, owned);
            let sent = frame(Kind::Udp, owned, (client.0, 514));
            for _ in 0..5 {
                assert_eq!(fixture.ingress(2, &heard), PASS);
                assert_eq!(fixture.egress(2, &sent), PASS);
                assert_eq!(idle(fixture), [false, false]);
                age(fixture, WHILE);
            }
            let after = (fixture.count(2, inbound), fixture.count(2, outbound));
            assert_eq!(after, (before.0 + 1, before.1 + 1));
            assert_eq!(fixture.count(2, Reason::Confirmed), 0);
            age(fixture, UNCONFIRMED_IDLE);
            assert_eq!(fixture.egress(1, &frame(Kind::Udp, owned, client)), PASS, "it is over");
            fixture.forget_flows();
        }
    });
}
