//! Replies leave by the uplink on which their flow was opened.

use prroute_common::reason::Reason;

use super::fixture::{NOTE, PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame};

pub(super) const CLIENT: [(&str, u16); 2] = [("203.0.113.9", 40_000), ("2001:db8:9::9", 40_000)];
pub(super) const SHARED: [(&str, u16); 2] = [("192.0.2.80", 443), ("2001:db8::80", 443)];
pub(super) const OWNED_1: [(&str, u16); 2] = [("10.0.1.2", 443), ("fd00:1::2", 443)];
pub(super) const OWNED_2: [(&str, u16); 2] = [("10.0.2.2", 443), ("fd00:2::2", 443)];

/// A request and its reply.
const EXCHANGES: [(Kind, Kind); 3] =
    [(Kind::Syn, Kind::SynAck), (Kind::Udp, Kind::Udp), (Kind::EchoRequest, Kind::EchoReply)];

/// An echo reply carries the identifier of the request, whoever sends it.
fn reply(kind: Kind, server: (&str, u16), client: (&str, u16)) -> Vec<u8> {
    match kind {
        Kind::EchoReply => frame(kind, (server.0, client.1), client),
        _ => frame(kind, server, client),
    }
}

#[test]
fn a_reply_from_a_shared_address_leaves_by_the_uplink_of_its_request() {
    with_fixture(|fixture| {
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            for (_, reply_kind) in EXCHANGES {
                let answer = reply(reply_kind, shared, client);
                assert_eq!(fixture.egress(1, &answer), PASS, "{reply_kind:?} before any request");
            }
        }
    });
    with_fixture(|fixture| {
        let mut redirected = 0;
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            for (request_kind, reply_kind) in EXCHANGES {
                let answer = reply(reply_kind, shared, client);
                assert_eq!(fixture.ingress(2, &frame(request_kind, client, shared)), PASS);
                assert_eq!(fixture.egress(1, &answer), REDIRECT, "{reply_kind:?} to {client:?}");
                assert_eq!(fixture.egress(2, &answer), PASS, "on its uplink already");
                redirected += 1;
                assert_eq!(fixture.count(2, Reason::Redirected), redirected);
                assert_eq!(fixture.count(2, Reason::OpenedInbound), redirected);
            }
        }
    });
}

#[test]
fn a_reply_from_an_owned_address_follows_its_request_too() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, owned)), PASS);
            let answer = frame(Kind::SynAck, owned, client);
            assert_eq!(fixture.egress(1, &answer), REDIRECT, "main sends it over uplink 1");
            assert_eq!(fixture.egress(2, &answer), PASS);
        }
    });
}

#[test]
fn an_address_asked_on_another_uplink_is_answered_there() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_1) {
            let answer = frame(Kind::SynAck, owned, client);
            assert_eq!(fixture.egress(1, &answer), PASS);
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, owned)), PASS);
            assert_eq!(fixture.egress(1, &answer), REDIRECT, "the address is exposed now");
        }
    });
}

/// A client's SYN comes again while its SYN-ACK is on its way, and the host answers no more of them.
#[test]
fn a_syn_that_comes_again_does_not_undo_the_handshake() {
    with_fixture(|fixture| {
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, shared)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, shared, client)), REDIRECT);
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, shared)), PASS);
            assert_eq!(fixture.ingress(2, &frame(Kind::Ack, client, shared)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Ack, shared, client)), REDIRECT);
        }
        assert_eq!(fixture.count(2, Reason::Confirmed), 2);
    });
}

/// A published port whose server is beside the host, on the segment that `main` leads over: its answers come in and
/// leave by the same interface.
#[test]
fn the_translated_reply_of_a_server_on_an_uplinks_segment_is_moved() {
    with_fixture(|fixture| {
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            let shared = (shared.0, 40_002);
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, shared)), PASS);
            for _ in 0..3 {
                assert_eq!(
                    fixture.egress_transit(1, 1, &frame(Kind::Udp, shared, client)),
                    REDIRECT
                );
            }
        }
        assert_eq!(fixture.count(1, Reason::OpenedByHost), 0);
    });
}

/// Clouds give addresses of 240.0.0.0/4 to containers, and Linux routes them.
#[test]
fn a_client_with_a_reserved_address_is_a_client() {
    with_fixture(|fixture| {
        let client = ("240.1.2.3", 40_000);
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, SHARED[0])), PASS);
        assert_eq!(fixture.egress(1, &frame(Kind::Udp, SHARED[0], client)), REDIRECT);
    });
}

#[test]
fn a_connection_older_than_its_record_is_taken_up_when_both_ends_agree_on_its_numbers() {
    with_fixture(|fixture| {
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            let data = frame(Kind::Ack, shared, client);
            assert_eq!(fixture.egress(1, &data), PASS, "nothing is known of it");
            // It acknowledges what `data` carries.
            assert_eq!(fixture.ingress(2, &frame(Kind::Ack, client, shared)), PASS);
            assert_eq!(fixture.egress(1, &data), REDIRECT);
        }
        assert_eq!(fixture.count(2, Reason::Adopted), 2);
        assert_eq!(fixture.count(2, Reason::Confirmed), 2);
    });
}

