//! Rules of others that catch everything: no reply gets past them.

use ipnet::IpNet;

use super::observed::{Family, Observed, RouteKind, Rule, TABLE_LOCAL};
use super::ours::is_our_rule;
use crate::config::Ranges;

/// Rules of others that decide about what the host sends from some of `sources`, wherever it goes: a
/// lookup of a table with a default route, a refusal, or a way past our rules. In the order of their
/// priorities.
///
/// A reply has no mark, unless somebody gives it one to have it routed by that; so a rule for a mark
/// catches nothing, and one for all but a mark does. A rule for sources is somebody's wish for just
/// these.
pub(super) fn catch_alls<'a>(
    ranges: Ranges,
    observed: &'a Observed,
    family: Family,
    sources: &[IpNet],
) -> Vec<&'a Rule> {
    let mut found: Vec<&Rule> = observed
        .rules
        .iter()
        .filter(|rule| rule.family == family && !is_our_rule(ranges, rule))
        .filter(|rule| sources.iter().any(|source| selects(rule, source)))
        .filter(|rule| decides(rule, observed) || leads_past(rule, ranges))
        .collect();
    found.sort_by_key(|rule| rule.priority);
    found
}

/// Whether an unmarked packet of the host's own matches, wherever it goes.
fn selects(rule: &Rule, source: &IpNet) -> bool {
    if rule.other || (rule.source.is_some() && !rule.invert) {
        return false;
    }
    let is_listed = rule.source.is_none_or(|net| net.contains(source))
        && rule.destination.is_none()
        && rule.iif.as_deref().is_none_or(|iif| iif == "lo")
        && rule.oif.is_none()
        && rule.mark.is_none_or(|mark| mark.value & mark.mask == 0);
    is_listed != rule.invert
}

/// Whether the packet's way is known after it.
fn decides(rule: &Rule, observed: &Observed) -> bool {
    let suppressed =
        |length: u8| rule.suppress_prefix_length.is_some_and(|most| u32::from(length) <= most);
    rule.refusal.is_some()
        || (!matches!(rule.table, 0 | TABLE_LOCAL)
            && observed.routes.iter().any(|route| {
                route.table == rule.table
                    && route.family() == rule.family
                    && route.is_default()
                    && (route.kind == RouteKind::Unicast || route.kind.refuses())
                    && !suppressed(route.destination.prefix_len())
            }))
}

fn leads_past(rule: &Rule, ranges: Ranges) -> bool {
    rule.goto.is_some_and(|target| target > ranges.rule_priority)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::{net, rule, two_networks};
    use crate::state::observed::{Mark, PROTOCOL, Rejection};

    const TABLE: u32 = 51_820;

    fn is_catch_all(rule: &Rule) -> bool {
        let mut host = two_networks()
            .route_with("eth1", "0.0.0.0/0", None, TABLE, 0, 4)
            .route_with("eth1", "0.0.0.0/1", None, 88, 0, 4)
            .route_with("eth1", "10.0.0.0/8", None, 99, 0, 4)
            .route_with("eth1", "0.0.0.0/0", None, 66, 0, 4);
        host.0.routes.last_mut().unwrap().kind = RouteKind::Other(6);
        host.0.rules.push(rule.clone());
        let sources = [net("192.168.1.0/24"), net("192.168.2.0/24")];
        catch_alls(Ranges::default(), &host.0, Family::V4, &sources).contains(&rule)
    }

    fn lookup(table: u32) -> Rule {
        rule(Family::V4, 5000, None, table, 3)
    }

    fn mark(value: u32, mask: u32) -> Option<Mark> {
        Some(Mark { value, mask })
    }

    #[test]
    fn what_decides_about_every_reply_is_one() {
        let wireguard = Rule { mark: mark(51_820, u32::MAX), invert: true, ..lookup(TABLE) };
        for rule in [
            lookup(TABLE),
            lookup(88),
            lookup(66),
            lookup(254),
            wireguard,
            Rule { mark: mark(0, 0xff), ..lookup(TABLE) },
            Rule { iif: Some("lo".to_owned()), ..lookup(TABLE) },
            Rule { iif: Some("eth0".to_owned()), invert: true, ..lookup(TABLE) },
            Rule { source: Some(net("192.168.1.0/24")), invert: true, ..lookup(TABLE) },
            Rule { destination: Some(net("10.0.0.0/8")), invert: true, ..lookup(TABLE) },
            Rule { suppress_prefix_length: Some(0), ..lookup(88) },
            Rule { refusal: Some(Rejection::Unreachable), ..lookup(0) },
            Rule { goto: Some(30_000), ..lookup(0) },
        ] {
            assert!(is_catch_all(&rule), "{rule}");
        }
    }

    #[test]
    fn what_decides_about_some_packets_is_none() {
        for rule in [
            lookup(99),
            lookup(77),
            lookup(TABLE_LOCAL),
            Rule { protocol: PROTOCOL, priority: 21_500, ..lookup(TABLE) },
            Rule { family: Family::V6, ..lookup(TABLE) },
            Rule { mark: mark(0x80000, 0xff_0000), ..lookup(254) },
            Rule { source: Some(net("192.168.1.0/24")), ..lookup(TABLE) },
            Rule { source: Some(net("192.168.0.0/16")), invert: true, ..lookup(TABLE) },
            Rule { destination: Some(net("10.0.0.0/8")), ..lookup(TABLE) },
            Rule { iif: Some("eth0".to_owned()), ..lookup(TABLE) },
            Rule { iif: Some("lo".to_owned()), invert: true, ..lookup(TABLE) },
            Rule { oif: Some("eth0".to_owned()), ..lookup(TABLE) },
            Rule { suppress_prefix_length: Some(0), ..lookup(254) },
            Rule { other: true, ..lookup(TABLE) },
            Rule { mark: mark(1, 1), refusal: Some(Rejection::Unreachable), ..lookup(0) },
            Rule { goto: Some(6000), ..lookup(0) },
            Rule::nop(Family::V4, 5000),
        ] {
            assert!(!is_catch_all(&rule), "{rule}");
        }
    }
}
