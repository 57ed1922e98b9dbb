//! Rules of others that catch every packet before it reaches ours.

use super::{Finding, Severity};
use crate::config::Config;
use crate::state::desired::Desired;
use crate::state::observed::{Family, Observed, PROTOCOL, Rule, TABLE_LOCAL};

/// One finding for all such rules of both families.
pub(super) fn findings(config: &Config, observed: &Observed, desired: &Desired) -> Option<Finding> {
    let last = |family| {
        let sources = desired.rules.iter().filter(|r| r.family == family && r.source.is_some());
        sources.map(|rule| rule.priority).max()
    };
    let caught: Vec<&Rule> = observed
        .rules
        .iter()
        .filter(|rule| rule.protocol != PROTOCOL && catches_everything(rule, observed))
        .filter(|rule| last(rule.family).is_some_and(|last| rule.priority <= last))
        .collect();
    let first = caught.first()?;
    Some(Finding {
        id: "catch-all".to_owned(),
        severity: Severity::Warning,
        what: format!(
            "rule {first} catches every packet before the rules of prroute: replies do not leave \
             by the uplink that was asked"
        ),
        owner: None,
        remedy: Some(format!(
            "give it a priority above {}, or set rule-priority below it",
            config.ranges.rule_priority
        )),
    })
}

fn catches_everything(rule: &Rule, observed: &Observed) -> bool {
    let Rule { source: None, destination: None, iif: None, oif: None, invert: false, .. } = rule
    else {
        return false;
    };
    !rule.other
        && rule.suppress_prefix_length.is_none()
        && rule.table != TABLE_LOCAL
        && has_default_route(observed, rule.table, rule.family)
}

fn has_default_route(observed: &Observed, table: u32, family: Family) -> bool {
    let mut routes = observed.routes.iter();
    routes.any(|r| r.table == table && r.family() == family && r.is_default())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::state::findings::findings;
    use crate::state::fixture::{Host, rule, two_networks};
    use crate::state::observed::Family;
    use crate::sysctl::SavedSysctls;

    fn found(host: &Host) -> Vec<String> {
        let (config, uplinks) = (Config::default(), host.uplinks());
        let desired =
            crate::state::desired::desire(&config, &host.0, &uplinks, &SavedSysctls::default());
        let all = findings(&config, &host.0, &uplinks, &desired);
        all.into_iter().map(|finding| finding.id).collect()
    }

    fn with_rule(priority: u32, table: u32) -> Host {
        let mut host = two_networks().route_with("eth1", "0.0.0.0/0", None, 77, 0, 4);
        host.0.rules.push(rule(Family::V4, priority, None, table, 3));
        host
    }

    #[test]
    fn a_rule_that_catches_everything_before_ours_is_found() {
        assert_eq!(found(&with_rule(5270, 77)), ["catch-all"]);
        assert!(found(&with_rule(5270, 78)).is_empty(), "the table has no default route");
        assert!(found(&with_rule(30_000, 77)).is_empty(), "it is behind ours");
    }
}
