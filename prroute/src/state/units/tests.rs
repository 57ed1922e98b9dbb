use std::net::IpAddr;

use proptest::prelude::*;

use super::super::desired::desire;
use super::super::diff::diff;
use super::super::fixture::{Host, carry_out, crowd, many, two_networks, uplinks};
use super::super::observed::{Observed, PROTOCOL};
use super::super::walk::{Packet, walk};
use super::*;
use crate::config::{Config, Pattern, Selector, UplinkConfig};
use crate::state::saved_sysctls::SavedSysctls;

fn plan_of(host: &Observed) -> Plan {
    let config = Config::default();
    let desired = desire(&config, host, &uplinks(&config, host), &SavedSysctls::default());
    diff(&config, &desired, host).unwrap()
}

fn units_of(host: &Observed) -> Units {
    let config = Config::default();
    Units::of(config.ranges, &uplinks(&config, host))
}

/// Two uplinks, strict filters, and a shared address.
fn host() -> Host {
    let strict = |link: &mut crate::state::observed::Link| link.rp_filter = Some(1);
    let host = two_networks().address("lo", "203.0.113.1/32");
    host.change("eth0", strict).change("eth1", strict)
}

/// Carries a plan out as the kernel would, which refuses what `refuses` says. Looks after each step.
fn attempt(
    plan: &Plan,
    reach: Reach<'_>,
    kernel: &mut Observed,
    mut refuses: impl FnMut(&Op) -> bool,
    mut look: impl FnMut(&Observed, &Op),
) -> (Plan, Plan) {
    let mut course = Course::new(reach);
    let mut step = |op: &Op, kernel: &mut Observed| {
        carry_out(&Plan { ops: vec![op.clone()] }, kernel);
        look(kernel, op);
    };
    for op in &plan.ops {
        if !course.tries(op) {
            continue;
        }
        if refuses(op) {
            for inverse in course.failed(op) {
                step(&inverse, kernel);
            }
        } else {
            step(op, kernel);
            course.done(op.clone());
        }
    }
    course.end()
}

fn of(units: &Units, plan: &Plan, wanted: &str) -> Vec<String> {
    let ops = plan.ops.iter().filter(|op| units.uplink(op) == Some(wanted));
    ops.map(ToString::to_string).collect()
}

#[test]
fn an_uplinks_operations_are_one_unit_and_shared_ones_are_not_in_it() {
    let host = host().0;
    let (plan, units) = (plan_of(&host), units_of(&host));
    let eth1 = of(&units, &plan, "eth1").join("\n");
    for part in [
        "sysctl -w net/ipv4/conf/eth1/rp_filter=2",
        "neigh replace 192.168.2.1 dev eth1",
        "route add 192.168.2.0/24 dev eth1 table 21002",
        "route add default via 192.168.2.1 dev eth1 table 21002",
        "from 192.168.2.0/24 iif lo lookup main suppress_prefixlength 1",
        "from 192.168.2.0/24 iif lo lookup 21002",
        "from 2001:db8:2::/64 iif lo lookup 21002",
    ] {
        assert!(eth1.contains(part), "{part} not in\n{eth1}");
    }
    assert!(!eth1.contains("eth0") && !eth1.contains("21000"), "{eth1}");
    let shared: IpNet = "203.0.113.1/32".parse().unwrap();
    let rest = plan.ops.iter().filter(|op| units.uplink(op).is_none());
    for op in rest {
        let text = op.to_string();
        match units.unit(op) {
            Unit::Source(source) => assert_eq!(source, shared, "{text}"),
            // The shared table, and the rule that keeps the range for us.
            Unit::Alone => {
                assert!(text.contains("table 21000") || text.contains(" nop "), "{text}");
            }
            unit => panic!("{unit:?}: {text}"),
        }
    }
}

#[test]
fn one_uplinks_refused_route_leaves_it_as_it_was_and_the_others_complete() {
    let mut kernel = host().0;
    let (plan, units) = (plan_of(&kernel), units_of(&kernel));
    let before = kernel.clone();
    let refuses = |op: &Op| op.to_string().contains("via 192.168.2.1 dev eth1 table 21002");
    let (done, left) = attempt(&plan, Reach::Unit(&units), &mut kernel, refuses, |_, _| ());
    assert_eq!(of(&units, &done, "eth1"), [""; 0], "taken back");
    assert_eq!(of(&units, &left, "eth1").len(), of(&units, &plan, "eth1").len());
    assert_eq!(of(&units, &done, "eth0"), of(&units, &plan, "eth0"));
    assert_eq!(kernel.link(kernel.links[2].ifindex).unwrap().rp_filter, Some(1), "as before");
    assert_eq!(done.ops.len() + left.ops.len(), plan.ops.len());
    let again = plan_of(&kernel);
    carry_out(&again, &mut kernel);
    assert!(plan_of(&kernel).is_empty());

    // All or nothing.
    let mut kernel = before.clone();
    let (done, _) = attempt(&plan, Reach::Plan, &mut kernel, refuses, |_, _| ());
    assert!(done.is_empty());
    let ours = |host: &Observed| (host.rules.clone(), host.routes.clone(), host.links.clone());
    assert_eq!(ours(&kernel), ours(&before));
}

