use std::net::IpAddr;

use nix::libc::RTPROT_STATIC;

use super::super::fixture::{Host, ip, net, rule};
use super::super::observed::{NeighbourState, Rule, host_net};
use super::*;
use crate::config::Config;
use crate::state::desired::{Desired, SourceRouting, desire};
use crate::state::saved_sysctls::SavedSysctls;
use crate::state::uplink::Discovered;
use crate::state::uplink::Uplink;

impl Host {
    fn default_from(self, source: &str, name: &str, gateway: &str, metric: u32) -> Self {
        self.way_from(source, "::/0", name, Some(gateway), metric)
    }

    fn way_from(
        mut self,
        source: &str,
        destination: &str,
        name: &str,
        gateway: Option<&str>,
        metric: u32,
    ) -> Self {
        self = self.route_with(name, destination, gateway, TABLE_MAIN, metric, RTPROT_STATIC);
        self.0.routes.last_mut().unwrap().source = Some(net(source));
        self
    }

    fn device(&self, name: &str) -> Discovered {
        let of_name = |uplink: &Uplink| uplink.device.name == name;
        self.uplinks().into_iter().find(of_name).unwrap().device
    }
}

/// Two networks, of which neither has a default route.
fn two_prefixes() -> Host {
    Host::new()
        .nic("eth0")
        .nic("eth1")
        .address("eth0", "2001:db8:1::10/64")
        .address("eth1", "2001:db8:2::10/64")
}

/// Two networks with a source-specific default route each.
fn source_specific() -> Host {
    two_prefixes().default_from("2001:db8:1::/64", "eth0", "2001:db8:1::1", 1024).default_from(
        "2001:db8:2::/64",
        "eth1",
        "2001:db8:2::1",
        1024,
    )
}

fn desired(host: &Host) -> Desired {
    desire(&Config::default(), &host.0, &host.uplinks(), &SavedSysctls::default())
}

/// Addresses that are left to a route of main.
fn left_to_main(host: &Host) -> Vec<(IpAddr, IpNet, String)> {
    let recognised = desired(host).recognised.into_iter();
    let by_route = recognised.filter_map(|found| match found.by {
        SourceRouting::Route { source, device, .. } => Some((found.address, source, device)),
        SourceRouting::Rule { .. } => None,
    });
    by_route.collect()
}

fn has_rules(host: &Host, source: &str) -> bool {
    let is_about = |rule: &Rule| rule.source.is_some_and(|net| net.contains(&host_net(ip(source))));
    desired(host).rules.iter().any(is_about)
}

fn routes(host: &Host, table: u32) -> Vec<String> {
    let routes = desired(host).routes.into_iter();
    let defaults = routes.filter(|r| r.table == table && r.is_default_for_some());
    defaults.map(|route| route.to_string()).collect()
}

#[test]
fn addresses_of_source_specific_defaults_are_left_to_them() {
    let host = source_specific();
    assert_eq!(
        left_to_main(&host),
        [
            (ip("2001:db8:1::10"), net("2001:db8:1::/64"), "eth0".to_owned()),
            (ip("2001:db8:2::10"), net("2001:db8:2::/64"), "eth1".to_owned()),
        ]
    );
    assert!(desired(&host).rules.is_empty());
    let said: Vec<_> = desired(&host).recognised.iter().map(ToString::to_string).collect();
    assert_eq!(
        said[1],
        "2001:db8:2::10: already routed by source (main's route default from 2001:db8:2::/64 via \
         2001:db8:2::1 dev eth1); prroute adds nothing for it"
    );
    // Without one of them its address gets rules again.
    let mut without = source_specific();
    without.0.routes.pop();
    assert!(has_rules(&without, "2001:db8:2::10") && !has_rules(&without, "2001:db8:1::10"));
}

