//! What the fast path decides by itself is what the slow path would.

use prroute_common::flow::{OTHER_IDLE, UNCONFIRMED_IDLE};
use prroute_common::reason::Reason;
use prroute_common::time::seconds;

use super::fixture::{Fixture, PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame};
use super::openings::connect_elsewhere;
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

            fixture.age(WHILE);
            assert_eq!(idle(fixture), [true]);
            assert_eq!(fixture.ingress(2, &request), PASS);
            assert_eq!(idle(fixture), [false], "the request counts");
            fixture.age(WHILE);
            assert_eq!(fixture.egress(2, &answer), PASS);
            assert_eq!(idle(fixture), [false], "and so does its answer");

            // The last request is older than a flow may become, the last answer is not.
            fixture.age(OTHER_IDLE - WHILE);
            assert_eq!(fixture.ingress(2, &request), PASS);
            assert_eq!(idle(fixture), [false]);
            assert_eq!(fixture.count(2, Reason::OpenedInbound), opened);
            assert_eq!(fixture.count(2, Reason::Confirmed), confirmed);

            fixture.age(OTHER_IDLE + WHILE);
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
            connect_elsewhere(fixture, client, owned);
            let (request, answer) =
                (frame(Kind::Udp, client, owned), frame(Kind::Udp, owned, client));
            assert_eq!(fixture.ingress(1, &request), PASS);
            assert_eq!(fixture.egress(2, &answer), REDIRECT);
            assert_eq!(fixture.ingress(1, &request), PASS);
            // Ten minutes and more.
            for _ in 0..5 {
                fixture.age(OTHER_IDLE - WHILE);
                assert_eq!(fixture.ingress(1, &request), PASS);
                assert_eq!(fixture.egress(2, &answer), REDIRECT);
            }
            let data = frame(Kind::Ack, owned, client);
            assert_eq!(fixture.egress(2, &data), REDIRECT, "the connection came in on uplink 1");
        }
    });
}

/// Nothing is recorded of addresses that are not one host's, whatever is in the way of a connection.
#[test]
fn an_opening_between_addresses_of_nobody_is_not_recorded() {
    with_fixture(|fixture| {
        let [owned4, owned6] = OWNED_2;
        for (source, target) in [
            (("169.254.7.7", 1), owned4),
            (("127.0.0.7", 1), owned4),
            (("224.0.0.5", 1), owned4),
            (("0.0.0.0", 1), owned4),
            (("fe80::7", 1), owned6),
            (("ff02::5", 1), owned6),
            (("::", 1), owned6),
            // The places of addresses that an uplink does not have hold zeros.
            (CLIENT[0], ("0.0.0.0", 443)),
            (CLIENT[1], ("::", 443)),
        ] {
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, source, target)), PASS);
            assert!(fixture.flows().is_empty(), "from {} to {}", source.0, target.0);
        }
        assert_eq!(fixture.noted(), Vec::<u32>::new());
        assert_eq!(fixture.count(2, Reason::OpenedInbound), 0);
    });
}

/// A SYN on the ports of a confirmed connection is the slow path's matter: here the connection came in on
/// uplink 1, which is up.
#[test]
fn an_opening_does_not_take_over_a_confirmed_connection() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            connect_elsewhere(fixture, client, owned);
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, owned)), PASS);
            assert_eq!(fixture.egress(2, &frame(Kind::Ack, owned, client)), REDIRECT);
        }
        assert_eq!(fixture.count(1, Reason::Confirmed), 2);
        assert_eq!(fixture.count(2, Reason::RebindRefused), 2);
        assert_eq!(fixture.count(2, Reason::OpenedInbound), 0);
    });
}

/// What another network sends to the client in a guest's name is in transit: it stays where routing
/// sends it, and does not keep the guest's conversation alive.
#[test]
fn transit_on_a_guests_ports_is_none_of_its_conversation() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let (request, answer) =
                (frame(Kind::Udp, client, owned), frame(Kind::Udp, owned, client));
            assert_eq!(fixture.ingress(2, &request), PASS);
            assert_eq!(fixture.egress_forwarded(1, &answer), REDIRECT, "a guest's");
        }
        // Its address is routed to a guest then, and no longer the host's own.
        fixture.locals.clear();
        fixture.sync();
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let answer = frame(Kind::Udp, owned, client);
            assert_eq!(fixture.egress_transit(2, 1, &answer), PASS, "in transit");
            assert_eq!(fixture.egress_forwarded(1, &answer), REDIRECT, "a guest's still");
        }
        fixture.age(WHILE);
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let answer = frame(Kind::Udp, owned, client);
            assert_eq!(fixture.egress_transit(1, 2, &answer), PASS);
        }
        assert_eq!(idle(fixture), [true, true]);
    });
}

/// Answers to the host that come in elsewhere expose the address that they are for.
#[test]
fn answers_to_the_host_elsewhere_expose_its_address() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            connect_elsewhere(fixture, client, owned);
            let question = frame(Kind::Udp, owned, (client.0, 53));
            let answer = frame(Kind::Udp, (client.0, 53), owned);
            assert_eq!(fixture.egress(2, &question), PASS);
            assert_eq!(fixture.ingress(2, &answer), PASS);
            // Ten minutes and more, in which it is answered on both uplinks.
            for _ in 0..5 {
                fixture.age(OTHER_IDLE - WHILE);
                assert_eq!(fixture.egress(2, &question), PASS);
                assert_eq!(fixture.ingress(2, &answer), PASS);
                assert_eq!(fixture.ingress(1, &answer), PASS);
            }
            let data = frame(Kind::Ack, owned, client);
            assert_eq!(fixture.egress(2, &data), REDIRECT, "the connection came in on uplink 1");
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
                fixture.age(WHILE);
            }
            let after = (fixture.count(2, inbound), fixture.count(2, outbound));
            assert_eq!(after, (before.0 + 1, before.1 + 1));
            assert_eq!(fixture.count(2, Reason::Confirmed), 0);
            fixture.age(UNCONFIRMED_IDLE);
            assert_eq!(fixture.egress(1, &frame(Kind::Udp, owned, client)), PASS, "it is over");
            fixture.forget_flows();
        }
    });
}
