use bytemuck::Zeroable as _;
use prroute_common::address::{address4, address6};

use super::*;

const BOTH_LAST_HOP: u32 = flag::LAST_HOP4 | flag::LAST_HOP6;
const BOTH_GATEWAYS: u32 = flag::GATEWAY4 | flag::GATEWAY6;

/// An uplink with router `n` as gateway of both families.
fn by_gateway(n: u8) -> UplinkFacts {
    UplinkFacts { flags: BOTH_GATEWAYS, ..awaiting(n) }
}

/// Router `n` is known, and has no link-layer address.
fn awaiting(n: u8) -> UplinkFacts {
    let IpAddr::V4(v4) = gateway4(n) else { unreachable!() };
    let IpAddr::V6(v6) = gateway6(n) else { unreachable!() };
    UplinkFacts {
        id: 2,
        generation: 1,
        gateway4: address4(v4.octets()),
        gateway6: address6(v6.octets()),
        ..UplinkFacts::zeroed()
    }
}

/// No gateway is known.
fn by_last_hop() -> UplinkFacts {
    UplinkFacts { id: 2, generation: 1, flags: BOTH_LAST_HOP, ..UplinkFacts::zeroed() }
}

fn gateway4(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 2, n])
}

fn gateway6(n: u8) -> IpAddr {
    IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, u16::from(n)])
}

/// `router` and no other has a link-layer address.
fn resolved(router: u8) -> impl Fn(IpAddr) -> bool {
    move |address| [gateway4(router), gateway6(router)].contains(&address)
}

fn auto(old: Option<UplinkFacts>, new: UplinkFacts, router: u8) -> UplinkFacts {
    succeed(old.as_ref(), new, Reply::Auto, resolved(router))
}

#[test]
fn a_gateway_that_changes_is_followed_when_the_new_one_is_resolved() {
    assert_eq!(auto(Some(by_gateway(1)), awaiting(3), 1), by_gateway(1));
    assert_eq!(auto(Some(by_gateway(1)), by_gateway(3), 1), by_gateway(3));
}

#[test]
fn a_default_route_that_goes_leaves_its_gateway_to_fall_back_on() {
    let between = auto(Some(by_gateway(1)), by_last_hop(), 1);
    assert_eq!(between.flags, BOTH_LAST_HOP | BOTH_GATEWAYS);
    let in_force = [(Family::V4, gateway4(1)), (Family::V6, gateway6(1))];
    assert_eq!(gateways(&between).collect::<Vec<_>>(), in_force);
    // It comes back with another gateway, and then that one answers.
    let awaiting_another = auto(Some(between), awaiting(3), 1);
    assert_eq!(awaiting_another, between);
    assert_eq!(auto(Some(awaiting_another), by_gateway(3), 3), by_gateway(3));
}

#[test]
fn last_hop_goes_on_until_a_gateway_is_resolved() {
    for old in [None, Some(by_last_hop())] {
        assert_eq!(auto(old, awaiting(1), 9).flags, BOTH_LAST_HOP);
        assert_eq!(auto(old, by_gateway(1), 1), by_gateway(1));
    }
}

#[test]
fn a_gateway_that_fails_is_replaced_by_nothing() {
    assert_eq!(auto(Some(by_gateway(1)), awaiting(1), 9), awaiting(1));
    assert_eq!(auto(Some(awaiting(1)), awaiting(1), 9), awaiting(1));
    // Nor does the one before stay when it fails.
    assert_eq!(auto(Some(by_gateway(1)), awaiting(3), 9), awaiting(3));
    assert_eq!(auto(Some(by_gateway(1)), by_last_hop(), 9), by_last_hop());
}

#[test]
fn another_device_inherits_no_way() {
    let other = UplinkFacts { generation: 2, ..by_last_hop() };
    assert_eq!(auto(Some(by_gateway(1)), other, 1), other);
}

#[test]
fn what_the_configuration_says_is_no_old_way() {
    for reply in [Reply::Gateway, Reply::Off] {
        let new = succeed(Some(&by_last_hop()), awaiting(1), reply, resolved(9));
        assert_eq!(new, awaiting(1), "{reply:?}");
    }
}

#[test]
fn an_ipv6_gateway_of_ipv4_is_kept_as_one() {
    let via6 = |n: u8| UplinkFacts {
        flags: by_gateway(n).flags | flag::GATEWAY4_IS_V6,
        gateway4: 0,
        gateway4_via6: by_gateway(n).gateway6,
        ..by_gateway(n)
    };
    assert_eq!(auto(Some(via6(1)), awaiting(3), 1), via6(1));
    assert_eq!(auto(Some(via6(1)), by_gateway(3), 1), by_gateway(3));
}
