//! What of the kernel's rules and routes is ours: it is recognised by itself, whatever is remembered.
//!
//! In our ranges everything with our protocol number is. The [block of rules for sources](super::place)
//! may stand before our range: there a rule must be one that the block can have, too.

use super::observed::{Family, PROTOCOL, Route, Rule, TABLE_LOCAL, TABLE_MAIN};
use crate::config::Ranges;

pub(super) fn is_our_rule(ranges: Ranges, rule: &Rule) -> bool {
    let moved = rule.priority < ranges.rule_priority;
    rule.protocol == PROTOCOL
        && (ranges.has_priority(rule.priority) || (moved && is_of_block(ranges, rule)))
}

pub(super) fn is_our_route(ranges: Ranges, route: &Route) -> bool {
    route.protocol == PROTOCOL && ranges.has_table(route.table)
}

/// Whether a rule has the shape of one that keeps the block's place, skips a part of it, or looks a
/// source up.
fn is_of_block(ranges: Ranges, rule: &Rule) -> bool {
    let plain = rule.oif.is_none() && rule.mark.is_none() && rule.refusal.is_none() && !rule.other;
    if rule.is_nop() {
        return true;
    }
    if !plain || rule.iif.as_deref() != Some("lo") {
        return false;
    }
    let Rule { source, destination, invert, table, goto, suppress_prefix_length, .. } = rule;
    match (source, destination, goto, suppress_prefix_length) {
        (_, None, Some(_), None) => *invert,
        (None, None, None, None) => !invert && *table == TABLE_LOCAL,
        (Some(_), _, None, None) if ranges.has_table(*table) => !invert,
        (Some(_), None, None, None) => !invert && *table == TABLE_MAIN,
        (Some(net), None, None, Some(length)) => {
            let specific = u32::from(Family::of_net(net).default_bits());
            !invert && *table == TABLE_MAIN && *length == specific
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::desired::desire;
    use crate::state::fixture::{crowd, many, net, rule, two_networks};
    use crate::state::saved_sysctls::SavedSysctls;

    /// Whatever the block may have is recognised where it is moved to.
    #[test]
    fn rules_of_a_moved_block_are_ours() {
        let ranges = Ranges::default();
        for host in [two_networks().address("lo", "198.51.100.1/32"), crowd(&many(200))] {
            let config = crate::config::Config::default();
            let desired = desire(&config, &host.0, &host.uplinks(), &SavedSysctls::default());
            assert!(desired.rules.len() > 8);
            for rule in desired.rules {
                let moved = Rule { priority: rule.priority - 20_000, ..rule };
                assert!(is_our_rule(ranges, &moved), "{moved}");
                let foreign = Rule { protocol: 4, ..moved.clone() };
                assert!(!is_our_rule(ranges, &foreign), "{foreign}");
                let behind = Rule { priority: 30_000, ..moved };
                assert!(!is_our_rule(ranges, &behind), "{behind}");
            }
        }
    }

    #[test]
    fn the_protocol_number_alone_makes_no_rule_ours() {
        let ranges = Ranges::default();
        let source = Some(net("10.9.9.9/32"));
        let of = |priority, table| rule(Family::V4, priority, source, table, PROTOCOL);
        let own = Rule { iif: Some("lo".to_owned()), ..of(20_000, 21_001) };
        assert!(is_our_rule(ranges, &own));
        for foreign in [
            of(20_000, 77),
            of(20_000, 21_001),
            Rule { table: 77, ..own.clone() },
            Rule { invert: true, ..own.clone() },
            Rule { source: None, ..own.clone() },
            Rule { oif: Some("eth0".to_owned()), ..own.clone() },
            Rule { suppress_prefix_length: Some(0), table: TABLE_MAIN, ..own.clone() },
        ] {
            assert!(!is_our_rule(ranges, &foreign), "{foreign}");
        }
        assert!(is_our_rule(ranges, &of(21_500, 77)), "in our range everything with it is");
    }
}
