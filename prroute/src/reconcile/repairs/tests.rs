use super::*;
use crate::state::observed::{Family, NextHop, PROTOCOL, RouteKind};
use crate::state::uplink::Ifindex;

const SECOND: Duration = Duration::from_secs(1);

fn rule(priority: u32) -> Rule {
    Rule { table: 21_001, ..Rule::nop(Family::V4, priority) }
}

fn route(gateway: Option<&str>) -> Route {
    Route {
        table: 21_001,
        destination: Family::V4.any(),
        source: None,
        metric: 0,
        kind: RouteKind::Unicast,
        protocol: PROTOCOL,
        scope_link: false,
        next_hops: vec![NextHop {
            ifindex: Ifindex(7),
            device: "eth0".to_owned(),
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
            onlink: false,
        }],
    }
}

fn in_place() -> Repairs {
    let desired = Desired {
        rules: [rule(21_020), rule(21_030)].into(),
        routes: vec![route(Some("192.0.2.1"))],
        ..Desired::default()
    };
    let mut repairs = Repairs::default();
    repairs.in_place(&desired);
    repairs
}

fn losses(rules: usize, routes: usize) -> Losses {
    Losses { rules, routes }
}

#[test]
fn only_what_was_in_place_is_a_loss() {
    let repairs = in_place();
    let plan = Plan {
        ops: vec![
            Op::AddRule(rule(21_020)),
            Op::AddRule(rule(21_040)),
            Op::AddRoute(route(Some("192.0.2.1"))),
            Op::AddRoute(route(Some("192.0.2.9"))),
            Op::DeleteRule(rule(21_030)),
        ],
    };
    assert_eq!(repairs.losses(&plan, Change::default()), losses(1, 1));
    let replaced = Op::ReplaceRoute { old: route(None), new: route(Some("192.0.2.1")) };
    let plan = Plan { ops: vec![replaced] };
    assert_eq!(repairs.losses(&plan, Change::default()), losses(0, 1), "overwritten");
    assert_eq!(Repairs::default().losses(&plan, Change::default()), losses(0, 0), "at the start");
}

/// The kernel removes routes with the link or the address they need; it never removes rules.
#[test]
fn routes_that_went_with_their_link_are_nobodys_fault() {
    let repairs = in_place();
    let plan =
        Plan { ops: vec![Op::AddRoute(route(Some("192.0.2.1"))), Op::AddRule(rule(21_020))] };
    for change in [
        Change { links: true, ..Change::default() },
        Change { addresses: true, ..Change::default() },
    ] {
        assert_eq!(repairs.losses(&plan, change), losses(1, 0));
    }
}

#[test]
fn ten_repairs_come_at_once_and_then_with_growing_pauses() {
    let mut repairs = Repairs::default();
    let mut now = Instant::now();
    for _ in 0..10 {
        assert_eq!(repairs.ask(now), Permission::Granted);
    }
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let refused = repairs.ask(now);
        let Permission::NotBefore { pause, first: true } = refused else {
            panic!("{refused:?}");
        };
        assert!(matches!(repairs.ask(now), Permission::NotBefore { first: false, .. }));
        assert_eq!(repairs.due(), Some(now + pause));
        now += pause;
        assert_eq!(repairs.ask(now), Permission::Granted);
        assert_eq!(repairs.due(), None);
        pauses.push(pause.as_secs());
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(repairs.ask(now + 2 * CALM), Permission::Granted);
    assert_eq!(repairs.ask(now + 2 * CALM), Permission::Granted, "forgotten after a calm");
}

#[test]
fn a_repair_a_second_late_is_due_the_rest_of_its_pause_later() {
    let mut repairs = Repairs::default();
    let start = Instant::now();
    for _ in 0..12 {
        repairs.ask(start);
    }
    let half = start + SECOND / 2;
    assert_eq!(repairs.ask(half), Permission::NotBefore { pause: SECOND / 2, first: false });
}

/// Whatever else the plan has is applied meanwhile.
#[test]
fn what_is_not_put_back_stays_lost_until_it_is() {
    let mut repairs = in_place();
    let mut plan = Plan { ops: vec![Op::AddRule(rule(21_020)), Op::AddRule(rule(21_040))] };
    let whole = plan.clone();
    for _ in 0..11 {
        repairs.ask(Instant::now());
    }
    repairs.leave_out(&mut plan);
    assert_eq!(plan.ops, [Op::AddRule(rule(21_040))]);
    // Another desired state does not make it forgotten.
    repairs.in_place(&Desired { rules: [rule(21_040)].into(), ..Desired::default() });
    assert_eq!(repairs.losses(&whole, Change::default()), losses(2, 0));
    repairs.nothing_lost();
    assert_eq!(repairs.due(), None);
    repairs.in_place(&Desired::default());
    assert_eq!(repairs.losses(&whole, Change::default()), losses(0, 0));
}
