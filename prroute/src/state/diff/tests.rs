use std::net::IpAddr;

use proptest::prelude::*;

use super::super::desired::{desire, desire_with};
use super::super::fixture::{Host, carry_out, crowd, ip, net, rule, two_networks, uplinks};
use super::super::observed::{Family, NeighbourState};
use super::super::place::Moves;
use super::super::undo::undo;
use super::super::walk::{Packet, walk};
use super::*;
use crate::config::{OnDown, Pattern, Selector, UplinkConfig};
use crate::state::saved_sysctls::SavedSysctls;

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

/// Addresses of two uplinks on one subnet, in a few places of it, near and far.
fn addresses() -> impl Strategy<Value = Vec<IpAddr>> {
    let places = prop::collection::btree_set((0..3_u8, 0..4_u8, 0..48_u8, any::<bool>()), 0..160);
    places.prop_map(|places| {
        let address = |(a, b, c, six)| match six {
            false => ip(&format!("10.0.{}.{}", a * 64 + b, c + 1)),
            true => ip(&format!("2001:db8::{a:x}:{b:x}:{:x}", c + 1)),
        };
        places.into_iter().map(address).collect()
    })
}

/// The tables that are asked for a packet before main's default routes are.
fn tables(rules: &[Rule], source: IpAddr) -> Vec<(u32, Option<u32>)> {
    let asked = walk(rules, Packet::from(source)).asked;
    asked.into_iter().take_while(|asked| *asked != (254, None)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Sections and shortcuts come, go and move, operation by operation: an address that stays on
    /// its uplink asks the uplink's table all the time, and strangers never do.
    #[test]
    fn no_address_is_without_its_rules_at_any_time(from in addresses(), to in addresses()) {
        // A single address leaves one uplink, of which nothing is managed.
        prop_assume!(to.len() != 1);
        let saved = SavedSysctls::default();
        let mut kernel = crowd(&from).0;
        carry_out(&plan_for(&kernel, &saved), &mut kernel);
        let mut next = crowd(&to).0;
        next.rules.extend(kernel.rules.iter().filter(|r| r.protocol == PROTOCOL).cloned());
        next.routes.extend(kernel.routes.iter().filter(|r| r.protocol == PROTOCOL).cloned());
        let holds = |host: &Observed, address: &IpAddr| {
            host.addresses.iter().find(|a| a.net.addr() == *address).map(|a| a.ifindex)
        };
        let staying: Vec<IpAddr> = to
            .iter()
            .filter(|address| holds(&kernel, address) == holds(&next, address))
            .copied()
            .collect();
        let before: Vec<_> = staying.iter().map(|a| tables(&kernel.rules, *a)).collect();
        let plan = plan_for(&next, &saved);
        for op in plan.ops {
            carry_out(&Plan { ops: vec![op.clone()] }, &mut next);
            if !matches!(op, Op::AddRule(_) | Op::DeleteRule(_)) {
                continue;
            }
            for (address, before) in staying.iter().zip(&before) {
                let now = tables(&next.rules, *address);
                let own = before.last();
                prop_assert!(own.is_none() || now.contains(own.unwrap()), "{address} after {op}");
            }
            for stranger in ["172.17.0.1", "fd00::1"].map(ip) {
                prop_assert!(tables(&next.rules, stranger).iter().all(|(t, _)| *t == 255));
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// A rule that catches everything comes, and goes. While ours move before it, an address asks its
    /// uplink's table all the time; when they have, before that rule; strangers never do.
    #[test]
    fn no_address_is_without_its_rules_while_the_block_moves(
        from in addresses(),
        to in addresses(),
        priority in prop::sample::select(vec![110_u32, 250, 5270, 20_899, 20_999]),
        comes_back in any::<bool>(),
    ) {
        // A single address leaves one uplink, of which nothing is managed.
        prop_assume!(to.len() != 1);
        const EXIT: u32 = 77;
        let saved = SavedSysctls::default();
        let mut kernel = crowd(&from).0;
        carry_out(&plan_for(&kernel, &saved), &mut kernel);
        let catch_all = Family::BOTH.map(|family| rule(family, priority, None, EXIT, 3));
        let exit = crowd(&to)
            .route_with("eth0", "0.0.0.0/0", None, EXIT, 0, 3)
            .route_with("eth0", "::/0", None, EXIT, 0, 3);
        let mut next = exit.0;
        next.rules.extend(kernel.rules.iter().filter(|r| r.protocol == PROTOCOL).cloned());
        next.routes.extend(kernel.routes.iter().filter(|r| r.protocol == PROTOCOL).cloned());
        next.rules.extend(catch_all.clone());
        let staying: Vec<IpAddr> = to.iter().filter(|a| from.contains(a)).copied().collect();
        // A walk for each address after each operation is too many of them.
        let some = staying.len().div_ceil(8).max(1);
        let staying: Vec<IpAddr> = staying.into_iter().step_by(some).collect();
        let asks = |host: &Observed, address: IpAddr| walk(&host.rules, Packet::from(address)).asked;
        // Where the others' rule is not, the uplinks' tables are the first ones asked.
        let is_own = |(table, _): &(u32, Option<u32>)| (21_001..21_999).contains(table);
        let homeless = |host: &Observed| {
            let mut without = staying.iter().filter(|a| !asks(host, **a).iter().any(is_own));
            without.next().copied()
        };
        let config = Config::default();
        let mut moves = vec![Moves::default()];
        if comes_back {
            moves.push(Moves { home: true, ..Moves::default() });
        }
        for moves in moves {
            if moves.home {
                next.rules.retain(|rule| rule.table != EXIT);
            }
            let uplinks = uplinks(&config, &next);
            let desired = desire_with(&config, &next, &uplinks, &saved, moves);
            let plan = diff(&config, &desired, &next).unwrap();
            for op in plan.ops {
                carry_out(&Plan { ops: vec![op.clone()] }, &mut next);
                let homeless = homeless(&next);
                prop_assert!(homeless.is_none(), "{homeless:?} after {op}");
                for stranger in ["172.17.0.1", "fd00::1"].map(ip) {
                    prop_assert!(!asks(&next, stranger).iter().any(is_own), "{stranger} after {op}");
                }
            }
            for address in &to {
                let asked = asks(&next, *address);
                let own = asked.iter().position(is_own).unwrap();
                let exit = asked.iter().position(|(table, _)| *table == EXIT);
                prop_assert!(exit.is_none_or(|exit| own < exit), "{address}: {asked:?}");
            }
        }
        carry_out(&undo(&config, &next, &saved), &mut next);
        prop_assert!(next.rules.iter().all(|rule| rule.protocol != PROTOCOL));
    }

    #[test]
    fn many_addresses_converge_and_are_undone(from in addresses(), to in addresses()) {
        let saved = SavedSysctls::default();
        let before = crowd(&from).0;
        let mut kernel = before.clone();
        carry_out(&plan_for(&kernel, &saved), &mut kernel);
        prop_assert!(plan_for(&kernel, &saved).is_empty());
        let mut next = crowd(&to).0;
        next.rules.extend(kernel.rules.iter().filter(|r| r.protocol == PROTOCOL).cloned());
        next.routes.extend(kernel.routes.iter().filter(|r| r.protocol == PROTOCOL).cloned());
        next.neighbours.clone_from(&kernel.neighbours);
        carry_out(&plan_for(&next, &saved), &mut next);
        prop_assert!(plan_for(&next, &saved).is_empty());
        carry_out(&undo(&Config::default(), &next, &saved), &mut next);
        prop_assert_eq!(normal(next), normal(crowd(&to).0));
    }
}
