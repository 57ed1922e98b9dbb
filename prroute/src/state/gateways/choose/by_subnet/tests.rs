use super::*;
use crate::config::{Config, OnDown, Pattern, Ranges, Selector, UplinkConfig};
use crate::state::desired::{Desired, desire};
use crate::state::fixture::{Host, ip, net, uplinks};
use crate::state::observed::{NeighbourState, Route, RouteKind, Rule};
use crate::state::saved_sysctls::SavedSysctls;
use crate::state::subnet_tables::tables;

/// An uplink with main's default, and one with two subnets and their gateways.
fn two_subnets() -> Host {
    Host::new()
        .nic("eth0")
        .nic("eth1")
        .address("eth0", "192.168.1.10/24")
        .address("eth1", "10.1.0.10/24")
        .address("eth1", "10.2.0.10/24")
        .address("eth1", "2001:db8:1::10/64")
        .address("eth1", "2001:db8:2::10/64")
        .default("eth0", "192.168.1.1", 0)
        .default("eth1", "10.1.0.1", 100)
        .default("eth1", "10.2.0.1", 200)
        .default("eth1", "2001:db8:1::1", 100)
        .default("eth1", "2001:db8:2::1", 200)
}

fn of(host: &Host) -> Vec<(IpNet, IpAddr, bool)> {
    let uplink = host.uplinks().into_iter().find(|uplink| uplink.device.name == "eth1").unwrap();
    let subnets = uplink.device.subnet_gateways.iter();
    subnets.map(|subnet| (subnet.net, subnet.gateway, subnet.usable)).collect()
}

fn undecided(host: &Host) -> Vec<String> {
    host.uplinks().into_iter().flat_map(|uplink| uplink.device.undecided).collect()
}

fn desired(host: &Host) -> Desired {
    desire(&Config::default(), &host.0, &host.uplinks(), &SavedSysctls::default())
}

/// The gateway by which packets of a source leave that reach the last of its rules.
fn way_out(desired: &Desired, source: &str) -> Option<IpAddr> {
    let asks = |rule: &&Rule| {
        rule.source.is_some_and(|net| net.contains(&host_net(ip(source))))
            && rule.suppress_prefix_length.is_none()
            && rule.destination.is_none()
    };
    let table = desired.rules.iter().find(asks)?.table;
    let is_default = |route: &&Route| {
        route.table == table && route.is_default() && route.family() == Family::of(&ip(source))
    };
    desired.routes.iter().find(is_default)?.next_hops.first()?.gateway
}

#[test]
fn each_subnet_goes_by_the_gateway_that_lies_in_it() {
    let host = two_subnets();
    assert_eq!(
        of(&host),
        [
            (net("10.2.0.0/24"), ip("10.2.0.1"), true),
            (net("2001:db8:2::/64"), ip("2001:db8:2::1"), true)
        ]
    );
    assert!(undecided(&host).is_empty());
    let desired = desired(&host);
    for (source, gateway) in [
        ("10.1.0.10", "10.1.0.1"),
        ("10.2.0.10", "10.2.0.1"),
        ("2001:db8:1::10", "2001:db8:1::1"),
        ("2001:db8:2::10", "2001:db8:2::1"),
    ] {
        assert_eq!(way_out(&desired, source), Some(ip(gateway)), "{source}");
    }
}

#[test]
fn an_address_without_a_subnet_goes_by_the_gateway_of_the_subnet_around_it() {
    let host = two_subnets().address("eth1", "10.2.0.99/32").address("eth1", "10.9.0.9/32");
    let desired = desired(&host);
    assert_eq!(way_out(&desired, "10.2.0.99"), Some(ip("10.2.0.1")));
    assert_eq!(way_out(&desired, "10.9.0.9"), Some(ip("10.1.0.1")));
}

#[test]
fn a_prefix_around_both_subnets_is_no_source_of_both() {
    let host = two_subnets().route("eth1", "10.0.0.0/8", None);
    let desired = desired(&host);
    assert_eq!(way_out(&desired, "10.1.0.10"), Some(ip("10.1.0.1")));
    assert_eq!(way_out(&desired, "10.2.0.10"), Some(ip("10.2.0.1")));
}

#[test]
fn of_several_gateways_of_a_subnet_the_first_that_resolves_serves_it() {
    let host = || two_subnets().default("eth1", "10.2.0.2", 300);
    assert_eq!(of(&host())[0], (net("10.2.0.0/24"), ip("10.2.0.1"), true));
    let failed = host().neighbour("eth1", "10.2.0.1", NeighbourState::Failed);
    assert_eq!(of(&failed)[0], (net("10.2.0.0/24"), ip("10.2.0.2"), true));
    let both = failed.neighbour("eth1", "10.2.0.2", NeighbourState::Failed);
    assert_eq!(of(&both)[0], (net("10.2.0.0/24"), ip("10.2.0.1"), false));
    assert_eq!(way_out(&desired(&both), "10.2.0.10"), Some(ip("10.1.0.1")), "the preferred one");
}