#[test]
fn a_shared_route_that_is_refused_takes_nothing_with_it() {
    let mut kernel = host().0;
    let (plan, units) = (plan_of(&kernel), units_of(&kernel));
    let refuses = |op: &Op| op.to_string().contains("dev eth1 onlink table 21000");
    let (_, left) = attempt(&plan, Reach::Unit(&units), &mut kernel, refuses, |_, _| ());
    assert!(left.ops.iter().all(refuses), "{left}");
    assert!(!left.is_empty());
}

/// An address moves from one uplink to another, whose rules for it are refused: the old ones stay,
/// with the routes they lead to.
#[test]
fn a_rule_stays_while_its_successor_is_refused() {
    let mut kernel = two_networks().address("eth0", "198.51.100.7/32").0;
    carry_out(&plan_of(&kernel), &mut kernel);
    let moved = kernel.addresses.last_mut().unwrap();
    moved.ifindex = kernel.links[2].ifindex;
    let (plan, units) = (plan_of(&kernel), units_of(&kernel));
    let of_it = |host: &Observed, table: u32| {
        let source = Some("198.51.100.7/32".parse().unwrap());
        host.rules.iter().any(|rule| rule.source == source && rule.table == table)
    };
    let refuses = |op: &Op| matches!(op, Op::AddRule(rule) if rule.table == 21_002);
    attempt(&plan, Reach::Unit(&units), &mut kernel, refuses, |_, _| ());
    assert!(of_it(&kernel, 21_001) && !of_it(&kernel, 21_002));
    carry_out(&plan_of(&kernel), &mut kernel);
    assert!(!of_it(&kernel, 21_001) && of_it(&kernel, 21_002));
}

#[test]
fn the_routes_of_a_table_stay_while_a_rule_leads_to_it() {
    let mut kernel = host().0;
    carry_out(&plan_of(&kernel), &mut kernel);
    let mut config = Config::default();
    let table = Some(21_777);
    let selector = Selector::Name(Pattern::new("eth1"));
    config.uplinks = vec![UplinkConfig { table, ..UplinkConfig::new(selector) }];
    let found = uplinks(&config, &kernel);
    let desired = desire(&config, &kernel, &found, &SavedSysctls::default());
    let plan = diff(&config, &desired, &kernel).unwrap();
    let units = Units::of(config.ranges, &found);
    let refuses = |op: &Op| matches!(op, Op::AddRule(rule) if rule.table == 21_777);
    attempt(&plan, Reach::Unit(&units), &mut kernel, refuses, |_, _| ());
    assert!(kernel.rules.iter().any(|rule| rule.table == 21_002));
    assert!(kernel.routes.iter().any(|route| route.table == 21_002 && route.is_default()));
}

fn addresses() -> impl Strategy<Value = Vec<IpAddr>> {
    proptest::sample::subsequence(many(48), 2..48)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is refused, an address that stays on its uplink has its rules all the time, and the
    /// next plan brings about what this one could not.
    #[test]
    fn whatever_is_refused_no_address_is_without_its_rules(
        from in addresses(),
        to in addresses(),
        refused in prop::collection::vec(prop::bool::weighted(0.1), 256),
    ) {
        let mut kernel = crowd(&from).0;
        carry_out(&plan_of(&kernel), &mut kernel);
        let mut next = crowd(&to).0;
        next.rules.extend(kernel.rules.iter().filter(|r| r.protocol == PROTOCOL).cloned());
        next.routes.extend(kernel.routes.iter().filter(|r| r.protocol == PROTOCOL).cloned());
        let holds = |host: &Observed, address: &IpAddr| {
            host.addresses.iter().find(|a| a.net.addr() == *address).map(|a| a.ifindex)
        };
        let staying: Vec<IpAddr> =
            to.iter().filter(|a| holds(&kernel, a) == holds(&next, a)).copied().collect();
        let own = |rules: &[Rule], address: &IpAddr| -> Vec<u32> {
            let asked = walk(rules, Packet::from(*address)).asked;
            let ours = asked.into_iter().take_while(|asked| *asked != (254, None));
            ours.filter(|(table, _)| *table != 254).map(|(table, _)| table).collect()
        };
        let before: Vec<_> = staying.iter().map(|a| own(&kernel.rules, a)).collect();
        let (plan, units) = (plan_of(&next), units_of(&next));
        let mut refused = refused.into_iter().cycle();
        attempt(&plan, Reach::Unit(&units), &mut next, |_| refused.next().unwrap(), |now, op| {
            for (address, before) in staying.iter().zip(&before) {
                let tables = own(&now.rules, address);
                let last = before.last();
                assert!(last.is_none_or(|last| tables.contains(last)), "{address} after {op}");
            }
        });
        let rest = plan_of(&next);
        carry_out(&rest, &mut next);
        prop_assert!(plan_of(&next).is_empty());
    }
}
