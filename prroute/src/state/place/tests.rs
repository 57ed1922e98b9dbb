use super::*;
use crate::config::UplinkConfig;
use crate::state::desired::{Desired, desire_with};
use crate::state::diff::diff;
use crate::state::fixture::{Host, carry_out, crowd, many, net, rule, two_networks, uplinks};
use crate::state::observed::Mark;
use crate::state::saved_sysctls::SavedSysctls;
use crate::state::undo::undo;

/// The table of wg-quick, which has its number for a mark.
const TABLE: u32 = 51_820;

/// A default route in others' table, of both families.
fn with_exit(host: Host) -> Host {
    host.route_with("eth1", "0.0.0.0/0", None, TABLE, 0, 3)
        .route_with("eth1", "::/0", None, TABLE, 1024, 3)
}

/// The priority that the kernel gives a rule without one (`fib_default_rule_pref`).
fn unasked(host: &Host, family: Family) -> u32 {
    let mut priorities: Vec<u32> =
        host.0.rules.iter().filter(|r| r.family == family).map(|r| r.priority).collect();
    priorities.sort_unstable();
    priorities[1] - 1
}

/// `wg-quick up`: two rules without a priority, for each family.
fn wg_quick(host: &mut Host) {
    for family in Family::BOTH {
        let all_but = Some(Mark { value: TABLE, mask: u32::MAX });
        let catch_all = rule(family, unasked(host, family), None, TABLE, 3);
        host.0.rules.push(Rule { mark: all_but, invert: true, ..catch_all });
        let specific = rule(family, unasked(host, family), None, 254, 3);
        host.0.rules.push(Rule { suppress_prefix_length: Some(0), ..specific });
    }
}

fn wg_quick_down(host: &mut Host) {
    host.0.rules.retain(|rule| rule.protocol != 3);
}

fn desired(config: &Config, host: &Host, moves: Moves) -> Desired {
    let uplinks = uplinks(config, &host.0);
    desire_with(config, &host.0, &uplinks, &SavedSysctls::default(), moves)
}

/// A round of the daemon, and one more that must have nothing to do. Where the blocks are then.
fn round(config: &Config, host: &mut Host, moves: Moves) -> Vec<u32> {
    let first = desired(config, host, moves);
    carry_out(&diff(config, &first, &host.0).unwrap(), &mut host.0);
    let second = desired(config, host, moves);
    let rest = diff(config, &second, &host.0).unwrap();
    assert!(rest.is_empty(), "still to do:\n{rest}");
    second.places.iter().map(|place| place.first).collect()
}

fn places(host: &Host) -> Vec<Place> {
    desired(&Config::default(), host, Moves::default()).places
}

fn fixed(rule_priority: u32) -> Config {
    let ranges = crate::config::Ranges { rule_priority, ..Config::default().ranges };
    Config { ranges, rule_priority_is_fixed: true, ..Config::default() }
}

#[test]
fn without_such_a_rule_the_block_is_in_our_range() {
    let mut host = two_networks();
    assert_eq!(round(&Config::default(), &mut host, Moves::default()), [21_000, 21_000]);
    assert!(places(&host).iter().all(|place| place.home && place.stays.is_none()));
}

#[test]
fn rules_without_a_priority_come_before_our_range() {
    let mut host = with_exit(two_networks());
    round(&Config::default(), &mut host, Moves::default());
    wg_quick(&mut host);
    let others = host.0.rules.iter().filter(|rule| rule.protocol == 3);
    let mut priorities: Vec<u32> = others.map(|rule| rule.priority).collect();
    priorities.dedup();
    assert_eq!(priorities, [20_999, 20_998, 20_999, 20_998]);
}

#[test]
fn the_block_goes_before_wg_quick_and_stays_there() {
    let mut host = with_exit(two_networks());
    let config = Config::default();
    round(&config, &mut host, Moves::default());
    wg_quick(&mut host);
    assert_eq!(round(&config, &mut host, Moves::default()), [20_898, 20_898]);
    for place in places(&host) {
        assert_eq!((place.home, place.before.len(), place.behind.len()), (false, 1, 0));
    }
    wg_quick_down(&mut host);
    assert_eq!(round(&config, &mut host, Moves::default()), [20_898, 20_898], "a good place");
    wg_quick(&mut host);
    assert_eq!(round(&config, &mut host, Moves::default()), [20_796, 20_796]);
}

#[test]
fn one_family_moves_without_the_other() {
    let mut host = with_exit(two_networks());
    host.0.rules.push(rule(Family::V6, 5270, None, TABLE, 3));
    assert_eq!(round(&Config::default(), &mut host, Moves::default()), [21_000, 5170]);
}

#[test]
fn wg_quick_before_us_is_behind_us() {
    let mut host = with_exit(two_networks());
    wg_quick(&mut host);
    assert_eq!(round(&Config::default(), &mut host, Moves::default()), [21_000, 21_000]);
}

