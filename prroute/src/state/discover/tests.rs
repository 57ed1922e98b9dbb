use super::super::fixture::{Host, found, ip, net, two_networks};
use super::super::observed::{NeighbourState, RouterPreference, TABLE_MAIN};
use super::*;
use crate::config::{Pattern, Reply, Selector};

mod gateways;
mod stacked;

fn names_of(host: &Host) -> Vec<String> {
    found(&Config::default(), &host.0).0.into_iter().map(|d| d.name).collect()
}

fn reason(host: &Host, name: &str) -> String {
    reason_with(&Config::default(), host, name)
}

fn reason_with(config: &Config, host: &Host, name: &str) -> String {
    let (_, skipped) = found(config, &host.0);
    skipped.into_iter().find(|s| s.name == name).map_or_else(String::new, |s| s.reason)
}

fn only(host: &Host, name: &str) -> Discovered {
    found(&Config::default(), &host.0).0.into_iter().find(|d| d.name == name).unwrap()
}

fn naming(name: &str) -> Config {
    let uplink = UplinkConfig::new(Selector::Name(Pattern::new(name)));
    Config { uplinks: vec![uplink], ..Config::default() }
}

#[test]
fn nics_with_a_global_address_are_uplinks_also_without_a_default_route() {
    let host = Host::new()
        .nic("eth0")
        .nic("eth1")
        .nic("eth2")
        .address("eth0", "192.0.2.2/24")
        .default("eth0", "192.0.2.1", 0)
        .address("eth1", "198.51.100.2/24")
        .address("eth2", "169.254.7.7/16")
        .address("eth2", "fe80::7/64");
    assert_eq!(names_of(&host), ["eth0", "eth1"]);
    assert_eq!(reason(&host, "eth2"), "no global address");
    assert_eq!(reason(&host, "lo"), "loopback");
    assert_eq!(only(&host, "eth1").way_out.v4.gateway, None);
}

#[test]
fn vlans_and_bonds_are_uplinks_and_ports_are_not() {
    let host = Host::new()
        .nic("eth0")
        .nic("eth1")
        .link("bond0", Some("bond"))
        .link("bond0.5", Some("vlan"))
        .port("eth0", "bond0")
        .port("eth1", "bond0")
        .address("eth0", "192.0.2.2/24")
        .address("bond0", "192.0.2.3/24")
        .address("bond0.5", "198.51.100.3/24");
    assert_eq!(names_of(&host), ["bond0", "bond0.5"]);
    assert_eq!(reason(&host, "eth0"), "port of bond bond0");
}

#[test]
fn a_bridge_needs_a_physical_port_and_a_default_route_of_its_own() {
    let bridges = || {
        Host::new()
            .nic("eth0")
            .link("br0", Some("bridge"))
            .port("eth0", "br0")
            .address("br0", "192.0.2.2/24")
            .link("docker0", Some("bridge"))
            .link("veth1", Some("veth"))
            .port("veth1", "docker0")
            .address("docker0", "172.17.0.1/16")
    };
    assert_eq!(reason(&bridges(), "br0"), "bridge without a default route of its own");
    let host = bridges().default("br0", "192.0.2.1", 0);
    assert_eq!(names_of(&host), ["br0"]);
    assert_eq!(reason(&host, "docker0"), "bridge without a physical port");
    assert_eq!(reason(&host, "veth1"), "port of bridge docker0");
}

#[test]
fn a_veth_counts_when_a_default_route_of_others_uses_it() {
    let veth = || Host::new().link("eth0", Some("veth")).address("eth0", "192.0.2.2/24");
    assert_eq!(reason(&veth(), "eth0"), "veth without a default route of its own");
    assert_eq!(names_of(&veth().default("eth0", "192.0.2.1", 0)), ["eth0"]);
    let other_table = veth().route_with("eth0", "0.0.0.0/0", Some("192.0.2.1"), 100, 0, 4);
    assert_eq!(names_of(&other_table), ["eth0"]);
    let half = veth().route("eth0", "128.0.0.0/1", Some("192.0.2.1"));
    assert_eq!(names_of(&half), ["eth0"]);
    let ours = veth().route_with("eth0", "0.0.0.0/0", Some("192.0.2.1"), 21_001, 0, 213);
    assert_eq!(names_of(&ours), [""; 0]);
}

