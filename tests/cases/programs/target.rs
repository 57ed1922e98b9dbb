//! The uplink that a reply is sent to: whether it can carry it, and what happens when it changes.

use prroute::config::Reply;
use prroute_common::reason::Reason;

use super::fixture::{DROP, Fixture, PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame};
use super::steering::{CLIENT, OWNED_2, SHARED};

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
