//! What packets meet between the operations of a plan.

use std::net::IpAddr;

use super::super::super::walk::{Packet, walk};
use super::*;

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
