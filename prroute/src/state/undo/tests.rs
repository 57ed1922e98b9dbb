use super::super::fixture::{Host, net, rule, two_networks};
use super::super::observed::Family;
use super::*;

/// Rules of ours at priorities that no configuration names any more.
fn scattered() -> Host {
    let mut host = two_networks();
    host.0.rules.push(rule(Family::V4, 9_000, Some(net("10.0.1.2/32")), 9_001, PROTOCOL));
    host.0.rules.push(rule(Family::V4, 21_010, Some(net("10.0.1.2/32")), 21_001, PROTOCOL));
    host.0.rules.push(rule(Family::V4, 9_001, Some(net("10.0.1.2/32")), 9_001, 4));
    host
}

#[test]
fn what_is_ours_is_found_wherever_it_is_and_deleted_once() {
    let host = scattered();
    let saved = SavedSysctls::default();
    let plan = undo(&Config::default(), &host.0, &saved);
    assert_eq!(plan.ops.len(), 1, "{plan}");
    let rest = recognised(&plan, &host.0);
    let [Op::DeleteRule(found)] = rest.as_slice() else { panic!("{rest:?}") };
    assert_eq!((found.priority, found.protocol), (9_000, PROTOCOL));
}