/// The rules of a host with an earlier version, which had nothing at the first priority.
#[test]
fn rules_that_came_into_our_range_unasked_are_no_collision() {
    let mut host = with_exit(two_networks());
    round(&Config::default(), &mut host, Moves::default());
    host.0.rules.retain(|rule| rule.priority != 21_000);
    wg_quick(&mut host);
    assert!(host.0.rules.iter().any(|rule| rule.priority == 21_019 && rule.protocol == 3));
    let mut harmless = host.0.rules.last().unwrap().clone();
    harmless.source = Some(net("fd00:9::/48"));
    harmless.priority = 21_017;
    host.0.rules.push(harmless);
    // All of the block goes out of the range that is no longer ours alone.
    let first = round(&Config::default(), &mut host, Moves::default());
    assert_eq!(first, [20_900, 20_900]);
    round(&Config::default(), &mut host, Moves::default());
    wg_quick_down(&mut host);
    round(&Config::default(), &mut host, Moves::default());
}

#[test]
fn a_rule_of_others_in_an_empty_range_is_a_collision() {
    let mut host = two_networks();
    host.0.rules.push(rule(Family::V4, 21_010, Some(net("10.9.0.0/16")), 99, 3));
    let config = Config::default();
    assert!(diff(&config, &desired(&config, &host, Moves::default()), &host.0).is_err());
}

#[test]
fn netbird_leaves_room_for_the_block() {
    let mut host = with_exit(two_networks());
    for family in Family::BOTH {
        let specific = rule(family, 105, None, 254, 3);
        host.0.rules.push(Rule { suppress_prefix_length: Some(0), ..specific });
        let all_but = Some(Mark { value: 0x1_bd00, mask: u32::MAX });
        let catch_all = rule(family, 110, None, TABLE, 3);
        host.0.rules.push(Rule { mark: all_but, invert: true, ..catch_all });
    }
    assert_eq!(round(&Config::default(), &mut host, Moves::default()), [5, 5]);
    // When it goes, the next such rule would find no room: back, but not at once.
    wg_quick_down(&mut host);
    assert_eq!(round(&Config::default(), &mut host, Moves::default()), [5, 5]);
    let home = Moves { home: true, ..Moves::default() };
    assert_eq!(round(&Config::default(), &mut host, home), [21_000, 21_000]);
}

#[test]
fn tailscale_is_passed_where_it_is_an_exit_node() {
    let mut host = with_exit(two_networks());
    let marked = Some(Mark { value: 0x80000, mask: 0xff_0000 });
    for (priority, table) in [(5210, 254), (5230, 253)] {
        host.0.rules.push(Rule { mark: marked, ..rule(Family::V4, priority, None, table, 3) });
    }
    host.0.rules.push(rule(Family::V4, 5270, None, 52, 3));
    assert_eq!(round(&Config::default(), &mut host, Moves::default()), [21_000, 21_000]);
    host = host.route_with("eth1", "0.0.0.0/0", None, 52, 0, 3);
    assert_eq!(round(&Config::default(), &mut host, Moves::default()), [5110, 21_000]);
}

#[test]
fn a_priority_that_the_configuration_fixes_is_kept() {
    let mut host = with_exit(two_networks());
    let mut free = host.0.clone();
    host.0.rules.push(rule(Family::V4, 5270, None, TABLE, 3));
    let config = fixed(21_000);
    assert_eq!(round(&config, &mut host, Moves::default()), [21_000, 21_000]);
    let place = desired(&config, &host, Moves::default()).places.remove(0);
    assert_eq!((place.behind.len(), place.stays), (1, Some(Stays::Fixed)));
    // Fixed later: the block comes home.
    free.rules.push(rule(Family::V4, 5270, None, TABLE, 3));
    let mut host = Host(free);
    assert_eq!(round(&Config::default(), &mut host, Moves::default()), [5170, 21_000]);
    assert_eq!(round(&config, &mut host, Moves::default()), [21_000, 21_000]);
}

#[test]
fn who_moved_too_often_stays() {
    let mut host = with_exit(two_networks());
    round(&Config::default(), &mut host, Moves::default());
    wg_quick(&mut host);
    let moves = Moves { escape: false, home: false };
    assert_eq!(round(&Config::default(), &mut host, moves), [21_000, 21_000]);
    let place = desired(&Config::default(), &host, moves).places.remove(0);
    assert_eq!(place.stays, Some(Stays::Often));
}

#[test]
fn without_room_the_block_stays() {
    let mut host = with_exit(two_networks());
    host.0.rules.push(rule(Family::V4, 100, None, TABLE, 3));
    assert_eq!(round(&Config::default(), &mut host, Moves::default()), [21_000, 21_000]);
    assert_eq!(places(&host)[0].stays, Some(Stays::NoRoom));
}

