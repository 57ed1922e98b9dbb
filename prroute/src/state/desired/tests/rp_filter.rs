//! Reverse-path filters: loosened where they must be, and restored.

use super::*;

#[test]
fn strict_filters_are_loosened_per_interface() {
    let strict_all = |mut host: Host| {
        host.0.rp_filter_all = Some(1);
        host
    };
    let loose = two_networks().change("eth0", |link| link.rp_filter = Some(2));
    assert_eq!(with(&strict_all(two_networks()), "rp_filter").len(), 2, "all is strict");
    assert_eq!(with(&strict_all(loose), "rp_filter"), ["sysctl -w net/ipv4/conf/eth1/rp_filter=2"]);
    assert_eq!(with(&two_networks(), "rp_filter"), [""; 0], "nothing is strict");
}

#[test]
fn the_old_filter_is_restored_unless_somebody_changed_it() {
    let config = Config::default();
    let mut host = two_networks().change("eth1", |link| link.rp_filter = Some(1));
    let mut saved = SavedSysctls::default();
    let first = plan(&host);
    saved.begin(&first, &host.0);
    host = host.change("eth1", |link| link.rp_filter = Some(2));
    saved.commit(&first);

    // In force: nothing more to do; taken back with everything else.
    let steady = desire(&config, &host.0, &host.uplinks(), &saved);
    assert_eq!((steady.loosen, steady.restore), (vec![], vec![]));
    let back = crate::state::undo::undo(&config, &host.0, &saved);
    let restore = |op: &Op| matches!(op, Op::RestoreRpFilter(c) if (c.from, c.to) == (2, 1));
    assert_eq!(back.ops.iter().filter(|op| restore(op)).count(), 1);

    // Excluded: taken back at once.
    let excluded =
        Config { exclude: vec![crate::config::Pattern::new("eth1")], ..Config::default() };
    let (found, _) = crate::state::fixture::found(&excluded, &host.0);
    let alone = crate::state::ids::allocate(&[], found);
    assert_eq!(desire(&excluded, &host.0, &alone, &saved).restore.len(), 1);

    // The administrator made it strict again: left, and not touched by undo.
    host = host.change("eth1", |link| link.rp_filter = Some(1));
    let desired = desire(&config, &host.0, &host.uplinks(), &saved);
    assert_eq!((desired.loosen, desired.restore), (vec![], vec![]));
    let back = crate::state::undo::undo(&config, &host.0, &saved);
    assert_eq!(back.ops.iter().filter(|op| matches!(op, Op::RestoreRpFilter(_))).count(), 0);

    // Unless the configuration insists.
    let insists = Config { rp_filter: crate::config::RpFilter::Enforce, ..Config::default() };
    let desired = desire(&insists, &host.0, &host.uplinks(), &saved);
    assert_eq!((desired.loosen.len(), desired.restore), (1, vec![]));
}

#[test]
fn the_old_filter_follows_a_device_through_other_names_and_mac_addresses() {
    let config = Config::default();
    let mut host = two_networks().change("eth1", |link| link.rp_filter = Some(1));
    let mut saved = SavedSysctls::default();
    let first = plan(&host);
    saved.begin(&first, &host.0);
    host = host.change("eth1", |link| {
        link.rp_filter = Some(2);
        link.name = "wan1".to_owned();
    });
    saved.commit(&first);
    saved.follow(&host.0.links);
    host = host.change("wan1", |link| link.mac = Some([2, 0, 0, 0, 0, 99]));
    saved.follow(&host.0.links);
    let back = crate::state::undo::undo(&config, &host.0, &saved);
    let restore = |op: &Op| matches!(op, Op::RestoreRpFilter(c) if c.device == "wan1" && c.to == 1);
    assert_eq!(back.ops.iter().filter(|op| restore(op)).count(), 1);

    // Both at once: who knows whether it is the same device.
    host = host.change("wan1", |link| {
        link.name = "eth7".to_owned();
        link.mac = Some([2, 0, 0, 0, 0, 77]);
    });
    saved.follow(&host.0.links);
    let back = crate::state::undo::undo(&config, &host.0, &saved);
    assert_eq!(back.ops.iter().filter(|op| matches!(op, Op::RestoreRpFilter(_))).count(), 0);
}

#[test]
fn a_value_that_was_never_written_is_written_after_a_crash() {
    let host = two_networks().change("eth1", |link| link.rp_filter = Some(1));
    let mut saved = SavedSysctls::default();
    saved.begin(&plan(&host), &host.0);
    let desired = desire(&Config::default(), &host.0, &host.uplinks(), &saved);
    assert_eq!(desired.loosen.len(), 1);
    saved.abort(&plan(&host));
    assert!(saved.is_empty());
}

/// NetworkManager makes a filter strict and loose again as a connection comes.
#[test]
fn a_value_that_somebody_else_wrote_first_is_theirs() {
    let host = two_networks().change("eth1", |link| link.rp_filter = Some(1));
    let mut saved = SavedSysctls::default();
    let first = plan(&host);
    saved.begin(&first, &host.0);
    saved.record_outcome(&first, &Plan::default(), |_| false);
    assert!(saved.is_empty());
    let host = host.change("eth1", |link| link.rp_filter = Some(2));
    let back = crate::state::undo::undo(&Config::default(), &host.0, &saved);
    assert!(!back.ops.iter().any(|op| matches!(op, Op::RestoreRpFilter(_))), "{back:?}");

    // What is in force is ours.
    saved.begin(&first, &host.0);
    saved.record_outcome(&first, &first, |_| false);
    let back = crate::state::undo::undo(&Config::default(), &host.0, &saved);
    assert!(back.ops.iter().any(|op| matches!(op, Op::RestoreRpFilter(_))), "{back:?}");
}

#[test]
fn leave_leaves_filters_alone() {
    let host = two_networks().change("eth1", |link| link.rp_filter = Some(1));
    let config = Config { rp_filter: RpFilter::Leave, ..Config::default() };
    let desired = desire(&config, &host.0, &host.uplinks(), &SavedSysctls::default());
    assert_eq!(desired.loosen, []);
}
