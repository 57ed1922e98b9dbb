//! Ordinary packets: what is recorded, and where replies are sent.

use prroute::config::Reply;
use prroute_common::flow::TCP_IDLE;
use prroute_common::reason::Reason;
use prroute_common::time::seconds;

use super::fixture::{DROP, Fixture, NOTE, PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame};

pub(super) const CLIENT: [(&str, u16); 2] = [("203.0.113.9", 40_000), ("2001:db8:9::9", 40_000)];
const SHARED: [(&str, u16); 2] = [("192.0.2.80", 443), ("2001:db8::80", 443)];
const OWNED_1: [(&str, u16); 2] = [("10.0.1.2", 443), ("fd00:1::2", 443)];
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

#[test]
fn established_tcp_of_an_owned_address_is_not_recorded() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_1) {
            assert_eq!(fixture.ingress(1, &frame(Kind::Ack, client, owned)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Ack, owned, client)), PASS);
        }
        assert!(fixture.flows().is_empty());
    });
}

#[test]
fn what_the_host_opens_is_recorded_as_its_own_and_never_moved() {
    with_fixture(|fixture| {
        for (server, shared) in CLIENT.into_iter().zip(SHARED) {
            // The host asks from a client's port, and the server answers from one of services.
            let (server, shared) = ((server.0, shared.1), (shared.0, server.1));
            for kind in [Kind::Syn, Kind::Udp] {
                assert_eq!(fixture.egress(1, &frame(kind, shared, server)), PASS);
            }
            // The answers arrive on the other uplink.
            assert_eq!(fixture.ingress(2, &frame(Kind::SynAck, server, shared)), PASS);
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, server, shared)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Ack, shared, server)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Udp, shared, server)), PASS);
        }
        assert_eq!(fixture.count(1, Reason::OpenedByHost), 4);
        assert_eq!(fixture.count(2, Reason::OpenedInbound), 0);
        assert!(fixture.flows().iter().all(|flow| !flow.opened_inbound));
    });
}

#[test]
fn the_hosts_own_pings_record_nothing_and_meet_no_flow() {
    with_fixture(|fixture| {
        for (server, shared) in CLIENT.into_iter().zip(SHARED) {
            // The other end pings us with the identifier that we ping it with.
            let request = frame(Kind::EchoRequest, (shared.0, 7), server);
            assert_eq!(fixture.ingress(2, &frame(Kind::EchoRequest, (server.0, 7), shared)), PASS);
            assert_eq!(fixture.egress(1, &request), PASS);
            assert_eq!(fixture.ingress(1, &frame(Kind::EchoReply, (server.0, 7), shared)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::EchoReply, (shared.0, 7), server)), REDIRECT);
        }
        assert_eq!(fixture.flows().len(), 2);
    });
}

#[test]
fn late_segments_of_the_hosts_connections_open_nothing() {
    with_fixture(|fixture| {
        for (server, shared) in CLIENT.into_iter().zip(SHARED) {
            for kind in [Kind::SynAck, Kind::EchoReply] {
                assert_eq!(fixture.ingress(2, &frame(kind, server, shared)), PASS);
            }
        }
        assert!(fixture.flows().is_empty());
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
fn last_hop_answers_the_router_that_asked() {
    with_fixture(|fixture| {
        fixture.uplinks[1].device.way_out.v4.gateway = None;
        fixture.uplinks[1].device.way_out.v6.gateway = None;
        fixture.sync();
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, owned)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, owned, client)), REDIRECT);
            assert_eq!(fixture.ingress(2, &frame(Kind::Ack, client, owned)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Ack, owned, client)), REDIRECT);
        }
    });
}

#[test]
fn an_uplink_that_holds_drops_what_it_cannot_carry() {
    with_fixture(|fixture| {
        let answer = recorded(fixture, 0);
        fixture.uplinks[1].device.up = false;
        fixture.uplinks[1].device.hold = true;
        fixture.sync();
        assert_eq!(fixture.egress(1, &answer), DROP);
        assert_eq!(fixture.count(2, Reason::Held), 1);
        fixture.uplinks[1].device.hold = false;
        fixture.sync();
        assert_eq!(fixture.egress(1, &answer), PASS);
    });
}