#[test]
fn tunnels_and_overlays_must_be_named() {
    let host = Host::new().link("wg0", Some("wireguard")).address("wg0", "10.9.0.2/24");
    assert_eq!(reason(&host, "wg0"), "virtual device (wireguard) that no [[uplink]] names");
    let (found, _) = found(&naming("wg*"), &host.0);
    assert_eq!(found.len(), 1);
}

/// IP over InfiniBand: nothing can be sent there by the programs, whatever the configuration says of it.
#[test]
fn a_link_layer_that_is_not_known_is_no_uplink_also_where_it_is_named() {
    let infiniband = |link: &mut Link| {
        (link.link_layer, link.mac) = (LinkLayer::of(32), None);
    };
    let host = two_networks()
        .nic("ib0")
        .change("ib0", infiniband)
        .nic("ib1")
        .change("ib1", infiniband)
        .address("ib0", "203.0.113.2/24")
        .default("ib0", "203.0.113.1", 50);
    assert_eq!(names_of(&host), ["eth0", "eth1"]);
    let expected = "link layer other than Ethernet (InfiniBand)";
    for config in [Config::default(), naming("ib0"), naming("ib*")] {
        assert_eq!(reason_with(&config, &host, "ib0"), expected);
    }
    let (_, skipped) = found(&Config::default(), &host.0);
    let is_notable = |name| {
        let skipped = skipped.iter().find(|skipped| skipped.name == name).unwrap();
        is_notable(&Config::default(), &host.0, skipped)
    };
    assert!(is_notable("ib0") && !is_notable("ib1"), "an address makes the difference");
    let tunnel = host.change("ib0", |link| link.link_layer = LinkLayer::of(65_534));
    assert_eq!(found(&naming("ib0"), &tunnel.0).0.len(), 3);
}

#[test]
fn excluding_overrides_naming_and_loopback_never_counts() {
    let host = two_networks();
    let config = Config { exclude: vec![Pattern::new("eth1")], ..naming("*") };
    let (found, _) = found(&config, &host.0);
    assert_eq!(found.len(), 1);
    assert_eq!(reason_with(&config, &host, "eth1"), "excluded by \"eth1\"");
    assert_eq!(reason_with(&config, &host, "lo"), "loopback");
}

#[test]
fn altnames_are_names() {
    let host = two_networks().change("eth1", |link| link.altnames = vec!["enp2s0".to_owned()]);
    let config = Config { exclude: vec![Pattern::new("enp2*")], ..Config::default() };
    assert_eq!(reason_with(&config, &host, "eth1"), "excluded by \"enp2*\"");
}

#[test]
fn on_link_prefixes_come_from_addresses_and_routes() {
    let host = Host::new()
        .nic("eth0")
        .address("eth0", "192.0.2.2/24")
        .address("eth0", "2001:db8:1::2/64")
        .route("eth0", "203.0.113.0/24", None)
        .route("eth0", "198.18.0.0/15", Some("192.0.2.1"))
        .route_with("eth0", "192.0.2.0/24", None, 100, 0, 4)
        .route_with("eth0", "100.64.0.0/10", None, 100, 0, 4);
    let expected = ["192.0.2.0/24", "203.0.113.0/24", "2001:db8:1::/64"].map(net);
    assert_eq!(only(&host, "eth0").on_link, expected);
}

/// Cloud images: a host address, and a gateway that a route of its own reaches.
#[test]
fn the_on_link_gateway_of_a_host_address() {
    let host = Host::new()
        .nic("eth0")
        .address("eth0", "192.0.2.2/32")
        .route("eth0", "172.31.1.1/32", None)
        .default("eth0", "172.31.1.1", 0);
    let device = only(&host, "eth0");
    assert_eq!(device.way_out.v4.gateway, Some(ip("172.31.1.1")));
    assert_eq!(device.on_link, [net("172.31.1.1/32")]);
}

