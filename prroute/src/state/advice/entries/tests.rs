use super::super::advise;
use crate::config::{Config, Pattern, Reply, Selector, UplinkConfig};
use crate::state::fixture::{Host, two_networks};

fn named(name: &str) -> UplinkConfig {
    UplinkConfig::new(Selector::Name(Pattern::new(name)))
}

fn warnings(uplinks: Vec<UplinkConfig>, host: &Host) -> Vec<String> {
    advise(&Config { uplinks, ..Config::default() }, &host.0).warnings
}

#[test]
fn a_gateway_that_is_this_host_is_named() {
    let entry = UplinkConfig { gateways: vec!["192.168.2.10".parse().unwrap()], ..named("eth1") };
    assert_eq!(
        warnings(vec![entry], &two_networks().address("eth1", "192.168.2.10/24")),
        [
            "[[uplink]] eth1: gateway 192.168.2.10 is an address of this host itself, on eth1: it is \
          passed over; give the router's address"
        ]
    );
}

#[test]
fn what_is_no_way_out_is_named() {
    let host = two_networks()
        .link("br0", Some("bridge"))
        .link("docker0", Some("bridge"))
        .address("docker0", "172.17.0.1/16")
        .nic("eth2");
    let bridge = host.0.links.iter().find(|link| link.name == "br0").unwrap().ifindex;
    let host = host.change("eth2", |port| port.master = Some(bridge));
    assert_eq!(
        warnings(vec![named("lo"), named("docker0"), named("eth2")], &host),
        [
            "[[uplink]] lo: lo is the loopback interface, which is never an uplink",
            "[[uplink]] docker0: docker0 is a bridge without a physical port: behind it are \
             containers or virtual machines of this host, whose replies prroute would no longer \
             move; remove this entry",
            "[[uplink]] eth2: eth2 is a port of bridge br0, which has the addresses: name br0 \
             instead",
        ]
    );
    // A bridge that the default route uses is one, and nobody means the loopback interface.
    let host = two_networks().link("br0", Some("bridge")).address("br0", "192.168.3.10/24");
    let host = host.default("br0", "192.168.3.1", 300);
    assert_eq!(warnings(vec![named("br0"), named("l*")], &host), [""; 0]);
}

#[test]
fn settings_that_another_entry_hides_are_named() {
    let quiet = |selector| UplinkConfig { reply: Reply::Off, ..UplinkConfig::new(selector) };
    let host = two_networks();
    let mac = host.0.links[1].mac.unwrap();
    let all = || Selector::Name(Pattern::new("eth*"));
    let said = warnings(vec![quiet(all()), UplinkConfig::new(Selector::Mac(mac))], &host);
    assert_eq!(
        said,
        ["eth0 is named by two [[uplink]] entries, 02:00:00:00:00:02 and eth*: only \
          02:00:00:00:00:02 counts for it, and the other's settings do not"]
    );
    // A pattern that only makes uplinks of what it matches loses nothing.
    assert_eq!(warnings(vec![UplinkConfig::new(all()), quiet(Selector::Mac(mac))], &host), [""; 0]);
}

#[test]
fn too_few_uplinks_are_named_with_the_reason() {
    let exclude =
        |pattern: &str| Config { exclude: vec![Pattern::new(pattern)], ..Config::default() };
    let end = "prroute changes nothing until there are two uplinks";
    assert_eq!(
        advise(&exclude("eth*"), &two_networks().0).warnings,
        [format!("exclude matches all interfaces that could be uplinks (eth0, eth1): {end}")]
    );
    assert_eq!(
        advise(&exclude("eth1"), &two_networks().0).warnings,
        [format!("exclude leaves eth0 alone of eth0 and eth1: {end}")]
    );
    let nothing = Host::new();
    assert_eq!(
        advise(&Config::default(), &nothing.0).warnings,
        [format!("no uplink is found on this host: {end}")]
    );
}
