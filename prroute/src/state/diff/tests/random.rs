//! Plans for random hosts.

use super::*;

/// One random host: a few interfaces of several kinds, addresses that may coincide or nest,
/// default routes in several tables, foreign rules and routes, neighbours.
fn host() -> impl Strategy<Value = Host> {
    let kinds = prop::sample::select(vec![
        None,
        None,
        None,
        Some("vlan"),
        Some("bridge"),
        Some("dummy"),
        Some("veth"),
        Some("wireguard"),
    ]);
    let link = (kinds, prop::bool::weighted(0.9), prop::option::of(0..3_u8));
    let links = prop::collection::vec(link, 1..6);
    let address = (any::<u8>(), 0..4_u8, 1..6_u8, any::<bool>(), any::<bool>());
    let addresses = prop::collection::vec(address, 0..10);
    let route = (any::<u8>(), 0..4_u8, 1..6_u8, 0..3_u32, any::<bool>(), 0..3_u8);
    let routes = prop::collection::vec(route, 0..8);
    let rules = prop::collection::vec((0..4_u8, 1..6_u8, 1..3_u32, any::<bool>()), 0..4);
    (links, addresses, routes, rules, 0..3_u8).prop_map(|(links, addresses, routes, rules, all)| {
        let mut host = Host::new();
        host.0.rp_filter_all = Some(all);
        for (n, (kind, carrier, filter)) in links.iter().enumerate() {
            host = host.link(&format!("if{n}"), *kind).change(&format!("if{n}"), |link| {
                link.carrier = *carrier;
                link.rp_filter = *filter;
            });
        }
        let name = |n: u8, many: usize| match usize::from(n) % (many + 1) {
            0 => "lo".to_owned(),
            n => format!("if{}", n - 1),
        };
        for (on, subnet, number, six, wide) in addresses {
            let text = match (six, wide) {
                (false, false) => format!("10.0.{subnet}.{number}/24"),
                (false, true) => format!("10.0.{subnet}.{number}/16"),
                (true, false) => format!("2001:db8:{subnet}::{number}/64"),
                (true, true) => format!("2001:db8:{subnet}::{number}/128"),
            };
            let on = name(on, links.len());
            let same = host
                .0
                .addresses
                .iter()
                .any(|a| a.ifindex == host.ifindex(&on) && a.net.addr() == net(&text).addr());
            if !same {
                host = host.address(&on, &text);
            }
        }
        for (on, subnet, number, table, six, state) in routes {
            let gateway = match six {
                false => format!("10.0.{subnet}.{number}"),
                true => format!("2001:db8:{subnet}::{number}"),
            };
            let any = if six { "::/0" } else { "0.0.0.0/0" };
            let on = format!("if{}", usize::from(on) % links.len());
            let table = [254, 100, 101][table as usize];
            let metric = 100 + u32::try_from(host.0.routes.len()).unwrap();
            host = host.route_with(&on, any, Some(&gateway), table, metric, 4);
            let states = [NeighbourState::Failed, NeighbourState::Resolved, NeighbourState::Fixed];
            let known = host.0.neighbour(host.ifindex(&on), gateway.parse().unwrap()).is_some();
            if !known {
                host = host.neighbour(&on, &gateway, states[usize::from(state)]);
            }
        }
        for (subnet, number, table, other) in rules {
            let source = net(&format!("10.0.{subnet}.{number}/32"));
            let mut rule = rule(Family::V4, 1000, Some(source), 99 + table, 4);
            rule.other = other;
            host.0.rules.push(rule);
        }
        // As the kernel has them: one route per table, prefix and metric.
        let mut keys = BTreeSet::new();
        host.0.routes.retain(|route| keys.insert((route.key(), route.next_hops.clone())));
        host
    })
}

fn touches_foreign(plan: &Plan) -> bool {
    let ranges = Ranges::default();
    plan.ops.iter().any(|op| match op {
        Op::AddRule(r) | Op::DeleteRule(r) => !is_our_rule(ranges, r),
        Op::AddRoute(r) | Op::DeleteRoute(r) => !is_our_route(ranges, r),
        Op::ReplaceRoute { old, new } => !is_our_route(ranges, old) || !is_our_route(ranges, new),
        _ => false,
    })
}

proptest! {
    #[test]
    fn applying_a_plan_makes_the_next_one_empty(host in host(), config in config()) {
        let mut kernel = host.0;
        let mut saved = SavedSysctls::default();
        carry_out_and_save(&plan_with(&config, &kernel, &saved), &mut kernel, &mut saved);
        let next = plan_with(&config, &kernel, &saved);
        prop_assert!(next.is_empty(), "{next}");
    }

    #[test]
    fn undo_after_apply_is_the_state_before(host in host(), config in config()) {
        let before = host.0.clone();
        let mut kernel = host.0;
        let mut saved = SavedSysctls::default();
        carry_out_and_save(&plan_with(&config, &kernel, &saved), &mut kernel, &mut saved);
        let back = undo(&Config::default(), &kernel, &saved);
        prop_assert!(!touches_foreign(&back));
        carry_out_and_save(&back, &mut kernel, &mut saved);
        prop_assert!(kernel.neighbours.iter().all(|n| n.protocol != PROTOCOL));
        prop_assert!(saved.is_empty());
        prop_assert_eq!(normal(kernel), normal(before));
    }

    /// What rolling back relies on.
    #[test]
    fn the_inverse_of_a_plan_takes_it_back(host in host(), config in config()) {
        let before = host.0.clone();
        let mut kernel = host.0;
        let plan = plan_with(&config, &kernel, &SavedSysctls::default());
        prop_assert!(!touches_foreign(&plan));
        carry_out(&plan, &mut kernel);
        carry_out(&plan.inverse(), &mut kernel);
        prop_assert_eq!(normal(kernel), normal(before));
    }

    /// From any state of ours to any other, without an operation the kernel would refuse.
    #[test]
    fn every_transition_converges(from in host(), to in host(), before in config(), config in config()) {
        let mut kernel = from.0;
        carry_out(&plan_with(&before, &kernel, &SavedSysctls::default()), &mut kernel);
        let mut next = to.0;
        next.rules.extend(kernel.rules.into_iter().filter(|r| r.protocol == PROTOCOL));
        next.routes.extend(kernel.routes.into_iter().filter(|r| r.protocol == PROTOCOL));
        let saved = SavedSysctls::default();
        let plan = plan_with(&config, &next, &saved);
        prop_assert!(!touches_foreign(&plan));
        carry_out(&plan, &mut next);
        let again = Plan {
            ops: plan_with(&config, &next, &saved)
                .ops
                .into_iter()
                .filter(|op| !matches!(op, Op::LoosenRpFilter(_)))
                .collect(),
        };
        prop_assert!(again.is_empty(), "{again}");
    }
}
