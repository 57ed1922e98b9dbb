use super::*;
use crate::config::Config;
use crate::state::desired::desire;
use crate::state::fixture::{Host, two_networks};
use crate::state::observed::PROTOCOL;
use crate::state::saved_sysctls::SavedSysctls;

fn exported(host: &Host) -> Static {
    let config = Config::default();
    let desired = desire(&config, &host.0, &host.uplinks(), &SavedSysctls::default());
    assert!(!desired.rules.is_empty());
    Static::of(&desired, &host.0, config.ranges)
}

/// `down` takes what has prroute's number, and a start refuses what is in its ranges.
#[test]
fn nothing_of_it_is_prroutes() {
    let ranges = Ranges::default();
    let all = exported(&two_networks());
    for rule in &all.rules {
        assert!(!ranges.has_priority(rule.priority) && !ranges.has_table(rule.table), "{rule}");
        assert_ne!(rule.protocol, PROTOCOL, "{rule}");
    }
    for route in &all.routes {
        assert!(!ranges.has_table(route.table) && route.protocol != PROTOCOL, "{route}");
    }
    let tables: BTreeSet<u32> = all.routes.iter().map(|route| route.table).collect();
    let is_there = |rule: &&Rule| tables.contains(&rule.table) || rule.table == 254;
    assert!(all.rules.iter().all(|rule| is_there(&rule)), "every rule finds its table");
}

#[test]
fn tables_of_others_are_not_filled() {
    let host = two_networks().route_with("eth1", "0.0.0.0/0", None, 20_500, 0, 4);
    assert!(exported(&host).routes.iter().all(|route| route.table < 20_000));
}

#[test]
fn a_batch_has_routes_before_the_rules_that_need_them() {
    let all = exported(&two_networks());
    let text = batch(&all, Family::V4);
    let last_route = text.rfind("route add ").unwrap();
    assert!(last_route < text.find("rule add ").unwrap(), "{text}");
    assert!(text.contains("route add default via 192.168.2.1 dev eth1 table 2000"), "{text}");
    assert!(!text.contains(" nop") && !text.contains(" goto "), "{text}");
    assert!(script(&all).starts_with("#!/bin/sh\nset -e\nip -4 -batch - <<'END'\nroute add "));
}

#[test]
fn a_drop_in_has_the_rules_and_routes_of_its_uplink() {
    let host = two_networks();
    let all = exported(&host);
    let drop_ins = drop_ins(&all, &host.uplinks());
    let [first, second] = &drop_ins[..] else { panic!("{drop_ins:#?}") };
    assert_eq!((first.device.as_str(), second.device.as_str()), ("eth0", "eth1"));
    let text = &second.text;
    assert!(text.contains("Gateway=192.168.2.1\n") && !text.contains("192.168.1."), "{text}");
    assert!(text.contains("[RoutingPolicyRule]\nPriority=20020\nFrom=192.168.2.0/24\nIncomingInterface=lo\nTable=254\nSuppressPrefixLength=1\n"), "{text}");
    let count = |word: &str| drop_ins.iter().map(|it| it.text.matches(word).count()).sum::<usize>();
    assert_eq!(count("[Route]"), all.routes.len());
    assert_eq!(count("[RoutingPolicyRule]"), all.rules.len());
}

#[test]
fn what_only_the_programs_do_is_told() {
    let host = two_networks().address("lo", "198.51.100.1/32");
    let uplinks = host.uplinks();
    let config = Config::default();
    let desired = desire(&config, &host.0, &uplinks, &SavedSysctls::default());
    let said = left_out(&desired, &uplinks, config.ranges);
    assert!(said[0].starts_with("replies from 198.51.100.1/32, which "), "{said:?}");
    assert!(said[1].contains("containers"), "{said:?}");
}
