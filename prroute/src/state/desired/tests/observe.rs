//! Where packets are only observed, nothing is made but what keeps gateways resolved.

use super::*;
use crate::config::{Mode, OwnSource};
use crate::state::fixture::{carry_out, uplinks};

fn observe() -> Config {
    let own_source = OwnSource::Datapath;
    Config { mode: Mode::Observe, bind_device: true, own_source, ..Config::default() }
}

fn plan_of(config: &Config, host: &Host, saved: &SavedSysctls) -> Plan {
    let uplinks = uplinks(config, &host.0);
    diff(config, &desire(config, &host.0, &uplinks, saved), &host.0).unwrap()
}

#[test]
fn only_gateways_are_kept_resolved() {
    let host = two_networks().change("eth1", |link| link.rp_filter = Some(1));
    let plan = plan_of(&observe(), &host, &SavedSysctls::default());
    assert!(!plan.is_empty());
    assert!(plan.ops.iter().all(|op| matches!(op, Op::ManageNeighbour(_))), "{plan}");
}

#[test]
fn what_was_made_to_enforce_goes_and_comes_back() {
    let mut host = two_networks().change("eth1", |link| link.rp_filter = Some(1));
    let before = host.0.clone();
    let enforce = Config::default();
    let mut saved = SavedSysctls::default();
    let made = plan_of(&enforce, &host, &saved);
    saved.begin(&made, &host.0);
    carry_out(&made, &mut host.0);
    saved.commit(&made);
    let taken_back = plan_of(&observe(), &host, &saved);
    carry_out(&taken_back, &mut host.0);
    assert_eq!((&host.0.rules, &host.0.routes), (&before.rules, &before.routes));
    let is_strict = |host: &Host| {
        host.0.links.iter().any(|link| link.name == "eth1" && link.rp_filter == Some(1))
    };
    assert!(is_strict(&host));
    assert!(plan_of(&observe(), &host, &SavedSysctls::default()).is_empty());
    let again = plan_of(&enforce, &host, &SavedSysctls::default());
    carry_out(&again, &mut host.0);
    assert!(plan_of(&enforce, &host, &SavedSysctls::default()).is_empty());
}

#[test]
fn the_programs_keep_no_own_sources_and_hold_nothing() {
    let config = Config { on_down: crate::config::OnDown::Hold, ..observe() };
    let host = two_networks();
    for uplink in uplinks(&config, &host.0) {
        assert!(!uplink.device.own_source.is_datapath(Family::V4), "{}", uplink.device.name);
        assert!(!uplink.device.hold, "{}", uplink.device.name);
    }
}
