//! A gateway of its own for each subnet of an uplink.

use prroute::state::uplink::SubnetGateway;

use super::awkward::fragment;
use super::fixture::{Fixture, PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame};
use super::steering::{CLIENT, OWNED_2};

const GATEWAYS: [(&str, &str); 2] = [("10.0.2.0/24", "10.0.2.3"), ("fd00:2::/64", "fd00:2::3")];

fn with_subnet_gateways(fixture: &mut Fixture) {
    let gateways = GATEWAYS.map(|(net, gateway)| SubnetGateway {
        net: net.parse().unwrap(),
        gateway: gateway.parse().unwrap(),
        usable: true,
        resolved: true,
    });
    fixture.uplinks[1].device.subnet_gateways = gateways.to_vec();
    fixture.sync();
}

/// Its SYN goes where the kernel sends it, and a gateway that tracks connections wants the rest too.
#[test]
fn a_connection_that_a_guest_opens_leaves_by_one_gateway() {
    with_fixture(|fixture| {
        with_subnet_gateways(fixture);
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let segment = |kind| frame(kind, owned, client);
            assert_eq!(fixture.egress_forwarded(2, &segment(Kind::Ack)), REDIRECT, "published");
            assert_eq!(fixture.egress_forwarded(2, &segment(Kind::Syn)), PASS);
            assert_eq!(fixture.ingress(2, &frame(Kind::SynAck, client, owned)), PASS);
            for _ in 0..3 {
                assert_eq!(fixture.egress_forwarded(2, &segment(Kind::Ack)), PASS);
            }
        }
    });
}

/// A rule has chosen their router: main has a route to the client that is more specific than a default one.
#[test]
fn fragments_of_the_hosts_own_leave_by_one_router() {
    with_fixture(|fixture| {
        with_subnet_gateways(fixture);
        let (client, owned) = (CLIENT[0], OWNED_2[0]);
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, owned)), PASS);
        let reply = frame(Kind::Udp, owned, client);
        let later = fragment(reply.clone(), 64, false);
        assert_eq!(fixture.egress(2, &fragment(reply.clone(), 0, true)), PASS);
        assert_eq!(fixture.egress(2, &later), PASS);
        // No rule has chosen for a guest's.
        assert_eq!(fixture.egress_forwarded(2, &fragment(reply, 0, true)), REDIRECT);
        assert_eq!(fixture.egress_forwarded(2, &later), REDIRECT);
    });
}
