use crate::config::{Config, Pattern, Selector, UplinkConfig};
use crate::state::desired::{desire, desire_with};
use crate::state::findings::{Finding, Severity, findings};
use crate::state::fixture::{Host, net, rule, two_networks, uplinks};
use crate::state::observed::{Family, Mark, Rule};
use crate::state::place::Moves;
use crate::state::saved_sysctls::SavedSysctls;

const TABLE: u32 = 51_820;

/// wg-quick's rules before ours, for both families.
fn host(priority: u32) -> Host {
    let mut host = two_networks()
        .route_with("eth1", "0.0.0.0/0", None, TABLE, 0, 4)
        .route_with("eth1", "::/0", None, TABLE, 1024, 4);
    for family in Family::BOTH {
        let mark = Some(Mark { value: TABLE, mask: u32::MAX });
        let rule = rule(family, priority, None, TABLE, 3);
        host.0.rules.push(Rule { mark, invert: true, ..rule });
    }
    host
}

fn found(config: &Config, host: &Host) -> Vec<Finding> {
    let uplinks = uplinks(config, &host.0);
    let desired = desire(config, &host.0, &uplinks, &SavedSysctls::default());
    findings(config, &host.0, &uplinks, &desired)
}

fn fixed() -> Config {
    Config { rule_priority_is_fixed: true, ..Config::default() }
}

#[test]
fn a_block_that_went_before_such_a_rule_is_a_notice_not_one_per_family() {
    let all = found(&Config::default(), &host(20_999));
    let [notice] = &all[..] else { panic!("{all:#?}") };
    assert_eq!(notice.severity, Severity::Notice);
    assert_eq!(
        notice.to_string(),
        "prroute's rules for IPv4 and IPv6 sources are at priorities 20899..20998, before rule \
         priority 20999 not from all fwmark 0xca6c lookup 51820 protocol 3, which matches all \
         packets (likely made by wg-quick or NetworkManager, for WireGuard)"
    );
}

#[test]
fn families_that_stand_apart_are_told_apart_in_one_notice() {
    let mut host = host(20_999);
    let of_v6 =
        host.0.rules.iter_mut().find(|rule| rule.table == TABLE && rule.family == Family::V6);
    of_v6.unwrap().priority = 5000;
    let all = found(&Config::default(), &host);
    let [notice] = &all[..] else { panic!("{all:#?}") };
    let expected = "prroute's rules for sources are at priorities 20899..20998 (IPv4) and \
                    4900..4999 (IPv6), before rule";
    assert!(notice.what.starts_with(expected), "{notice}");
}

#[test]
fn a_rule_that_comes_before_ours_is_named_once_with_owner_and_remedy() {
    let all = found(&fixed(), &host(20_999));
    let [warning] = &all[..] else { panic!("{all:#?}") };
    assert_eq!(warning.severity, Severity::Warning);
    assert_eq!(
        warning.to_string(),
        "rule priority 20999 not from all fwmark 0xca6c lookup 51820 protocol 3 (IPv4 and IPv6) \
         matches all packets before prroute's rules do: replies follow it, and do not leave by the \
         uplink that their request came in on (likely made by wg-quick or NetworkManager, for \
         WireGuard); take rule-priority out of the configuration, and prroute puts its rules \
         before it, or set rule-priority to 19999 or less"
    );
    let low = found(&fixed(), &host(110));
    assert!(
        low[0].remedy.as_ref().unwrap().ends_with("and prroute puts its rules before it"),
        "{low:?}"
    );
}

#[test]
fn without_room_and_after_many_moves_the_remedy_is_another_one() {
    let all = found(&Config::default(), &host(100));
    assert!(all[0].remedy.as_ref().unwrap().contains("there are no 100 free"), "{all:?}");
    let (config, host) = (Config::default(), host(20_999));
    let uplinks = uplinks(&config, &host.0);
    let moves = Moves { escape: false, home: false };
    let desired = desire_with(&config, &host.0, &uplinks, &SavedSysctls::default(), moves);
    let all = findings(&config, &host.0, &uplinks, &desired);
    assert!(all[0].remedy.as_ref().unwrap().contains("several times"), "{all:?}");
}

#[test]
fn destinations_that_do_not_move_are_named() {
    let uplink = UplinkConfig {
        to: vec![net("1.1.1.1/32")],
        ..UplinkConfig::new(Selector::Name(Pattern::new("eth1")))
    };
    let config = Config { uplinks: vec![uplink], ..Config::default() };
    let all = found(&config, &host(20_999));
    let ids: Vec<&str> = all.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids, ["moved:table-51820:20899", "catch-all-destinations:table-51820"]);
}

#[test]
fn a_clean_host_has_no_findings() {
    assert!(found(&Config::default(), &two_networks()).is_empty());
    assert!(found(&Config::default(), &host(30_000)).is_empty(), "it is behind ours");
}
