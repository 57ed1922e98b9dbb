use proptest::prelude::*;

use super::super::desired::{desire, desire_with};
use super::super::fixture::{Host, carry_out, crowd, ip, net, rule, two_networks, uplinks};
use super::super::observed::{Family, NeighbourState, PROTOCOL};
use super::super::place::Moves;
use super::super::undo::undo;
use super::*;
use crate::config::{OnDown, Pattern, Selector, UplinkConfig};
use crate::state::saved_sysctls::SavedSysctls;

mod moments;
mod random;

fn plan_for(observed: &Observed, saved: &SavedSysctls) -> Plan {
    plan_with(&Config::default(), observed, saved)
}

fn plan_with(config: &Config, observed: &Observed, saved: &SavedSysctls) -> Plan {
    let desired = desire(config, observed, &uplinks(config, observed), saved);
    diff(config, &desired, observed).unwrap()
}

/// The default, or everything that adds rules and routes.
fn config() -> impl Strategy<Value = Config> {
    prop::bool::ANY.prop_map(|all| {
        let uplink = UplinkConfig {
            gateways: vec!["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            table: Some(21_777),
            to: vec![net("10.0.3.0/24"), net("1.1.1.1/32"), net("2001:db8:53::/48")],
            ..UplinkConfig::new(Selector::Name(Pattern::new("if0")))
        };
        match all {
            false => Config::default(),
            true => Config {
                on_down: OnDown::Hold,
                bind_device: true,
                uplinks: vec![uplink],
                ..Config::default()
            },
        }
    })
}

/// Carries a plan out as the daemon does.
fn carry_out_and_save(plan: &Plan, kernel: &mut Observed, saved: &mut SavedSysctls) {
    saved.begin(plan, kernel);
    carry_out(plan, kernel);
    saved.commit(plan);
}

/// Without order; neighbour entries come and go by themselves.
fn normal(mut observed: Observed) -> Observed {
    observed.rules.sort();
    observed.routes.sort();
    observed.neighbours.clear();
    observed
}

#[test]
fn foreign_objects_in_our_range_are_refused_by_name() {
    let host = two_networks().rule(21_500, "10.9.9.9/32", 77).route_with(
        "eth0",
        "10.7.0.0/16",
        Some("192.168.1.1"),
        21_001,
        0,
        4,
    );
    let config = Config::default();
    let desired = desire(&config, &host.0, &uplinks(&config, &host.0), &SavedSysctls::default());
    let collision = diff(&config, &desired, &host.0).unwrap_err();
    assert_eq!((collision.rules.len(), collision.routes.len()), (1, 1));
    assert_eq!(
        collision.to_string(),
        "rule priorities 21000..21999 and tables 21000..21999 are prroute's, but others have \
         objects there (move these, or set rule-priority and table): [rule: priority 21500 from \
         10.9.9.9/32 lookup 77 protocol 4] [route: 10.7.0.0/16 via 192.168.1.1 dev eth0 table \
         21001 proto 4]"
    );
    let plan = undo(&config, &host.0, &SavedSysctls::default());
    assert!(plan.is_empty(), "undo passes them over: {plan}");
}

/// Whoever takes the place of one route keeps nothing else from following.
#[test]
fn beside_a_route_of_others_in_the_place_of_ours_all_else_follows() {
    let mut host = two_networks();
    let mut saved = SavedSysctls::default();
    carry_out_and_save(&plan_for(&host.0, &saved), &mut host.0, &mut saved);
    let is_ours = |route: &Route| route.table == 21_001 && route.is_default();
    let ours = host.0.routes.iter().find(|route| is_ours(route)).unwrap().clone();
    let mut theirs = Route { protocol: 4, ..ours.clone() };
    theirs.next_hops[0].gateway = Some(ip("192.168.1.77"));
    let moved = host.0.addresses.iter_mut().find(|a| a.net == net("192.168.2.10/24"));
    moved.unwrap().net = net("192.168.3.10/24");
    // In its place, or beside it.
    for instead in [true, false] {
        let mut kernel = host.0.clone();
        kernel.routes.retain(|route| !(instead && is_ours(route)));
        kernel.routes.push(theirs.clone());
        let follow = |kernel: &Observed| {
            let config = Config::default();
            let desired = desire(&config, kernel, &uplinks(&config, kernel), &saved);
            let collision = diff(&config, &desired, kernel).unwrap_err();
            assert_eq!(collision.routes, [theirs.clone()]);
            in_spite_of(&collision, &desired, kernel)
        };
        carry_out(&follow(&kernel), &mut kernel);
        let new = |rule: &Rule| rule.source.is_some_and(|it| it.contains(&ip("192.168.3.10")));
        assert!(kernel.rules.iter().any(new), "instead: {instead}");
        assert!(kernel.routes.contains(&theirs), "theirs stays");
        assert_eq!(kernel.routes.contains(&ours), !instead, "and ours, if it is there");
        assert!(follow(&kernel).is_empty(), "nothing is tried again and again");
    }
}

/// The kernel keeps our number where somebody makes our entry a permanent one.
#[test]
fn a_neighbour_entry_that_somebody_makes_permanent_is_not_ours_any_more() {
    let mut host = two_networks();
    let mut saved = SavedSysctls::default();
    carry_out_and_save(&plan_for(&host.0, &saved), &mut host.0, &mut saved);
    let entry = &mut host.0.neighbours[0];
    (entry.state, entry.managed) = (NeighbourState::Fixed, false);
    let address = entry.address;
    assert_eq!(entry.protocol, PROTOCOL);
    assert!(plan_for(&host.0, &saved).is_empty(), "{}", plan_for(&host.0, &saved));
    let down = undo(&Config::default(), &host.0, &saved);
    let released = down.ops.iter().filter_map(|op| match op {
        Op::ReleaseNeighbour(key) => Some(key.address),
        _ => None,
    });
    let released: Vec<_> = released.collect();
    assert!(!released.is_empty() && !released.contains(&address), "{down}");
}

/// A line that nobody can read helps nobody.
#[test]
fn of_many_foreign_objects_some_are_named_and_the_rest_counted() {
    let host =
        (0..500).fold(two_networks(), |host, n| host.rule(21_500 + n % 300, "10.9.9.9/32", 77));
    let config = Config::default();
    let desired = desire(&config, &host.0, &uplinks(&config, &host.0), &SavedSysctls::default());
    let said = diff(&config, &desired, &host.0).unwrap_err().to_string();
    assert_eq!(said.matches("[rule:").count(), 4, "{said}");
    assert!(said.ends_with("] and 496 more rules"), "{said}");
}

#[test]
fn a_busy_range_does_not_matter_when_there_is_nothing_to_do() {
    let host = Host::new().nic("eth0").address("eth0", "192.0.2.2/24").rule(21_500, "::/0", 9);
    assert!(plan_for(&host.0, &SavedSysctls::default()).is_empty());
}

#[test]
fn the_borders_of_the_ranges() {
    for (priority, ours) in [(20_999, false), (21_000, true), (21_999, true), (22_000, false)] {
        let host = two_networks().rule(priority, "10.9.9.9/32", 77);
        let config = Config::default();
        let desired =
            desire(&config, &host.0, &uplinks(&config, &host.0), &SavedSysctls::default());
        assert_eq!(diff(&config, &desired, &host.0).is_err(), ours, "{priority}");
    }
}

#[test]
fn additions_come_before_deletions() {
    let mut host = two_networks();
    let mut saved = SavedSysctls::default();
    carry_out_and_save(&plan_for(&host.0, &saved), &mut host.0, &mut saved);
    let renumbered = host.0.addresses.iter_mut().find(|a| a.net == net("192.168.2.10/24"));
    renumbered.unwrap().net = net("192.168.3.10/24");
    let plan = plan_for(&host.0, &saved);
    let is_deletion = |op: &Op| matches!(op, Op::DeleteRule(_) | Op::DeleteRoute(_));
    let first = plan.ops.iter().position(is_deletion).expect("the old address goes");
    assert!(first > 0, "the new address comes");
    assert!(plan.ops[first..].iter().all(is_deletion), "{plan}");
}

#[test]
fn a_new_gateway_replaces_the_old_one_in_one_step() {
    let mut host = two_networks();
    let mut saved = SavedSysctls::default();
    carry_out_and_save(&plan_for(&host.0, &saved), &mut host.0, &mut saved);
    for route in &mut host.0.routes {
        if route.table == 254 && route.is_default() && route.metric == 100 {
            route.next_hops[0].gateway = Some("192.168.2.254".parse().unwrap());
        }
    }
    let plan = plan_for(&host.0, &saved);
    assert_eq!(
        plan.to_string(),
        "ip neigh replace 192.168.2.254 dev eth1 managed protocol 213\n\
         ip route replace default via 192.168.2.254 dev eth1 table 21002 proto 213\n\
         ip neigh del 192.168.2.1 dev eth1\n"
    );
}

#[test]
fn duplicates_of_our_rules_are_removed() {
    let mut host = two_networks();
    let mut saved = SavedSysctls::default();
    carry_out_and_save(&plan_for(&host.0, &saved), &mut host.0, &mut saved);
    let twin = host.0.rules.iter().find(|r| r.protocol == PROTOCOL).unwrap().clone();
    host.0.rules.push(twin.clone());
    assert_eq!(plan_for(&host.0, &saved).ops, [Op::DeleteRule(twin)]);
}

#[test]
fn an_entry_the_kernel_cannot_manage_is_not_asked_for_again() {
    let mut host = two_networks();
    let mut saved = SavedSysctls::default();
    carry_out_and_save(&plan_for(&host.0, &saved), &mut host.0, &mut saved);
    for neighbour in &mut host.0.neighbours {
        neighbour.managed = false;
    }
    assert!(plan_for(&host.0, &saved).is_empty());
}