#[test]
fn transit_is_neither_recorded_nor_moved() {
    with_fixture(|fixture| {
        for (from, to) in [("203.0.113.9", "198.51.100.7"), ("2001:db8:9::9", "2001:db8:7::7")] {
            for kind in [Kind::Syn, Kind::Ack, Kind::Udp, Kind::EchoRequest, Kind::EchoReply] {
                let packet = frame(kind, (from, 1), (to, 2));
                assert_eq!(fixture.ingress(1, &packet), PASS);
                assert_eq!(fixture.egress_transit(1, 2, &packet), PASS);
            }
        }
        assert!(fixture.flows().is_empty());
    });
}

#[test]
fn a_forwarded_reply_without_a_record_leaves_by_the_owner_of_its_source() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            for kind in [Kind::Ack, Kind::SynAck, Kind::Udp] {
                let answer = frame(kind, owned, client);
                assert_eq!(fixture.egress_forwarded(1, &answer), REDIRECT, "{kind:?}");
                assert_eq!(fixture.egress_forwarded(2, &answer), PASS, "on the owner");
            }
            assert_eq!(fixture.egress_forwarded(1, &frame(Kind::Syn, owned, client)), PASS);
        }
        assert_eq!(fixture.count(2, Reason::RedirectedToOwner), 6);
    });
}

/// R1: main may get a more specific route over another uplink at any age of a connection.
#[test]
fn a_local_segment_without_a_record_leaves_by_the_owner_of_its_source() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            for kind in [Kind::Ack, Kind::SynAck] {
                assert_eq!(fixture.egress(1, &frame(kind, owned, client)), REDIRECT, "{kind:?}");
            }
            for kind in [Kind::Udp, Kind::EchoReply] {
                assert_eq!(fixture.egress(1, &frame(kind, owned, client)), PASS, "{kind:?}");
            }
        }
        assert_eq!(fixture.count(2, Reason::RedirectedToOwner), 4);
    });
    // A connection that the host opened over another uplink than the owner's has a record, which lives
    // as long as the connection, wherever its answers come in.
    with_fixture(|fixture| {
        for (server, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let (server, owned) = ((server.0, 443), (owned.0, 40_000));
            assert_eq!(fixture.egress(1, &frame(Kind::Syn, owned, server)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Ack, owned, server)), PASS);
            fixture.age(TCP_IDLE - seconds(1));
            assert_eq!(fixture.egress(1, &frame(Kind::Ack, owned, server)), PASS);
        }
        assert_eq!(fixture.count(2, Reason::RedirectedToOwner), 0);
    });
}

/// Nothing is recorded there, neither of what comes in nor of what the host opens.
#[test]
fn a_segment_of_the_host_stays_on_an_uplink_whose_replies_are_left_alone() {
    with_fixture(|fixture| {
        fixture.uplinks[0].device.reply = Reply::Off;
        fixture.sync();
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let segment = frame(Kind::Ack, owned, client);
            assert_eq!(fixture.egress(1, &segment), PASS);
            assert_eq!(fixture.egress_forwarded(1, &segment), REDIRECT, "a guest's");
        }
    });
}

/// Records a flow of the shared address on uplink 2 and returns its reply.
fn recorded(fixture: &mut Fixture, family: usize) -> Vec<u8> {
    let (client, shared) = (CLIENT[family], SHARED[family]);
    assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, shared)), PASS);
    let answer = frame(Kind::SynAck, shared, client);
    assert_eq!(fixture.egress(1, &answer), REDIRECT);
    answer
}

#[test]
fn a_target_that_cannot_carry_the_reply_leaves_it_to_the_kernel_and_says_why() {
    with_fixture(|fixture| {
        for family in 0..2 {
            let answer = recorded(fixture, family);

            fixture.uplinks[1].device.up = false;
            fixture.sync();
            assert_eq!(fixture.egress(1, &answer), PASS);
            assert_eq!(fixture.count(2, Reason::UplinkDown), family as u64 + 1);
            fixture.uplinks[1].device.up = true;

            fixture.uplinks[1].device.way_out.v4.resolved = false;
            fixture.uplinks[1].device.way_out.v6.resolved = false;
            fixture.sync();
            assert_eq!(fixture.egress(1, &answer), PASS);
            assert_eq!(fixture.count(2, Reason::NoNextHop), family as u64 + 1);
            fixture.uplinks[1].device.way_out.v4.resolved = true;
            fixture.uplinks[1].device.way_out.v6.resolved = true;
            fixture.sync();
            assert_eq!(fixture.egress(1, &answer), REDIRECT);
        }
    });
}