#[test]
fn the_kernel_compares_destinations_before_sources() {
    let host = source_specific();
    assert!(!has_rules(&host.default("eth0", "fe80::1", 1), "2001:db8:2::10"), "::/0 for all");
    let host = source_specific().route("eth0", "2000::/3", Some("fe80::1"));
    assert!(has_rules(&host, "2001:db8:2::10"), "a longer destination for all");
    let host = host.way_from("2001:db8:2::/64", "2000::/3", "eth1", Some("2001:db8:2::1"), 1024);
    assert!(!has_rules(&host, "2001:db8:2::10") && has_rules(&host, "2001:db8:1::10"));
}

#[test]
fn the_longest_source_prefix_decides_and_then_the_metric() {
    let host = two_prefixes()
        .default_from("2001:db8::/32", "eth0", "2001:db8:1::1", 1)
        .default_from("2001:db8:2::/64", "eth1", "2001:db8:2::2", 2000)
        .default_from("2001:db8:2::/64", "eth1", "2001:db8:2::1", 1000);
    let found = desired(&host).recognised;
    assert_eq!(
        found[1].by,
        SourceRouting::Route {
            table: TABLE_MAIN,
            source: net("2001:db8:2::/64"),
            device: "eth1".to_owned(),
            gateway: Some(ip("2001:db8:2::1")),
        }
    );
    assert_eq!(host.device("eth1").way_out.v6.gateway, Some(ip("2001:db8:2::1")));
}

#[test]
fn a_route_that_leads_over_another_uplink_is_none_of_the_address() {
    let host = two_prefixes().default("eth1", "fe80::2", 1024).default_from(
        "2001:db8:2::/64",
        "eth0",
        "2001:db8:1::1",
        1024,
    );
    assert_eq!(left_to_main(&host), []);
    assert!(has_rules(&host, "2001:db8:2::10"));
}

#[test]
fn what_a_rule_of_others_sends_elsewhere_does_not_reach_main() {
    let mut host = source_specific();
    let source = Some(net("2001:db8:2::10/128"));
    host.0.rules.push(rule(Family::V6, 100, source, 77, RTPROT_STATIC));
    assert!(has_rules(&host, "2001:db8:2::10"));
    // Where it asks a table with such a route, it is the one that is recognised.
    let mut host = host.default_from("2001:db8:2::/64", "eth1", "2001:db8:2::1", 1024);
    host.0.routes.last_mut().unwrap().table = 77;
    assert!(!has_rules(&host, "2001:db8:2::10"));
    host.0.routes.last_mut().unwrap().source = Some(net("2001:db8:1::/64"));
    assert!(has_rules(&host, "2001:db8:2::10"), "a route for other sources");
}

#[test]
fn it_is_no_way_out_for_other_sources_of_its_interface() {
    let host = source_specific().address("eth1", "2001:db8:9::10/64").default(
        "eth0",
        "2001:db8:1::1",
        2048,
    );
    assert!(has_rules(&host, "2001:db8:9::10"));
    assert_eq!(
        routes(&host, 21_002),
        [
            "default from 2001:db8:2::/64 via 2001:db8:2::1 dev eth1 table 21002 proto 213 metric 1024"
        ]
    );
    let device = host.device("eth1");
    assert!(device.way_out.v6.only_by_source);
    assert_eq!(device.way_out.v6.gateway, Some(ip("2001:db8:2::1")), "for replies");
    assert_eq!(device.gateways_by_source(), []);
    assert!(!host.device("eth0").way_out.v6.only_by_source);
    assert!(routes(&host, 21_001)[1].starts_with("default via 2001:db8:1::1 dev eth0 "));
}

#[test]
fn a_shared_address_has_a_way_by_every_uplink() {
    let shared = routes(&source_specific().address("lo", "2001:db8:5a::1/128"), 21_000);
    assert_eq!(shared.len(), 2, "{shared:?}");
    assert!(shared.iter().all(|route| !route.contains(" from ")), "{shared:?}");
    // One that main has a route for needs none.
    let of_prefix = source_specific().address("lo", "2001:db8:2::77/128");
    assert!(!has_rules(&of_prefix, "2001:db8:2::77"));
    assert_eq!(routes(&of_prefix, 21_000), Vec::<String>::new());
    let by_route = source_specific().local("2001:db8:2:0:aa::/96");
    assert!(!has_rules(&by_route, "2001:db8:2:0:aa::1"));
}