/// An RA without the on-link flag: the address has a prefix that is no link.
#[test]
fn a_prefix_without_a_route_is_not_on_link() {
    let mut host = Host::new()
        .nic("eth0")
        .address("eth0", "2001:db8:1::2/64")
        .change_address(|address| address.no_prefix_route = true);
    assert_eq!(only(&host, "eth0").on_link, [net("2001:db8:1::/64")], "main still has the route");
    host.0.routes.retain(|route| route.table != TABLE_MAIN);
    assert_eq!(only(&host, "eth0").on_link, []);
}

#[test]
fn tentative_addresses_count_and_duplicates_do_not() {
    let host = Host::new()
        .nic("eth0")
        .address("eth0", "2001:db8:1::2/64")
        .change_address(|address| address.tentative = true)
        .address("eth0", "2001:db8:1::3/64")
        .change_address(|address| address.failed = true);
    assert_eq!(only(&host, "eth0").addresses, [net("2001:db8:1::2/64")]);
}

#[test]
fn up_needs_carrier() {
    let host = two_networks().change("eth1", |link| link.carrier = false);
    assert!(only(&host, "eth0").up);
    assert!(!only(&host, "eth1").up);
}

#[test]
fn a_mac_address_names_the_device_and_neither_ports_nor_what_is_on_top() {
    let mac = [2, 0, 0, 0, 0, 9];
    let uplink = UplinkConfig {
        reply: Reply::Off,
        table: Some(21_900),
        ..UplinkConfig::new(Selector::Mac(mac))
    };
    let config = Config { uplinks: vec![uplink], ..Config::default() };
    let host = Host::new()
        .nic("eth0")
        .link("eth0.5", Some("vlan"))
        .link("bond0", Some("bond"))
        .nic("eth1")
        .port("eth1", "bond0")
        .address("eth0", "192.0.2.2/24")
        .address("eth0.5", "198.51.100.2/24")
        .address("bond0", "203.0.113.2/24");
    let with_mac = |host: Host, names: &[&str]| {
        names.iter().fold(host, |host, name| host.change(name, |link| link.mac = Some(mac)))
    };
    let found = |host: &Host| -> Vec<(String, Reply)> {
        found(&config, &host.0).0.into_iter().map(|d| (d.name, d.reply)).collect()
    };
    let named = |name: &str, reply| (name.to_owned(), reply);
    assert_eq!(
        found(&with_mac(host, &["eth0", "eth0.5"])),
        [named("eth0", Reply::Off), named("eth0.5", Reply::Auto), named("bond0", Reply::Auto)]
    );
    let bonded = Host::new()
        .nic("eth1")
        .link("bond0", Some("bond"))
        .port("eth1", "bond0")
        .address("bond0", "203.0.113.2/24");
    assert_eq!(found(&with_mac(bonded, &["eth1", "bond0"])), [named("bond0", Reply::Off)]);
}

/// What a log says at each start.
#[test]
fn only_what_could_have_been_an_uplink_is_worth_a_word() {
    let host = two_networks()
        .nic("eth2")
        .nic("cable-out")
        .nic("unused")
        .link("docker0", Some("bridge"))
        .link("veth1", Some("veth"))
        .link("wg0", Some("wireguard"))
        .link("tun0", Some("tun"))
        .address("docker0", "172.17.0.1/16")
        .address("wg0", "10.9.0.1/24")
        .address("tun0", "10.8.0.2/24")
        .default("tun0", "10.8.0.1", 50)
        .port("veth1", "docker0")
        .change("cable-out", |link| link.carrier = false)
        .change("unused", |link| link.admin_up = false);
    let config = Config::default();
    let (_, skipped) = found(&config, &host.0);
    let notable: Vec<_> = skipped
        .iter()
        .filter(|skipped| is_notable(&config, &host.0, skipped))
        .map(|skipped| skipped.name.as_str())
        .collect();
    assert_eq!(notable, ["eth2", "tun0"]);
}