#[test]
fn a_device_that_took_over_the_id_inherits_no_flow() {
    with_fixture(|fixture| {
        let answer = recorded(fixture, 0);
        fixture.uplinks[1].generation += 1;
        fixture.sync();
        assert_eq!(fixture.egress(1, &answer), PASS);
        assert_eq!(fixture.count(1, Reason::UplinkGone), 1);
    });
}

#[test]
fn a_live_flow_is_not_taken_over_by_another_uplink_but_moves_when_its_own_is_down() {
    with_fixture(|fixture| {
        let answer = recorded(fixture, 0);
        let syn = frame(Kind::Syn, CLIENT[0], SHARED[0]);
        assert_eq!(fixture.ingress(1, &syn), PASS);
        assert_eq!(fixture.count(1, Reason::RebindRefused), 1);
        assert_eq!(fixture.egress(1, &answer), REDIRECT, "still on uplink 2");

        fixture.uplinks[1].device.up = false;
        fixture.sync();
        assert_eq!(fixture.ingress(1, &syn), PASS);
        assert_eq!(fixture.count(1, Reason::Rebound), 1);
        assert_eq!(fixture.egress(1, &answer), PASS, "uplink 1 is right now");
        assert_eq!(fixture.count(2, Reason::UplinkDown), 0);
    });
}

#[test]
fn a_client_on_the_link_needs_no_gateway() {
    with_fixture(|fixture| {
        fixture.uplinks[1].device.way_out.v4.gateway = None;
        fixture.uplinks[1].device.reply = Reply::Gateway;
        fixture.sync();
        let neighbour = ("10.0.2.77", 5000);
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, neighbour, SHARED[0])), PASS);
        assert_eq!(fixture.egress(1, &frame(Kind::Udp, SHARED[0], neighbour)), REDIRECT);
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, CLIENT[0], SHARED[0])), PASS);
        assert_eq!(fixture.egress(1, &frame(Kind::Udp, SHARED[0], CLIENT[0])), PASS);
        assert_eq!(fixture.count(2, Reason::NoNextHop), 1);
    });
}

#[test]
fn an_uplink_whose_replies_are_off_records_nothing() {
    with_fixture(|fixture| {
        fixture.uplinks[1].device.reply = Reply::Off;
        fixture.sync();
        assert_eq!(fixture.ingress(2, &frame(Kind::Syn, CLIENT[0], SHARED[0])), PASS);
        assert!(fixture.flows().is_empty());
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
fn an_interface_that_is_no_uplink_any_more_is_left_alone() {
    with_fixture(|fixture| {
        let answer = recorded(fixture, 0);
        let removed = fixture.uplinks.remove(0);
        fixture.sync();
        fixture.uplinks.insert(0, removed);
        assert_eq!(fixture.egress(1, &answer), PASS);
        assert_eq!(fixture.ingress(1, &frame(Kind::Udp, CLIENT[0], SHARED[0])), PASS);
        assert_eq!(fixture.flows().len(), 1);
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

#[test]
fn a_client_on_any_prefix_of_an_uplinks_link_is_answered_without_a_gateway() {
    with_fixture(|fixture| {
        let device = &mut fixture.uplinks[1].device;
        device.reply = Reply::Gateway;
        device.way_out.v4.resolved = false;
        // More than are compared in line.
        device.on_link = ["10.0.2.0/24", "10.20.0.0/16", "10.30.0.0/16"]
            .map(|prefix| prefix.parse().unwrap())
            .to_vec();
        fixture.sync();
        let exchange = |fixture: &mut Fixture, client: &str| {
            let client = (client, 40_000);
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, SHARED[0])), PASS);
            fixture.egress(1, &frame(Kind::Udp, SHARED[0], client))
        };
        for client in ["10.0.2.77", "10.20.0.9", "10.30.0.9"] {
            assert_eq!(exchange(fixture, client), REDIRECT, "{client}");
        }
        assert_eq!(exchange(fixture, "203.0.113.9"), PASS, "beyond the link");
        assert_eq!(fixture.count(2, Reason::NoNextHop), 1);
    });
}
