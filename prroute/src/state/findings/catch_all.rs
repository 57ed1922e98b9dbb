//! Rules of others that catch everything, and where ours stand because of them.

use super::owner::owner;
use super::{Finding, Kind, Severity};
use crate::config::{Config, RANGE};
use crate::state::desired::Desired;
use crate::state::observed::{Family, Rule};
use crate::state::place::{BLOCK, Place, Stays};

pub(super) fn findings(config: &Config, desired: &Desired) -> Vec<Finding> {
    let mut all = Vec::new();
    for (rule, families, place) in grouped(desired, |place| &place.behind) {
        all.push(Finding {
            severity: Severity::Warning,
            what: format!(
                "rule {rule} ({families}) matches all packets before prroute's rules do: replies \
                 follow it, and do not leave by the uplink that their request came in on"
            ),
            owner: owner(rule).map(str::to_owned),
            remedy: Some(remedy(config, place)),
            ..Finding::about(Kind::CatchAll, object(rule))
        });
    }
    all.extend(moved(desired));
    for (rule, families, _) in grouped(desired, |place| &place.before) {
        if is_behind(desired, rule) {
            all.push(Finding {
                severity: Severity::Warning,
                what: format!(
                    "rule {rule} ({families}) matches all packets before prroute's rules for `to` \
                     and `bind-device`, so that these have no effect"
                ),
                owner: owner(rule).map(str::to_owned),
                remedy: Some(format!("give it a priority above {}", end(config))),
                ..Finding::about(Kind::CatchAllDestinations, object(rule))
            });
        }
    }
    all
}

/// Where the rules for sources are, if not in our range, and why.
fn moved(desired: &Desired) -> Option<Finding> {
    let places: Vec<&Place> = desired.places.iter().filter(|place| !place.home).collect();
    let first = places.first()?;
    let range = |place: &Place| format!("{}..{}", place.first, place.first + BLOCK - 1);
    let stand = if places.iter().all(|place| place.first == first.first) {
        let families: Vec<_> = places.iter().map(|place| name(place.family)).collect();
        format!("{} sources are at priorities {}", families.join(" and "), range(first))
    } else {
        let each: Vec<_> =
            places.iter().map(|p| format!("{} ({})", range(p), name(p.family))).collect();
        format!("sources are at priorities {}", each.join(" and "))
    };
    let rule = places.iter().find_map(|place| place.before.first());
    let because = match rule {
        Some(rule) => format!("before rule {rule}, which matches all packets"),
        None => "where they moved because a rule of others matched all packets".to_owned(),
    };
    let before = rule.map_or_else(|| "gone".to_owned(), object);
    Some(Finding {
        severity: Severity::Notice,
        what: format!("prroute's rules for {stand}, {because}"),
        owner: rule.and_then(owner).map(str::to_owned),
        ..Finding::about(Kind::Moved, format_args!("{before}:{}", first.first))
    })
}

/// Each rule once, with the families that have it.
fn grouped<'a>(
    desired: &'a Desired,
    rules: impl Fn(&'a Place) -> &'a Vec<Rule>,
) -> Vec<(&'a Rule, String, &'a Place)> {
    let mut groups: Vec<(&Rule, Vec<&str>, &Place)> = Vec::new();
    for place in &desired.places {
        for rule in rules(place) {
            let same = |group: &&mut (&Rule, Vec<&str>, &Place)| object(group.0) == object(rule);
            match groups.iter_mut().find(same) {
                Some((_, families, _)) if families.contains(&name(place.family)) => {}
                Some((_, families, _)) => families.push(name(place.family)),
                None => groups.push((rule, vec![name(place.family)], place)),
            }
        }
    }
    groups.into_iter().map(|(rule, names, place)| (rule, names.join(" and "), place)).collect()
}

/// What makes rules of both families the same one.
fn object(rule: &Rule) -> String {
    match (rule.goto, rule.refusal) {
        (Some(target), _) => format!("goto-{target}"),
        (None, Some(refusal)) => format!("{refusal}-{}", rule.priority),
        (None, None) => format!("table-{}", rule.table),
    }
}

const fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// Whether rules of ours that do not move are behind it.
fn is_behind(desired: &Desired, rule: &Rule) -> bool {
    desired.rules.iter().any(|ours| {
        ours.family == rule.family
            && ours.source.is_none()
            && (ours.destination.is_some() || ours.oif.is_some())
            && rule.priority <= ours.priority
    })
}

const fn end(config: &Config) -> u32 {
    config.ranges.rule_priority + RANGE - 1
}

fn remedy(config: &Config, place: &Place) -> String {
    let above = end(config);
    match place.stays {
        Some(Stays::Fixed) => {
            let first = place.behind.first().map_or(0, |rule| rule.priority);
            match first.checked_sub(RANGE).filter(|priority| *priority > 0) {
                Some(below) => format!(
                    "take rule-priority out of the configuration, and prroute puts its rules \
                     before it, or set rule-priority to {below} or less"
                ),
                None => "take rule-priority out of the configuration, and prroute puts its rules \
                     before it"
                    .to_owned(),
            }
        }
        Some(Stays::Often) => format!(
            "give it a priority above {above}: prroute has moved its rules several times, and \
             moves them again when ten minutes have passed without a move"
        ),
        Some(Stays::NoRoom) | None => format!(
            "give it a priority above {above}: there are no {BLOCK} free priorities in a row \
             before it"
        ),
    }
}

#[cfg(test)]
mod tests;
