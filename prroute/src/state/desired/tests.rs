mod configuration;
mod connections;
mod failed_default;
mod observe;
mod rp_filter;

use ipnet::IpNet;

use super::super::diff::diff;
use super::super::fixture::{Host, ip, net, two_networks};
use super::super::plan::{Op, Plan};
use super::*;
use crate::state::observed::{LinkLayer, NeighbourState};
use crate::state::saved_sysctls::SavedSysctls;

fn desired(host: &Host) -> Desired {
    desire(&Config::default(), &host.0, &host.uplinks(), &SavedSysctls::default())
}

fn plan(host: &Host) -> Plan {
    diff(&Config::default(), &desired(host), &host.0).unwrap()
}

fn commands(host: &Host) -> Vec<String> {
    plan(host).to_string().lines().map(str::to_owned).collect()
}

/// Commands that contain a text.
fn with(host: &Host, text: &str) -> Vec<String> {
    commands(host).into_iter().filter(|command| command.contains(text)).collect()
}

/// The host of the first seed: two NICs, two networks.
#[test]
fn golden_two_networks() {
    let host = two_networks().change("eth1", |link| link.rp_filter = Some(1));
    assert_eq!(
        plan(&host).to_string(),
        "\
sysctl -w net/ipv4/conf/eth1/rp_filter=2
ip neigh replace 192.168.1.1 dev eth0 managed protocol 213
ip neigh replace fe80::1 dev eth0 managed protocol 213
ip neigh replace 192.168.2.1 dev eth1 managed protocol 213
ip neigh replace fe80::2 dev eth1 managed protocol 213
ip route add 192.168.1.0/24 dev eth0 table 21001 proto 213 scope link
ip -6 route add 2001:db8:1::/64 dev eth0 table 21001 proto 213 metric 1024
ip route add 192.168.2.0/24 dev eth1 table 21002 proto 213 scope link
ip -6 route add 2001:db8:2::/64 dev eth1 table 21002 proto 213 metric 1024
ip route add default via 192.168.1.1 dev eth0 table 21001 proto 213
ip route add default via 192.168.2.1 dev eth1 table 21002 proto 213
ip -6 route add default via fe80::1 dev eth0 table 21001 proto 213 metric 1024
ip -6 route add default via fe80::2 dev eth1 table 21002 proto 213 metric 1024
ip rule add priority 21000 from all nop protocol 213
ip rule add priority 21020 from 192.168.1.0/24 iif lo lookup main suppress_prefixlength 1 protocol 213
ip rule add priority 21020 from 192.168.2.0/24 iif lo lookup main suppress_prefixlength 1 protocol 213
ip rule add priority 21030 from 192.168.1.0/24 iif lo lookup 21001 protocol 213
ip rule add priority 21030 from 192.168.2.0/24 iif lo lookup 21002 protocol 213
ip -6 rule add priority 21000 from all nop protocol 213
ip -6 rule add priority 21020 from 2001:db8:1::/64 iif lo lookup main suppress_prefixlength 3 protocol 213
ip -6 rule add priority 21020 from 2001:db8:2::/64 iif lo lookup main suppress_prefixlength 3 protocol 213
ip -6 rule add priority 21030 from 2001:db8:1::/64 iif lo lookup 21001 protocol 213
ip -6 rule add priority 21030 from 2001:db8:2::/64 iif lo lookup 21002 protocol 213
"
    );
}

#[test]
fn golden_shared_address() {
    let host = Host::new()
        .nic("eth0")
        .nic("eth1")
        .address("eth0", "192.168.1.10/24")
        .address("eth1", "192.168.2.10/24")
        .address("lo", "198.51.100.1/32")
        .default("eth0", "192.168.1.1", 0)
        .default("eth1", "192.168.2.1", 100);
    assert_eq!(
        plan(&host).to_string(),
        "\
ip neigh replace 192.168.1.1 dev eth0 managed protocol 213
ip neigh replace 192.168.2.1 dev eth1 managed protocol 213
ip route add 192.168.1.0/24 dev eth0 table 21001 proto 213 scope link
ip route add 192.168.2.0/24 dev eth1 table 21002 proto 213 scope link
ip route add default via 192.168.1.1 dev eth0 onlink table 21000 proto 213 metric 101
ip route add default via 192.168.1.1 dev eth0 table 21001 proto 213
ip route add default via 192.168.2.1 dev eth1 onlink table 21000 proto 213 metric 102
ip route add default via 192.168.2.1 dev eth1 table 21002 proto 213
ip rule add priority 21000 from all nop protocol 213
ip rule add priority 21020 from 192.168.1.0/24 iif lo lookup main suppress_prefixlength 1 protocol 213
ip rule add priority 21020 from 192.168.2.0/24 iif lo lookup main suppress_prefixlength 1 protocol 213
ip rule add priority 21030 from 192.168.1.0/24 iif lo lookup 21001 protocol 213
ip rule add priority 21030 from 192.168.2.0/24 iif lo lookup 21002 protocol 213
ip rule add priority 21040 from 198.51.100.1/32 iif lo lookup main protocol 213
ip rule add priority 21050 from 198.51.100.1/32 iif lo lookup 21000 protocol 213
"
    );
}

