use super::super::super::fixture::two_networks;
use super::*;
use crate::config::{OnDown, Pattern, Selector, UplinkConfig};

const ALL_OF_MAIN: &str =
    "ip rule add priority 21040 from 203.0.113.1/32 iif lo lookup main protocol 213";
const NO_DEFAULT: &str = "ip rule add priority 21040 from 203.0.113.1/32 iif lo lookup main \
                          suppress_prefixlength 1 protocol 213";

fn with_shared_address() -> Host {
    two_networks().address("lo", "203.0.113.1/32")
}

fn first_rule_of_shared(host: &Host) -> Vec<String> {
    with(host, "priority 21040 from 203.0.113.1")
}

#[test]
fn a_shared_address_does_not_wait_for_the_default_route_that_failed() {
    assert_eq!(first_rule_of_shared(&with_shared_address()), [ALL_OF_MAIN]);
    let without_carrier = with_shared_address().change("eth0", |link| link.carrier = false);
    assert_eq!(first_rule_of_shared(&without_carrier), [NO_DEFAULT]);
    let failed = NeighbourState::Failed;
    let silent = with_shared_address().neighbour("eth0", "192.168.1.1", failed);
    assert_eq!(first_rule_of_shared(&silent), [NO_DEFAULT]);
}

#[test]
fn what_main_prefers_decides_and_not_the_other_way_out() {
    let failed = NeighbourState::Failed;
    let host = with_shared_address().neighbour("eth1", "192.168.2.1", failed);
    assert_eq!(first_rule_of_shared(&host), [ALL_OF_MAIN]);
}

#[test]
fn an_uplink_that_holds_its_packets_keeps_them() {
    let host = with_shared_address().change("eth0", |link| link.carrier = false);
    let eth0 = UplinkConfig {
        on_down: Some(OnDown::Hold),
        ..UplinkConfig::new(Selector::Name(Pattern::new("eth0")))
    };
    let config = Config { uplinks: vec![eth0], ..Config::default() };
    let uplinks = crate::state::fixture::uplinks(&config, &host.0);
    let desired = desire(&config, &host.0, &uplinks, &SavedSysctls::default());
    let rules: Vec<String> = desired.rules.iter().map(ToString::to_string).collect();
    let shared = "priority 21040 from 203.0.113.1/32 iif lo lookup main protocol 213";
    assert!(rules.iter().any(|rule| rule == shared), "{rules:#?}");
}

#[test]
fn a_default_route_over_what_is_no_uplink_is_the_administrators_business() {
    let mut host = with_shared_address().link("tun0", Some("tun")).default("tun0", "10.8.0.1", 1);
    host = host.change("tun0", |link| link.carrier = false);
    assert!(host.uplinks().iter().all(|uplink| uplink.device.name != "tun0"));
    assert_eq!(first_rule_of_shared(&host), [ALL_OF_MAIN]);
}
