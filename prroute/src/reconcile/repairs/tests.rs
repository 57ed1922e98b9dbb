use super::*;
use crate::state::gateways::KeptGateway;
use crate::state::observed::{
    Family, NextHop, PROTOCOL, RouteKind, RouteMetrics, RouterPreference,
};
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
        preference: RouterPreference::default(),
        metrics: RouteMetrics::default(),
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
    let mut repairs = Repairs::new(Instant::now());
    repairs.in_place(&desired);
    repairs
}

fn losses(rules: usize, routes: usize) -> Losses {
    Losses { rules, routes, ..Losses::default() }
}

#[test]
fn only_what_was_in_place_is_a_loss() {
    let mut repairs = in_place();
    let plan = Plan {
        ops: vec![
            Op::AddRule(rule(21_020)),
            Op::AddRule(rule(21_040)),
            Op::AddRoute(route(Some("192.0.2.1"))),
            Op::AddRoute(route(Some("192.0.2.9"))),
            Op::DeleteRule(rule(21_030)),
        ],
    };
    assert_eq!(repairs.losses(&plan, Change::default(), Instant::now()), losses(1, 1));
    let replaced = Op::ReplaceRoute { old: route(None), new: route(Some("192.0.2.1")) };
    let plan = Plan { ops: vec![replaced] };
    assert_eq!(
        repairs.losses(&plan, Change::default(), Instant::now()),
        losses(0, 1),
        "overwritten"
    );
    assert_eq!(
        Repairs::new(Instant::now()).losses(&plan, Change::default(), Instant::now()),
        losses(0, 0),
        "at the start"
    );
}

/// The kernel removes routes with the link or the address they need; it never removes rules.
#[test]
fn routes_that_went_with_their_link_are_nobodys_fault() {
    let mut repairs = in_place();
    let plan =
        Plan { ops: vec![Op::AddRoute(route(Some("192.0.2.1"))), Op::AddRule(rule(21_020))] };
    for change in [
        Change { links: true, ..Change::default() },
        Change { addresses: true, ..Change::default() },
    ] {
        let now = Instant::now();
        assert_eq!(repairs.losses(&plan, change, now), losses(1, 0));
        // It was heard of in the round before.
        assert_eq!(repairs.losses(&plan, Change::default(), now + SECOND), losses(1, 0));
        assert_eq!(repairs.losses(&plan, Change::default(), now + 3 * SECOND), losses(1, 1));
    }
}

/// It was heard of before a round in which a table did not hold still, and missed in the first that could compare.
#[test]
fn routes_that_went_while_a_table_did_not_hold_still_are_nobodys_fault() {
    let plan =
        Plan { ops: vec![Op::AddRoute(route(Some("192.0.2.1"))), Op::AddRule(rule(21_020))] };
    let links = Change { links: true, ..Change::default() };
    let routes = Change { routes: true, ..Change::default() };
    let (mut repairs, now) = (in_place(), Instant::now());
    repairs.compared_nothing(links);
    repairs.compared_nothing(routes);
    assert_eq!(repairs.losses(&plan, routes, now + 9 * SECOND), losses(1, 0));
    assert_eq!(repairs.losses(&plan, routes, now + 12 * SECOND), losses(1, 1), "answered");
    let mut repairs = in_place();
    repairs.compared_nothing(routes);
    assert_eq!(repairs.losses(&plan, routes, now), losses(1, 1), "somebody deleted them");
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
    assert_eq!(repairs.losses(&whole, Change::default(), Instant::now()), losses(2, 0));
    repairs.nothing_lost();
    assert_eq!(repairs.due(), None);
    repairs.in_place(&Desired::default());
    assert_eq!(repairs.losses(&whole, Change::default(), Instant::now()), losses(0, 0));
}

/// The kernel keeps an entry that it resolves for us, but for changes of its link.
#[test]
fn a_gateways_entry_that_was_kept_is_a_loss() {
    let key = NeighbourKey {
        ifindex: Ifindex(7),
        address: "192.0.2.1".parse().unwrap(),
        device: "eth0".to_owned(),
    };
    let kept = |managed| [KeptGateway { key: key.clone(), managed }];
    let plan = Plan { ops: vec![Op::ManageNeighbour(key.clone())] };
    let mut repairs = Repairs::new(Instant::now());
    repairs.kept(&kept(false));
    assert_eq!(
        repairs.losses(&plan, Change::default(), Instant::now()).neighbours,
        0,
        "collected by the kernel"
    );
    repairs.kept(&kept(true));
    assert_eq!(repairs.losses(&plan, Change::default(), Instant::now()).neighbours, 1);
    let links = Change { links: true, ..Change::default() };
    assert_eq!(repairs.losses(&plan, links, Instant::now()).neighbours, 0);
}
