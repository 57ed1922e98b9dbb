//! Devices that stand on an uplink.

use super::*;

/// keepalived with `use_vmac` above the second of two uplinks.
fn with_vmac(kind: &str) -> Host {
    let host = two_networks().link("vrrp.51", Some(kind)).address("vrrp.51", "192.168.2.100/32");
    let lower = host.ifindex("eth1");
    host.change("vrrp.51", |link| link.lower = Some(lower))
}

#[test]
fn what_stands_on_an_uplink_without_a_default_route_counts_as_that_uplink() {
    for kind in ["macvlan", "ipvlan"] {
        let host = with_vmac(kind);
        assert_eq!(names_of(&host), ["eth0", "eth1"]);
        assert_eq!(reason(&host, "vrrp.51"), "");
        let eth1 = only(&host, "eth1");
        assert_eq!(eth1.stacked.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["vrrp.51"]);
        assert!(eth1.addresses.contains(&net("192.168.2.100/32")));
        assert!(only(&host, "eth0").stacked.is_empty());
    }
}

#[test]
fn the_prefix_of_a_stacked_device_is_on_the_link_of_its_uplink() {
    let host = with_vmac("macvlan").address("vrrp.51", "10.7.0.100/24");
    // Neighbours that only the device itself can reach stay its own.
    let host = host.route("vrrp.51", "10.8.0.0/24", None);
    let on_link = only(&host, "eth1").on_link;
    assert!(on_link.contains(&net("10.7.0.0/24")), "{on_link:?}");
    assert!(!on_link.contains(&net("10.8.0.0/24")), "{on_link:?}");
}

#[test]
fn a_stacked_device_with_a_default_route_or_a_name_in_the_configuration_is_an_uplink() {
    let host = with_vmac("macvlan").default("vrrp.51", "192.168.2.1", 300);
    assert_eq!(names_of(&host), ["eth0", "eth1", "vrrp.51"]);
    assert!(only(&host, "eth1").stacked.is_empty());

    let (found, _) = found(&naming("vrrp.51"), &with_vmac("macvlan").0);
    assert_eq!(found.len(), 3);
    assert!(found[1].stacked.is_empty());
}

#[test]
fn a_macvlan_that_is_excluded_a_port_or_on_no_uplink_counts_as_none() {
    let macvlan = with_vmac("macvlan");
    let config = Config { exclude: vec![Pattern::new("vrrp.*")], ..Config::default() };
    assert_eq!(reason_with(&config, &macvlan, "vrrp.51"), "excluded by \"vrrp.*\"");
    assert!(found(&config, &macvlan.0).0.iter().all(|uplink| uplink.stacked.is_empty()));

    let port = with_vmac("macvlan").link("br0", Some("bridge")).port("vrrp.51", "br0");
    assert_eq!(reason(&port, "vrrp.51"), "port of bridge br0");
    assert!(only(&port, "eth1").stacked.is_empty());

    let elsewhere = with_vmac("macvlan").change("vrrp.51", |link| link.lower = None);
    assert_eq!(reason(&elsewhere, "vrrp.51"), "macvlan without a default route of its own");
    assert!(!only(&elsewhere, "eth1").addresses.contains(&net("192.168.2.100/32")));
}
