use super::super::fixture::{Host, ip, net, rule, two_networks};
use super::super::observed::Family;
use super::*;

fn of(host: &Host) -> Sources {
    sources(Ranges::default(), &host.0, &host.uplinks())
}

fn recognised(host: &Host) -> Vec<(IpAddr, u32, u32)> {
    let all = of(host).recognised.into_iter();
    let by_rule = all.map(|found| match found.by {
        SourceRouting::Rule { priority, table } => (found.address, priority, table),
        SourceRouting::Route { .. } => panic!("{found}"),
    });
    by_rule.collect()
}

fn owned(host: &Host) -> Vec<IpNet> {
    of(host).owned.iter().map(|source| source.net).collect()
}

/// A rule as `ip rule add` makes it.
fn with_rule(mut host: Host, priority: u32, table: u32, selector: impl FnOnce(&mut Rule)) -> Host {
    let mut rule = rule(Family::V4, priority, None, table, 3);
    selector(&mut rule);
    host.0.rules.push(rule);
    host
}

fn from(source: &str) -> impl FnOnce(&mut Rule) {
    let source = net(source);
    move |rule| {
        rule.family = Family::of_net(&source);
        rule.source = Some(source);
    }
}

/// The blog's host, before and after its rules: two tables, `from` and `iif` rules.
fn first_seed() -> Host {
    Host::new()
        .nic("eth0")
        .nic("eth1")
        .address("eth0", "10.255.254.45/24")
        .address("eth1", "10.255.72.230/22")
        .default("eth0", "10.255.254.1", 100)
        .default("eth1", "10.255.72.1", 101)
}

#[test]
fn the_rules_of_the_first_seed_are_recognised() {
    assert_eq!(owned(&first_seed()), ["10.255.254.0/24", "10.255.72.0/22"].map(net));
    let mut host = first_seed()
        .route_with("eth0", "10.255.254.0/24", None, 1, 0, 3)
        .route_with("eth1", "10.255.72.0/22", None, 2, 0, 3)
        .route_with("eth0", "0.0.0.0/0", Some("10.255.254.1"), 1, 0, 3)
        .route_with("eth1", "0.0.0.0/0", Some("10.255.72.1"), 2, 0, 3);
    for (priority, table, source) in [(32_765, 1, "10.255.254.45"), (32_763, 2, "10.255.72.230")] {
        host = with_rule(host, priority, table, from(&format!("{source}/32")));
    }
    for (priority, table, device) in [(32_764, 1, "eth0"), (32_762, 2, "eth1")] {
        host = with_rule(host, priority, table, |rule| rule.iif = Some(device.to_owned()));
    }
    assert_eq!(
        recognised(&host),
        [(ip("10.255.72.230"), 32_763, 2), (ip("10.255.254.45"), 32_765, 1)]
    );
    assert_eq!(owned(&host), []);
}

/// The Debian cloud image: the second interface on the same subnet has a rule and a table, for
/// both families; the first one goes by main.
#[test]
fn the_rules_of_the_third_seed_are_recognised() {
    let secondary = "2600:1f14:eeb:2203:ac24:6708:2ab9:75a3";
    let mut host = Host::new()
        .nic("ens5")
        .nic("ens6")
        .address("ens5", "10.0.0.129/24")
        .address("ens6", "10.0.0.204/24")
        .address("ens5", "2600:1f14:eeb:2203:454a:fcbd:485d:73ef/128")
        .address("ens6", &format!("{secondary}/128"))
        .default("ens5", "10.0.0.1", 0)
        .default("ens6", "10.0.0.1", 3)
        .default("ens5", "fe80::8f:53ff:fe6f:64ef", 1024)
        .default("ens6", "fe80::8f:53ff:fe6f:64ef", 1025)
        .route_with("ens6", "0.0.0.0/0", Some("10.0.0.1"), 10_003, 0, 3)
        .route_with("ens6", "10.0.0.0/24", None, 10_003, 0, 3)
        .route_with("ens6", "::/0", Some("fe80::8f:53ff:fe6f:64ef"), 10_003, 1024, 3);
    host = with_rule(host, 10_003, 10_003, from("10.0.0.204/32"));
    host = with_rule(host, 10_003, 10_003, from(&format!("{secondary}/128")));
    assert_eq!(
        recognised(&host),
        [(ip("10.0.0.204"), 10_003, 10_003), (ip(secondary), 10_003, 10_003)]
    );
    // Not the subnet: the other interface's address is in it.
    let first = ["10.0.0.129/32", "2600:1f14:eeb:2203:454a:fcbd:485d:73ef/128"].map(net);
    assert_eq!(owned(&host), first);
}