#[test]
fn golden_two_uplinks_on_one_subnet() {
    let host = Host::new()
        .nic("eth0")
        .nic("eth1")
        .address("eth0", "10.0.0.2/24")
        .address("eth1", "10.0.0.3/24")
        .default("eth0", "10.0.0.1", 0);
    assert_eq!(
        plan(&host).to_string(),
        "\
ip neigh replace 10.0.0.1 dev eth0 managed protocol 213
ip route add 10.0.0.0/24 dev eth0 table 21001 proto 213 scope link
ip route add 10.0.0.0/24 dev eth1 table 21002 proto 213 scope link
ip route add default via 10.0.0.1 dev eth0 table 21001 proto 213
ip rule add priority 21000 from all nop protocol 213
ip rule add priority 21010 from 10.0.0.2/32 to 10.0.0.0/24 iif lo lookup 21001 protocol 213
ip rule add priority 21010 from 10.0.0.3/32 to 10.0.0.0/24 iif lo lookup 21002 protocol 213
ip rule add priority 21020 from 10.0.0.2/32 iif lo lookup main suppress_prefixlength 1 protocol 213
ip rule add priority 21020 from 10.0.0.3/32 iif lo lookup main suppress_prefixlength 1 protocol 213
ip rule add priority 21030 from 10.0.0.2/32 iif lo lookup 21001 protocol 213
ip rule add priority 21030 from 10.0.0.3/32 iif lo lookup 21002 protocol 213
"
    );
}

#[test]
fn fewer_than_two_uplinks_change_nothing() {
    let host = Host::new()
        .nic("eth0")
        .address("eth0", "192.0.2.2/24")
        .default("eth0", "192.0.2.1", 0)
        .change("eth0", |link| link.rp_filter = Some(1));
    assert_eq!(desired(&host), Desired::default());
}

#[test]
fn a_prefix_with_anybody_elses_address_gives_single_addresses() {
    let host = two_networks()
        .link("docker0", Some("bridge"))
        .address("docker0", "192.168.2.129/25")
        .address("eth0", "192.168.1.11/24");
    let sources = with(&host, "21030");
    assert!(sources.iter().any(|rule| rule.contains("from 192.168.1.0/24 ")), "{sources:?}");
    assert!(sources.iter().any(|rule| rule.contains("from 192.168.2.10/32 ")), "{sources:?}");
    assert_eq!(sources.iter().filter(|rule| rule.starts_with("ip rule")).count(), 2);
}

/// A bridge inside an uplink's subnet must stay reachable from the uplink's address.
#[test]
fn a_more_specific_route_of_main_inside_the_subnet_stays_in_force() {
    let host =
        two_networks().link("docker0", Some("bridge")).address("docker0", "192.168.2.129/25");
    assert_eq!(with(&host, "priority 21010"), [""; 0]);
}

#[test]
fn the_same_prefix_on_an_interface_that_is_no_uplink_is_contested_too() {
    let host = two_networks().link("br0", Some("bridge")).address("br0", "192.168.2.77/24");
    assert_eq!(
        with(&host, "priority 21010"),
        ["ip rule add priority 21010 from 192.168.2.10/32 to 192.168.2.0/24 iif lo lookup 21002 \
          protocol 213"]
    );
}

#[test]
fn prefixes_of_one_uplink_inside_each_other_are_one_source() {
    let host = two_networks().address("eth0", "192.168.1.200/28");
    assert_eq!(with(&host, "priority 21030 from 192.168.1").len(), 1);
}

#[test]
fn a_prefix_as_short_as_a_default_route_is_no_source() {
    let host = two_networks().address("eth0", "130.0.0.1/1");
    assert_eq!(with(&host, "priority 21030 from 130.0.0.1/32 ").len(), 1);
}

#[test]
fn a_downed_uplink_keeps_its_rules_and_has_no_routes() {
    let host = two_networks().change("eth1", |link| link.carrier = false);
    assert_eq!(with(&host, "route add").iter().filter(|c| c.contains("eth1")).count(), 0);
    assert_eq!(with(&host, "neigh").iter().filter(|c| c.contains("eth1")).count(), 0);
    assert_eq!(with(&host, "lookup 21002").len(), 2);
}

#[test]
fn an_uplink_without_a_gateway_has_its_on_link_prefixes_only() {
    let host = Host::new()
        .nic("eth0")
        .nic("eth1")
        .address("eth0", "192.0.2.2/24")
        .default("eth0", "192.0.2.1", 0)
        .address("eth1", "198.51.100.2/24");
    assert_eq!(
        with(&host, "table 21002"),
        ["ip route add 198.51.100.0/24 dev eth1 table 21002 proto 213 scope link"]
    );
}

