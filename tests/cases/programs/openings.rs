//! Connections to an address that one uplink owns: a SYN that comes in there is only noted, and
//! recorded when somebody asks.

use prroute::state::uplink::UplinkId;
use prroute_common::address::EXPOSURE;
use prroute_common::flow::{OTHER_IDLE, TCP_REBIND_IDLE, UNCONFIRMED_IDLE};
use prroute_common::reason::Reason;
use prroute_common::time::seconds;

use super::fixture::{Fixture, PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame};
use super::steering::{CLIENT, OWNED_2};

const SECOND: u32 = seconds(1);

/// A connection to an address of uplink 2 that came in on uplink 1.
pub(crate) fn connect_elsewhere(fixture: &mut Fixture, client: (&str, u16), owned: (&str, u16)) {
    assert_eq!(fixture.ingress(1, &frame(Kind::Syn, client, owned)), PASS);
    assert_eq!(fixture.egress(2, &frame(Kind::SynAck, owned, client)), REDIRECT);
    assert_eq!(fixture.ingress(1, &frame(Kind::Ack, client, owned)), PASS);
}

/// A client, the address of uplink 2 that it asks, and its SYN.
type Conversation = ((&'static str, u16), (&'static str, u16), Vec<u8>);

/// One of each family, whose SYN came in on the owner.
fn conversations(fixture: &mut Fixture) -> Vec<Conversation> {
    let mut all = Vec::new();
    for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
        let opening = frame(Kind::Syn, client, owned);
        assert_eq!(fixture.ingress(2, &opening), PASS);
        all.push((client, owned, opening));
    }
    all
}

#[test]
fn a_connection_that_stays_on_the_owner_has_no_entry() {
    with_fixture(|fixture| {
        for (client, owned, opening) in conversations(fixture) {
            assert_eq!(fixture.ingress(2, &opening), PASS, "sent again");
            assert_eq!(fixture.egress(2, &frame(Kind::SynAck, owned, client)), PASS);
            assert_eq!(fixture.ingress(2, &frame(Kind::Ack, client, owned)), PASS);
            assert_eq!(fixture.egress(2, &frame(Kind::Ack, owned, client)), PASS);
        }
        assert!(fixture.flows().is_empty());
        assert_eq!(fixture.count(2, Reason::OpenedInbound), 0);
    });
}

#[test]
fn what_leaves_elsewhere_goes_to_the_owner_and_has_an_entry_from_then_on() {
    for (first, confirmed) in [(Kind::SynAck, false), (Kind::Ack, true)] {
        with_fixture(move |fixture| {
            for (client, owned, _) in conversations(fixture) {
                let answer = frame(first, owned, client);
                assert_eq!(fixture.egress(1, &answer), REDIRECT, "{first:?}");
                let [flow] = fixture.flows().try_into().unwrap();
                assert!(flow.opened_inbound && flow.confirmed == confirmed, "{flow:?}");
                assert_eq!(flow.uplink, UplinkId(2));
                assert_eq!(fixture.egress(1, &frame(Kind::Ack, owned, client)), REDIRECT);
                fixture.forget_flows();
            }
            assert_eq!(fixture.count(2, Reason::OpenedInbound), 2);
        });
    }
}

#[test]
fn a_connection_that_nobody_asked_about_is_forgotten() {
    with_fixture(|fixture| {
        let all = conversations(fixture);
        fixture.age(UNCONFIRMED_IDLE + SECOND);
        for (client, owned, _) in all {
            // To the owner all the same, as every segment without a record.
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, owned, client)), REDIRECT);
        }
        assert_eq!(fixture.count(2, Reason::RedirectedToOwner), 2);
        assert!(fixture.flows().is_empty());
    });
}

#[test]
fn the_first_of_two_syns_decides_while_it_is_young() {
    with_fixture(|fixture| {
        for (client, owned, opening) in conversations(fixture) {
            assert_eq!(fixture.ingress(1, &opening), PASS);
            let accepts = frame(Kind::SynAck, owned, client);
            assert_eq!(fixture.egress(2, &accepts), PASS, "not to who came second");
            assert_eq!(fixture.egress(1, &accepts), REDIRECT);
        }
        assert_eq!(fixture.count(1, Reason::RebindRefused), 2);
        assert_eq!(fixture.count(2, Reason::Redirected), 2);
    });
    with_fixture(|fixture| {
        let all = conversations(fixture);
        fixture.age(TCP_REBIND_IDLE + SECOND);
        for (client, owned, opening) in all {
            assert_eq!(fixture.ingress(1, &opening), PASS);
            let accepts = frame(Kind::SynAck, owned, client);
            assert_eq!(fixture.egress(2, &accepts), REDIRECT, "its network moved");
        }
        assert_eq!(fixture.count(1, Reason::Rebound), 2);
    });
}

