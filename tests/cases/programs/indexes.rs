//! Uplinks are found by their interface index, wherever in the table it lies.

use prroute_common::reason::Reason;

use super::fixture::{Fixture, PASS, REDIRECT, with};
use super::frames::{Kind, frame};

const CLIENT: (&str, u16) = ("203.0.113.9", 40_000);
const SHARED: (&str, u16) = ("192.0.2.80", 443);

#[test]
fn an_uplink_is_found_whose_place_another_one_has_or_had() {
    with(Fixture::with_colliding_indexes, |fixture| {
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, CLIENT, SHARED)), PASS);
        assert_eq!(fixture.count(2, Reason::OpenedInbound), 1);
        assert_eq!(fixture.egress(1, &frame(Kind::Udp, SHARED, CLIENT)), REDIRECT);
        let first = fixture.uplinks.remove(0);
        fixture.sync();
        fixture.uplinks.insert(0, first);
        let other = (CLIENT.0, 40_001);
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, other, SHARED)), PASS);
        assert_eq!(fixture.count(2, Reason::OpenedInbound), 2, "the first one is gone");
    });
}