/// RFC 8028: one link, two routers, each with a prefix of its own.
#[test]
fn each_source_prefix_has_its_gateway() {
    let host = two_prefixes()
        .address("eth1", "2001:db8:3::10/64")
        .default_from("2001:db8:1::/64", "eth0", "fe80::1", 1024)
        .default_from("2001:db8:2::/64", "eth1", "fe80::2", 1024)
        .default_from("2001:db8:3::/64", "eth1", "fe80::3", 1024);
    let by_source = |host: &Host| {
        let known = host.device("eth1").gateways_by_source().into_iter();
        known.map(|known| (known.net, known.gateway)).collect::<Vec<_>>()
    };
    assert_eq!(host.device("eth1").way_out.v6.gateway, Some(ip("fe80::2")));
    assert_eq!(by_source(&host), [(net("2001:db8:3::/64"), ip("fe80::3"))]);
    let gateways = host.device("eth1").gateways;
    assert_eq!(gateways, [ip("fe80::2"), ip("fe80::3")], "both are kept resolved");
    // Beside a gateway for every source it is the one of its prefix alone.
    let host = host.default("eth1", "fe80::9", 4096);
    assert_eq!(host.device("eth1").way_out.v6.gateway, Some(ip("fe80::9")));
    assert_eq!(
        by_source(&host),
        [(net("2001:db8:2::/64"), ip("fe80::2")), (net("2001:db8:3::/64"), ip("fe80::3"))]
    );
    // One that fails serves nobody.
    let host = host.neighbour("eth1", "fe80::2", NeighbourState::Failed);
    assert_eq!(by_source(&host), [(net("2001:db8:3::/64"), ip("fe80::3"))]);
}

#[test]
fn a_preferred_gateway_is_not_hidden_by_a_wider_prefix() {
    let host = source_specific().default_from("2001:db8::/32", "eth1", "fe80::9", 1024);
    let device = host.device("eth1");
    assert_eq!(device.way_out.v6.gateway, Some(ip("2001:db8:2::1")));
    let known: Vec<IpAddr> =
        device.gateways_by_source().iter().map(|known| known.gateway).collect();
    assert_eq!(known, [ip("2001:db8:2::1"), ip("fe80::9")]);
}

#[test]
fn more_prefixes_than_the_datapath_has_room_for_are_named() {
    let host = (1..=5).fold(source_specific(), |host, n| {
        let source = format!("2001:db8:2:0:{n}::/80");
        host.default_from(&source, "eth1", &format!("fe80::{n}"), 1024)
    });
    let undecided = host.device("eth1").undecided;
    assert_eq!(undecided.len(), 2, "{undecided:?}");
    assert!(undecided[0].contains("forwarded replies from 2001:db8:2:0:4::/80"), "{undecided:?}");
}

/// A tunnel's or a container's packets: none of the interface's own.
#[test]
fn a_route_for_sources_of_others_makes_no_uplink() {
    let veth = |source: &str| {
        let host = two_prefixes().link("veth0", Some("veth")).address("veth0", "fd00::1/64");
        host.default_from(source, "veth0", "fd00::2", 1024)
    };
    let is_uplink = |host: Host| host.uplinks().iter().any(|u| u.device.name == "veth0");
    assert!(is_uplink(veth("fd00::/64")));
    assert!(!is_uplink(veth("fd00:17::/64")));
}

#[test]
fn a_way_that_needs_no_gateway_is_one() {
    let host = two_prefixes().default_from("2001:db8:1::/64", "eth0", "fe80::1", 1024).way_from(
        "2001:db8:2::/64",
        "::/0",
        "eth1",
        None,
        1024,
    );
    assert!(!has_rules(&host, "2001:db8:2::10"));
    let device = host.device("eth1");
    assert!(
        device.way_out.v6.direct
            && device.way_out.v6.only_by_source
            && device.way_out.v6.gateway.is_none()
    );
}