#[test]
fn who_guesses_a_connection_gets_none_of_its_packets() {
    with_fixture(|fixture| {
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            assert_eq!(fixture.ingress(1, &frame(Kind::Syn, client, shared)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, shared, client)), PASS);
            assert_eq!(fixture.ingress(1, &frame(Kind::Ack, client, shared)), PASS);
            for kind in [Kind::Syn, Kind::SynAck, Kind::Ack, Kind::Udp] {
                assert_eq!(fixture.ingress(2, &frame(kind, client, shared)), PASS);
            }
            assert_eq!(fixture.egress(1, &frame(Kind::Ack, shared, client)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, shared, client)), PASS);
        }
        assert_eq!(fixture.count(2, Reason::Redirected), 0);
        assert_eq!(fixture.count(2, Reason::RebindRefused), 6);
    });
}

/// Anybody can send an acknowledgement, of a connection that there never was.
#[test]
fn an_acknowledgement_of_nothing_keeps_no_connection_from_being_opened_elsewhere() {
    with_fixture(|fixture| {
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            let forged = frame(Kind::Ack, client, shared);
            assert_eq!(fixture.ingress(2, &forged), PASS);
            assert_eq!(fixture.ingress(1, &frame(Kind::Syn, client, shared)), PASS);
            assert_eq!(fixture.ingress(2, &forged), PASS, "and once more");
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, shared, client)), PASS);
            assert_eq!(fixture.egress(2, &frame(Kind::SynAck, shared, client)), REDIRECT);
            assert_eq!(fixture.ingress(1, &frame(Kind::Ack, client, shared)), PASS);
            assert_eq!(fixture.egress(2, &frame(Kind::Ack, shared, client)), REDIRECT);
        }
        assert_eq!(fixture.count(1, Reason::Confirmed), 2);
        assert_eq!(fixture.count(2, Reason::Redirected), 0);
    });
}

/// The record of its SYN was lost; the host heard nothing of the acknowledgement, and sends its SYN-ACK again.
#[test]
fn a_syn_ack_that_was_acknowledged_and_comes_again_is_of_that_connection() {
    with_fixture(|fixture| {
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            assert_eq!(fixture.ingress(2, &frame(Kind::Ack, client, shared)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, shared, client)), REDIRECT);
        }
        assert_eq!(fixture.count(2, Reason::Redirected), 2);
    });
}

#[test]
fn a_flood_of_requests_evicts_no_confirmed_flow() {
    with_fixture(|fixture| {
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, shared)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, shared, client)), REDIRECT);
            assert_eq!(fixture.ingress(2, &frame(Kind::Ack, client, shared)), PASS);
        }
        for number in 0..60_000u32 {
            let [_, a, b, c] = number.to_be_bytes();
            let spoofed = format!("198.{}.{b}.{c}", 18 + a);
            let kind = if number % 2 == 0 { Kind::Syn } else { Kind::Udp };
            assert_eq!(fixture.ingress(1, &frame(kind, (&spoofed, 9), SHARED[0])), PASS);
        }
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            assert_eq!(fixture.egress(1, &frame(Kind::Ack, shared, client)), REDIRECT);
        }
    });
}

#[test]
fn more_addresses_than_fit_in_line_are_owned_all_the_same() {
    with_fixture(|fixture| {
        for last in 10..60 {
            let address = format!("10.0.2.{last}").parse().unwrap();
            fixture.locals.push(prroute::state::uplink::LocalAddress {
                address,
                owner: Some(prroute::state::uplink::UplinkId(2)),
            });
        }
        fixture.sync();
        for last in 10..60 {
            let owned = format!("10.0.2.{last}");
            let owned = (owned.as_str(), 443);
            assert_eq!(fixture.ingress(2, &frame(Kind::Ack, CLIENT[0], owned)), PASS);
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, CLIENT[0], owned)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, owned, CLIENT[0])), REDIRECT);
        }
        assert_eq!(fixture.flows().len(), 50);
        fixture.locals.truncate(6);
        fixture.sync();
        assert_eq!(fixture.ingress(2, &frame(Kind::Syn, CLIENT[0], ("10.0.2.30", 1))), PASS);
        assert_eq!(fixture.flows().len(), 50, "an address that is gone is not recorded");
    });
}

#[test]
fn what_was_redirected_is_not_decided_again() {
    with_fixture(|fixture| {
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, shared)), PASS);
            let answer = frame(Kind::Udp, shared, client);
            assert_eq!(fixture.egress_noted(1, &answer, NOTE), PASS, "it carries the note");
            for others in [0, 1, NOTE ^ 1, NOTE ^ 1 << 32] {
                assert_eq!(fixture.egress_noted(1, &answer, others), REDIRECT, "{others:x}");
            }
        }
        assert_eq!(fixture.count(2, Reason::Redirected), 8);
    });
}
