//! Which gateway an uplink has.

use super::*;

#[test]
fn gateways_main_before_other_tables_and_low_metric_before_high() {
    let host = Host::new()
        .nic("eth0")
        .address("eth0", "192.0.2.2/24")
        .route_with("eth0", "0.0.0.0/0", Some("192.0.2.3"), 100, 0, 4)
        .default("eth0", "192.0.2.7", 700)
        .default("eth0", "192.0.2.5", 500)
        .route("eth0", "0.0.0.0/1", Some("192.0.2.9"));
    let device = only(&host, "eth0");
    assert_eq!(device.way_out.v4.gateway, Some(ip("192.0.2.5")));
    let order = ["192.0.2.5", "192.0.2.7", "192.0.2.9", "192.0.2.3"].map(ip);
    assert_eq!(device.gateways, order);
}

/// RFC 4191: so the kernel chooses between routers that advertise themselves, whose routes have one metric.
#[test]
fn of_routers_with_one_metric_the_preferred_one_comes_first() {
    let routers = [
        ("fe80::3", RouterPreference::Low),
        ("fe80::2", RouterPreference::Medium),
        ("fe80::1", RouterPreference::High),
    ];
    let mut host = Host::new().nic("eth0").address("eth0", "2001:db8::2/64");
    for (gateway, preference) in routers {
        host = host.route_with("eth0", "::/0", Some(gateway), TABLE_MAIN, 1024, 9);
        host.0.routes.last_mut().unwrap().preference = preference;
    }
    let gateways = |host: &Host| only(host, "eth0").gateways;
    assert_eq!(gateways(&host), ["fe80::1", "fe80::2", "fe80::3"].map(ip));
    // A metric is the administrator's word.
    let low = host.0.routes.iter_mut().find(|r| r.preference == RouterPreference::Low);
    low.unwrap().metric = 100;
    assert_eq!(gateways(&host)[0], ip("fe80::3"));
}

#[test]
fn configured_gateways_come_first_by_family() {
    let host = two_networks();
    let mut config = naming("eth0");
    config.uplinks[0].gateways = vec![ip("fe80::9"), ip("192.168.1.254")];
    let (found, _) = found(&config, &host.0);
    assert_eq!(found[0].way_out.v4.gateway, Some(ip("192.168.1.254")));
    assert_eq!(found[0].way_out.v6.gateway, Some(ip("fe80::9")));
}

#[test]
fn a_gateway_that_fails_gives_way_and_is_unusable_when_it_is_the_only_one() {
    let host = Host::new()
        .nic("eth0")
        .address("eth0", "192.0.2.2/24")
        .default("eth0", "192.0.2.1", 0)
        .neighbour("eth0", "192.0.2.1", NeighbourState::Failed);
    let device = only(&host, "eth0");
    assert_eq!(
        (device.way_out.v4.gateway, device.way_out.v4.usable),
        (Some(ip("192.0.2.1")), false)
    );
    let host = host.default("eth0", "192.0.2.9", 9);
    let device = only(&host, "eth0");
    assert_eq!(
        (device.way_out.v4.gateway, device.way_out.v4.usable),
        (Some(ip("192.0.2.9")), true)
    );
    assert_eq!(device.gateways.len(), 2, "the failed one stays a candidate");
}

#[test]
fn every_next_hop_of_an_ecmp_default_route_is_its_own_uplinks_gateway() {
    let host = Host::new()
        .nic("eth0")
        .nic("eth1")
        .address("eth0", "192.0.2.2/24")
        .address("eth1", "198.51.100.2/24")
        .default("eth0", "192.0.2.1", 0);
    let second = host.hop("eth1", Some("198.51.100.1"));
    let mut host = host;
    host.0.routes.last_mut().unwrap().next_hops.push(second);
    assert_eq!(only(&host, "eth0").way_out.v4.gateway, Some(ip("192.0.2.1")));
    assert_eq!(only(&host, "eth1").way_out.v4.gateway, Some(ip("198.51.100.1")));
}

#[test]
fn via_inet6_is_the_next_hop_of_ipv4() {
    let host = Host::new().nic("eth0").address("eth0", "192.0.2.2/32").route(
        "eth0",
        "0.0.0.0/0",
        Some("fe80::1"),
    );
    let device = only(&host, "eth0");
    assert_eq!((device.way_out.v4.gateway, device.way_out.v6.gateway), (Some(ip("fe80::1")), None));
}