/// Some programs look the local table up later. What is local must stay so.
#[test]
fn the_block_never_goes_before_the_local_table() {
    let mut host = with_exit(two_networks());
    let local = host.0.rules.iter_mut().filter(|rule| rule.table == TABLE_LOCAL);
    local.for_each(|rule| rule.priority = 150);
    host.0.rules.push(rule(Family::V4, 300, None, TABLE, 3));
    assert_eq!(round(&Config::default(), &mut host, Moves::default()), [200, 21_000]);
    let mut host = with_exit(two_networks());
    let local = host.0.rules.iter_mut().filter(|rule| rule.table == TABLE_LOCAL);
    local.for_each(|rule| rule.priority = 150);
    host.0.rules.push(rule(Family::V4, 200, None, TABLE, 3));
    assert_eq!(round(&Config::default(), &mut host, Moves::default()), [21_000, 21_000]);
}

/// As before VRFs are made, by hand or by network operating systems.
#[test]
fn where_the_local_table_is_looked_up_behind_our_range_the_block_looks_it_up_first() {
    let of_local = |host: &Host| -> Vec<u32> {
        let is_ours = |rule: &&Rule| rule.table == TABLE_LOCAL && rule.protocol == PROTOCOL;
        host.0.rules.iter().filter(is_ours).map(|rule| rule.priority).collect()
    };
    let mut host = two_networks();
    round(&Config::default(), &mut host, Moves::default());
    assert_eq!(of_local(&host), [0; 0], "as the kernel has it");
    let kernel = host.0.rules.iter_mut().filter(|rule| rule.table == TABLE_LOCAL);
    kernel.for_each(|rule| rule.priority = 32_765);
    for again in 0..2 {
        assert_eq!(round(&Config::default(), &mut host, Moves::default()), [21_000, 21_000]);
        assert_eq!(of_local(&host), [21_001, 21_001], "before each source ({again})");
    }
    let kernel = host.0.rules.iter_mut().filter(|rule| rule.priority == 32_765);
    kernel.for_each(|rule| rule.priority = 0);
    round(&Config::default(), &mut host, Moves::default());
    assert_eq!(of_local(&host), [0; 0], "not longer than needed");
}

#[test]
fn destinations_and_devices_stay_in_our_range() {
    let uplink = UplinkConfig {
        to: vec![net("1.1.1.1/32")],
        ..UplinkConfig::new(crate::config::Selector::Name(crate::config::Pattern::new("eth1")))
    };
    let config = Config { uplinks: vec![uplink], bind_device: true, ..Config::default() };
    let mut host = with_exit(two_networks());
    host.0.rules.push(rule(Family::V4, 5270, None, TABLE, 3));
    assert_eq!(round(&config, &mut host, Moves::default()), [5170, 21_000]);
    let stay =
        host.0.rules.iter().filter(|rule| rule.protocol == PROTOCOL && rule.source.is_none());
    let stay = stay.filter(|rule| !rule.is_nop());
    assert!(stay.clone().count() >= 3);
    assert!(stay.clone().all(|rule| rule.priority >= 21_100), "{:?}", stay.collect::<Vec<_>>());
}

/// Nothing is remembered but what the kernel shows.
#[test]
fn a_moved_block_is_undone_and_others_rules_stay() {
    for host in [two_networks().address("lo", "198.51.100.1/32"), crowd(&many(200))] {
        let mut host = with_exit(host);
        round(&Config::default(), &mut host, Moves::default());
        wg_quick(&mut host);
        let stranger = rule(Family::V4, 20_950, Some(net("10.9.9.9/32")), 77, PROTOCOL);
        host.0.rules.push(stranger);
        round(&Config::default(), &mut host, Moves::default());
        let plan = undo(&Config::default(), &host.0, &SavedSysctls::default());
        carry_out(&plan, &mut host.0);
        let left = host.0.rules.iter().filter(|rule| rule.protocol != 2);
        let mut left: Vec<u32> = left.map(|rule| rule.priority).collect();
        left.sort_unstable();
        assert_eq!(left, [20_950, 20_998, 20_998, 20_999, 20_999]);
        assert!(host.0.routes.iter().all(|route| route.protocol != PROTOCOL));
    }
}

/// Whoever deletes the rule that marks the place loses nothing else.
#[test]
fn without_the_rule_that_marks_it_the_place_is_found_again() {
    let mut host = with_exit(two_networks());
    round(&Config::default(), &mut host, Moves::default());
    wg_quick(&mut host);
    round(&Config::default(), &mut host, Moves::default());
    host.0.rules.retain(|rule| !(rule.is_nop() && rule.priority < 21_000));
    assert_eq!(round(&Config::default(), &mut host, Moves::default()), [20_898, 20_898]);
}