#[test]
fn while_the_preferred_gateway_fails_another_subnets_is_preferred() {
    let host = two_subnets().neighbour("eth1", "10.1.0.1", NeighbourState::Failed);
    assert_eq!(of(&host)[0], (net("10.1.0.0/24"), ip("10.1.0.1"), false));
    let desired = desired(&host);
    assert_eq!(way_out(&desired, "10.1.0.10"), Some(ip("10.2.0.1")));
    assert_eq!(way_out(&desired, "10.2.0.10"), Some(ip("10.2.0.1")));
}

#[test]
fn one_subnet_with_several_gateways_is_as_it_was() {
    let host = two_subnets().default("eth0", "192.168.1.2", 50);
    let eth0 = host.uplinks().into_iter().find(|uplink| uplink.device.name == "eth0").unwrap();
    assert!(eth0.device.subnet_gateways.is_empty());
}

#[test]
fn what_cannot_be_decided_is_said_and_left_to_the_preferred_gateway() {
    let overlapping = two_subnets().address("eth1", "10.2.0.77/16");
    assert_eq!(of(&overlapping).len(), 1, "IPv6 only");
    assert_eq!(
        undecided(&overlapping),
        ["eth1: the subnets 10.2.0.0/24 and 10.2.0.0/16 overlap: gateway 10.2.0.1 is not used"]
    );

    let nameless = Host::new()
        .nic("eth0")
        .nic("eth1")
        .address("eth0", "192.168.1.10/24")
        .address("eth1", "2001:db8:1::10/64")
        .address("eth1", "2001:db8:2::10/64")
        .default("eth0", "192.168.1.1", 0)
        .default("eth1", "fe80::1", 100)
        .default("eth1", "fe80::2", 200);
    assert!(of(&nameless).is_empty());
    assert_eq!(
        undecided(&nameless),
        [
            "eth1: it is not known which subnet each of the gateways fe80::1, fe80::2 is for: one of \
          them serves all subnets without a gateway of their own"
        ]
    );

    let mut many = two_subnets();
    for n in 3..=5 {
        many = many.address("eth1", &format!("10.{n}.0.10/24"));
        many = many.default("eth1", &format!("10.{n}.0.1"), 100 * n);
    }
    assert_eq!(
        undecided(&many),
        ["eth1: more than 3 subnets with a gateway of their own: forwarded replies from \
          10.5.0.0/24 go by the preferred gateway"]
    );
    assert_eq!(way_out(&desired(&many), "10.5.0.10"), Some(ip("10.5.0.1")));
}

#[test]
fn the_table_of_a_subnet_is_nobody_elses_and_stays_while_others_come_and_go() {
    let ranges = Ranges::default();
    let host = two_subnets();
    let all = tables(ranges, &host.uplinks());
    assert_eq!(all.len(), 2);
    for table in all.values() {
        assert!(ranges.fixed_tables().contains(table), "{table}");
    }
    let id = host.uplinks()[1].id;
    let table = all[&(id, net("10.2.0.0/24"))];
    let more = two_subnets().address("eth1", "10.3.0.10/24").default("eth1", "10.3.0.1", 300);
    assert_eq!(tables(ranges, &more.uplinks())[&(id, net("10.2.0.0/24"))], table);

    let fixed = UplinkConfig {
        table: Some(table),
        ..UplinkConfig::new(Selector::Name(Pattern::new("eth0")))
    };
    let config = Config { uplinks: vec![fixed], ..Config::default() };
    let moved = tables(ranges, &uplinks(&config, &host.0));
    assert_ne!(moved[&(id, net("10.2.0.0/24"))], table, "the administrator's number");
}

#[test]
fn a_subnet_of_an_uplink_that_holds_its_packets_holds_them_too() {
    let hold = UplinkConfig {
        on_down: Some(OnDown::Hold),
        ..UplinkConfig::new(Selector::Name(Pattern::new("eth1")))
    };
    let config = Config { uplinks: vec![hold], ..Config::default() };
    let host = two_subnets();
    let uplinks = uplinks(&config, &host.0);
    let desired = desire(&config, &host.0, &uplinks, &SavedSysctls::default());
    for (_, table) in tables(Ranges::default(), &uplinks) {
        let holds = |route: &&Route| route.table == table && route.kind == RouteKind::UNREACHABLE;
        assert_eq!(desired.routes.iter().filter(holds).count(), 1, "table {table}");
    }
}