/// The collector on EC2: netplan's tables 10 and 20, rules of priority 0, a `to` rule.
#[test]
fn the_rules_of_the_fourth_seed_are_recognised() {
    let mut host = Host::new()
        .nic("private")
        .nic("public")
        .address("private", "10.224.184.51/26")
        .address("public", "10.224.186.43/26")
        .default("public", "10.224.186.1", 0)
        .route_with("private", "0.0.0.0/0", Some("10.224.184.1"), 10, 0, 4)
        .route_with("private", "10.224.184.0/26", None, 10, 0, 4)
        .route_with("public", "0.0.0.0/0", Some("10.224.186.1"), 20, 0, 4)
        .route_with("public", "10.224.186.0/26", None, 20, 0, 4);
    host = with_rule(host, 0, 20, from("10.224.186.43/32"));
    host = with_rule(host, 0, 10, from("10.224.184.51/32"));
    host = with_rule(host, 0, 10, |rule| rule.destination = Some(net("1.1.1.1/32")));
    assert_eq!(recognised(&host), [(ip("10.224.184.51"), 0, 10), (ip("10.224.186.43"), 0, 20)]);
    assert_eq!(owned(&host), []);
    let gateways: Vec<_> = host.uplinks().iter().map(|u| u.device.way_out.v4.gateway).collect();
    assert_eq!(gateways, [Some(ip("10.224.184.1")), Some(ip("10.224.186.1"))]);
}

#[test]
fn a_rule_that_is_never_reached_is_not_equivalent() {
    let host = first_seed().route_with("eth1", "0.0.0.0/0", Some("10.255.72.1"), 2, 0, 3);
    for (priority, expected) in [(32_765, 1), (32_766, 0), (40_000, 0)] {
        let mut host = Host(host.0.clone());
        host = with_rule(host, priority, 2, from("10.255.72.230/32"));
        assert_eq!(recognised(&host).len(), expected, "{priority}");
    }
}

/// What an earlier configuration of ours left outside the present range.
#[test]
fn our_own_rules_are_nobody_elses() {
    let mut host = first_seed().route_with("eth1", "0.0.0.0/0", Some("10.255.72.1"), 5002, 0, 213);
    host = with_rule(host, 5030, 5002, |rule| {
        rule.source = Some(net("10.255.72.0/22"));
        rule.protocol = PROTOCOL;
    });
    assert_eq!(recognised(&host), []);
}

#[test]
fn a_local_prefix_is_shared_but_for_what_uplinks_own_in_it() {
    let host = two_networks().local("192.0.2.0/24");
    assert_eq!(of(&host).shared, ["192.0.2.0/24"].map(net));
    assert_eq!(owned(&host), owned(&two_networks()));

    // All but the uplink's address, which has its own rules and no longer its prefix.
    let host = two_networks().local("192.168.2.8/30");
    assert_eq!(of(&host).shared, ["192.168.2.8/31", "192.168.2.11/32"].map(net));
    assert!(owned(&host).contains(&net("192.168.2.10/32")), "{:?}", owned(&host));
}

#[test]
fn a_local_prefix_that_others_route_by_source_is_left_to_them() {
    let host = with_rule(two_networks().local("192.0.2.0/24"), 1_000, 100, from("192.0.2.0/23"));
    assert!(of(&host).shared.is_empty());
    assert_eq!(recognised(&host), [(ip("192.0.2.0"), 1_000, 100)]);
}

#[test]
fn a_device_on_an_uplink_does_not_contest_its_prefix() {
    let stacked = |lower: &str| {
        let host = first_seed().link("vrrp", Some("macvlan")).address("vrrp", "10.255.72.100/22");
        let lower = host.ifindex(lower);
        host.change("vrrp", |link| link.lower = Some(lower))
    };
    let contested = |host: &Host| of(host).owned.iter().any(|source| !source.contested.is_empty());
    assert!(!contested(&stacked("eth1")));
    assert!(contested(&stacked("eth0")), "two uplinks on one subnet");
    assert_eq!(owned(&stacked("eth1")), owned(&first_seed()));
}