#[test]
fn gateways_off_the_link_are_reached_onlink() {
    let host = two_networks()
        .nic("eth2")
        .address("eth2", "203.0.113.9/32")
        .default("eth2", "172.31.1.1", 300)
        .nic("eth3")
        .address("eth3", "203.0.113.10/32")
        .route("eth3", "0.0.0.0/0", Some("fe80::1"));
    assert_eq!(
        with(&host, "default via 172.31.1.1"),
        ["ip route add default via 172.31.1.1 dev eth2 onlink table 21003 proto 213"]
    );
    assert_eq!(
        with(&host, "default via inet6"),
        ["ip -4 route add default via inet6 fe80::1 dev eth3 table 21004 proto 213"]
    );
}

/// Two uplinks on one subnet, and the second one has lost its IPv6 address.
#[test]
fn a_gateway_on_the_link_of_another_uplink_only_is_no_way_out() {
    let host = Host::new()
        .nic("eth0")
        .nic("eth1")
        .address("eth0", "10.0.0.2/24")
        .address("eth1", "10.0.0.3/24")
        .address("eth0", "2001:db8::2/64")
        .address("eth1", "fe80::3/64")
        .default("eth0", "10.0.0.1", 0)
        .default("eth0", "2001:db8::1", 1024)
        .default("eth1", "2001:db8::1", 2048);
    let ways = with(&host, "route add default via 2001:db8::1");
    assert_eq!(ways.len(), 1, "{ways:?}");
    assert!(ways[0].contains("dev eth0 table 21001"), "{ways:?}");
}

#[test]
fn a_default_route_without_a_gateway_is_copied() {
    let host =
        two_networks().nic("ppp0").address("ppp0", "203.0.113.9/32").change("ppp0", |link| {
            (link.mac, link.link_layer) = (None, LinkLayer::None);
            link.noarp = true;
        });
    let host = host.route("ppp0", "0.0.0.0/0", None);
    assert_eq!(
        with(&host, "table 21003"),
        ["ip route add default dev ppp0 table 21003 proto 213 scope link"]
    );
    assert_eq!(with(&host, "neigh").len(), 4, "nothing to resolve on ppp0");
}

#[test]
fn a_dead_gateway_is_no_way_out_for_shared_addresses() {
    let host = two_networks().address("lo", "198.51.100.1/32").neighbour(
        "eth0",
        "192.168.1.1",
        NeighbourState::Failed,
    );
    let shared = with(&host, "table 21000");
    assert_eq!(shared.len(), 1, "{shared:?}");
    assert!(shared[0].contains("eth1"));
    assert_eq!(with(&host, "default via 192.168.1.1 dev eth0 table 21001").len(), 1);
}

#[test]
fn fixed_neighbours_and_those_of_others_are_left() {
    let mut host = two_networks()
        .neighbour("eth0", "192.168.1.1", NeighbourState::Fixed)
        .neighbour("eth1", "192.168.2.1", NeighbourState::Resolved);
    host.0.neighbours[1].managed = true;
    host.0.neighbours[1].protocol = 4;
    assert_eq!(with(&host, "neigh").len(), 2, "only IPv6");
}

#[test]
fn equivalent_rules_of_others_are_recognised_and_not_doubled() {
    let host = two_networks()
        .route_with("eth1", "0.0.0.0/0", Some("192.168.2.1"), 102, 0, 4)
        .rule(1000, "192.168.2.10/32", 102)
        .address("eth1", "192.168.2.11/24");
    let desired = desired(&host);
    assert_eq!(
        desired.recognised,
        [Recognised {
            address: ip("192.168.2.10"),
            by: SourceRouting::Rule { priority: 1000, table: 102 }
        }]
    );
    let sources: Vec<IpNet> =
        desired.rules.iter().filter(|r| r.priority == 21_030).filter_map(|r| r.source).collect();
    assert!(sources.contains(&net("192.168.2.11/32")), "{sources:?}");
    assert!(
        !sources.contains(&net("192.168.2.0/24")) && !sources.contains(&net("192.168.2.10/32"))
    );
}

#[test]
fn rules_that_lead_elsewhere_are_not_equivalent() {
    let leads_elsewhere = two_networks()
        .route_with("eth0", "0.0.0.0/0", Some("192.168.1.1"), 102, 0, 4)
        .rule(1000, "192.168.2.10/32", 102);
    let mut has_conditions = two_networks()
        .route_with("eth1", "0.0.0.0/0", Some("192.168.2.1"), 102, 0, 4)
        .rule(1000, "192.168.2.10/32", 102);
    has_conditions.0.rules.last_mut().unwrap().other = true;
    let mut has_target = two_networks()
        .route_with("eth1", "0.0.0.0/0", Some("192.168.2.1"), 102, 0, 4)
        .rule(1000, "192.168.2.10/32", 102);
    has_target.0.rules.last_mut().unwrap().destination = Some(net("10.0.0.0/8"));
    for host in [leads_elsewhere, has_conditions, has_target] {
        assert_eq!(desired(&host).recognised, []);
        assert_eq!(with(&host, "priority 21030 from 192.168.2.0/24 ").len(), 1);
    }
}