#[test]
fn a_connection_on_the_same_ports_takes_over_the_entry_of_the_last_one() {
    with_fixture(|fixture| {
        for (client, owned, opening) in conversations(fixture) {
            for _ in 0..2 {
                fixture.age(OTHER_IDLE);
                assert_eq!(fixture.ingress(2, &opening), PASS);
                for kind in [Kind::SynAck, Kind::Ack] {
                    let answer = frame(kind, owned, client);
                    assert_eq!(fixture.egress(1, &answer), REDIRECT, "{kind:?}");
                }
            }
        }
        assert_eq!(fixture.count(2, Reason::OpenedInbound), 4);
        assert_eq!(fixture.flows().len(), 2);
    });
}

/// What is known of the last one's numbers is not the new one's, also where the first packet that is looked at is
/// a steady one.
#[test]
fn a_connection_on_the_same_ports_is_taken_up_by_its_first_segment_too() {
    with_fixture(|fixture| {
        for (client, owned, _) in conversations(fixture) {
            for kind in [Kind::SynAck, Kind::Ack] {
                assert_eq!(fixture.egress(1, &frame(kind, owned, client)), REDIRECT, "{kind:?}");
            }
        }
        assert_eq!(fixture.count(2, Reason::Confirmed), 2);
        fixture.age(EXPOSURE + SECOND);
        let all = conversations(fixture);
        for (client, owned, _) in all {
            let exposes = frame(Kind::Udp, (client.0, 9), owned);
            assert_eq!(fixture.ingress(1, &exposes), PASS);
            assert_eq!(fixture.ingress(2, &frame(Kind::Ack, client, owned)), PASS);
        }
        assert_eq!(fixture.count(2, Reason::OpenedInbound), 4, "each of the connections");
    });
}

#[test]
fn the_uplink_of_a_young_connection_may_fall_out() {
    with_fixture(|fixture| {
        let all = conversations(fixture);
        fixture.uplinks[1].device.up = false;
        fixture.sync();
        for (client, owned, opening) in all {
            assert_eq!(fixture.ingress(1, &opening), PASS, "its network moved");
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, owned, client)), PASS);
            assert_eq!(fixture.egress(2, &frame(Kind::SynAck, owned, client)), REDIRECT);
        }
        assert_eq!(fixture.count(1, Reason::Rebound), 2);
    });
}

#[test]
fn a_new_daemon_knows_what_was_noted() {
    with_fixture(|fixture| {
        conversations(fixture);
        let noted = fixture.noted();
        fixture.load_again();
        // To load takes longer than a word counts, where a processor is emulated.
        fixture.forget_openings();
        conversations(fixture);
        assert_eq!(fixture.noted(), noted, "the same words for the same connections");
    });
}

#[test]
fn an_address_may_come_to_be_shared_while_a_connection_is_young() {
    with_fixture(|fixture| {
        let all = conversations(fixture);
        for local in &mut fixture.locals {
            local.owner = None;
        }
        fixture.sync();
        for (client, owned, _) in all {
            assert_eq!(fixture.egress(1, &frame(Kind::SynAck, owned, client)), REDIRECT);
        }
    });
}

/// R3: who forges a SYN with the ports of the host's own connection does not get its packets, also
/// when nothing was heard of it for long.
#[test]
fn a_syn_takes_nothing_from_the_hosts_own_connection() {
    with_fixture(|fixture| {
        let pairs: Vec<_> = CLIENT.into_iter().zip(OWNED_2).collect();
        for (server, owned) in &pairs {
            assert_eq!(fixture.egress(1, &frame(Kind::Syn, *owned, *server)), PASS);
            assert_eq!(fixture.ingress(1, &frame(Kind::SynAck, *server, *owned)), PASS);
        }
        fixture.age(EXPOSURE + SECOND);
        conversations(fixture);
        assert_eq!(fixture.noted().len(), 2);
        for (server, owned) in &pairs {
            for _ in 0..2 {
                assert_eq!(fixture.egress(1, &frame(Kind::Ack, *owned, *server)), PASS);
            }
        }
        assert_eq!(fixture.count(2, Reason::OpenedInbound), 0);
        assert!(fixture.flows().iter().all(|flow| !flow.opened_inbound));
    });
}
