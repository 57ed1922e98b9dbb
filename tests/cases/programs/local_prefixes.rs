//! Addresses that are local by a route alone.

use prroute_common::reason::Reason;

use super::fixture::{Fixture, PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame};
use super::steering::{CLIENT, OWNED_2};

const PREFIXES: [&str; 2] = ["198.51.100.128/25", "2001:db8:aa::/48"];
const INSIDE: [(&str, u16); 2] = [("198.51.100.129", 443), ("2001:db8:aa:1::9", 443)];
const OUTSIDE: [(&str, u16); 2] = [("198.51.100.127", 443), ("2001:db8:ab::9", 443)];

fn add(fixture: &mut Fixture, prefixes: [&str; 2]) {
    fixture.prefixes = prefixes.map(|prefix| prefix.parse().unwrap()).into();
    fixture.sync();
}

/// What becomes of a reply that routing sends out of uplink 1, after a request over uplink 2.
fn replies(fixture: &mut Fixture, servers: [(&str, u16); 2], port: u16) -> [i32; 4] {
    let mut results = Vec::new();
    for ((client, _), server) in CLIENT.into_iter().zip(servers) {
        for (request, reply) in [(Kind::Syn, Kind::SynAck), (Kind::Udp, Kind::Udp)] {
            assert_eq!(fixture.ingress(2, &frame(request, (client, port), server)), PASS);
            results.push(fixture.egress(1, &frame(reply, server, (client, port))));
        }
    }
    results.try_into().unwrap()
}

#[test]
fn an_address_inside_a_local_prefix_is_shared_and_one_outside_is_not_local() {
    with_fixture(|fixture| {
        assert_eq!(replies(fixture, INSIDE, 1), [PASS; 4], "not local yet");
        assert_eq!(fixture.count(2, Reason::OpenedInbound), 0);
        add(fixture, PREFIXES);
        assert_eq!(replies(fixture, INSIDE, 2), [REDIRECT; 4]);
        assert_eq!(replies(fixture, OUTSIDE, 3), [PASS; 4]);
        assert_eq!(fixture.count(2, Reason::OpenedInbound), 4);
        fixture.prefixes.clear();
        fixture.sync();
        assert_eq!(replies(fixture, INSIDE, 4), [PASS; 4], "not local any more");
    });
}

#[test]
fn an_address_that_an_uplink_has_is_its_own_inside_a_local_prefix_too() {
    with_fixture(|fixture| {
        add(fixture, ["10.0.2.0/24", "fd00:2::/64"]);
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            assert_eq!(fixture.ingress(2, &frame(Kind::Ack, client, owned)), PASS);
            assert_eq!(fixture.egress(2, &frame(Kind::Ack, owned, client)), PASS);
        }
        assert!(fixture.flows().is_empty());
    });
}
