use super::super::fixture::{Host, ip, two_networks};
use super::*;

fn owners(host: &Host) -> Vec<(IpAddr, Option<u16>)> {
    let all = local_addresses(&host.0, &host.uplinks());
    all.into_iter().map(|l| (l.address, l.owner.map(|id| id.0))).collect()
}

#[test]
fn an_address_is_owned_by_the_one_uplink_that_has_it() {
    assert_eq!(
        owners(&two_networks()),
        [
            (ip("192.168.1.10"), Some(1)),
            (ip("192.168.2.10"), Some(2)),
            (ip("2001:db8:1::10"), Some(1)),
            (ip("2001:db8:2::10"), Some(2)),
        ]
    );
}

#[test]
fn addresses_of_the_host_of_several_uplinks_and_of_other_devices_have_no_owner() {
    let host = two_networks()
        .link("docker0", Some("bridge"))
        .link("dummy0", Some("dummy"))
        .address("lo", "198.51.100.1/32")
        .address("dummy0", "198.51.100.2/32")
        .address("eth0", "198.51.100.3/32")
        .address("eth1", "198.51.100.3/32")
        .address("eth0", "198.51.100.4/32")
        .address("lo", "198.51.100.4/32")
        .address("docker0", "172.17.0.1/16")
        .address("eth0", "fe80::5/64")
        .address("eth0", "169.254.1.1/16");
    let owners = owners(&host);
    for shared in ["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4", "172.17.0.1"] {
        assert!(owners.contains(&(ip(shared), None)), "{shared}");
    }
    assert_eq!(owners.len(), 9, "no loopback, no link-local: {owners:?}");
}

#[test]
fn local_routes_are_prefixes_where_they_say_more_than_the_addresses() {
    let host = two_networks()
        .local("192.0.2.0/24")
        .local("192.0.3.0/24")
        .local("198.51.100.7/32")
        .local("2001:db8:77::/64")
        // Of an address, of loopback, link-local, and everything.
        .local("192.168.1.10/32")
        .local("127.0.0.0/8")
        .local("::1/128")
        .local("fe80::/64")
        .local("::/0");
    let prefixes = ["192.0.2.0/23", "198.51.100.7/32", "2001:db8:77::/64"];
    assert_eq!(local_prefixes(&host.0), prefixes.map(|text| text.parse().unwrap()));
    assert_eq!(owners(&host), owners(&two_networks()));
}
