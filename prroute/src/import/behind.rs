//! Rules that stay behind one that would go: once that is gone, they decide instead of it, before prroute does.

use std::collections::BTreeSet;

use super::fate::Fate;
use super::model::{Action, Device, Kind, Rule, Setup, Table, number};
use super::tables::way;
use crate::config::{DEFAULT_RULE_PRIORITY, PRIORITY_MAIN, RANGE};
use crate::family::Family;
use crate::state::observed::{Mark, TABLE_LOCAL, overlap};

/// A rule, and what becomes of it; an error says why it stays.
pub(super) type Outcome<'a> = (&'a Rule, Result<Fate, String>);

/// Keeps each rule that one which stays needs, or would decide instead of. The more stay, the more may be behind others.
pub(super) fn keep_before_kept(setup: &Setup, outcomes: &mut [Outcome<'_>]) {
    loop {
        let kept: Vec<&Rule> =
            outcomes.iter().filter(|(_, fate)| fate.is_err()).map(|(rule, _)| *rule).collect();
        let uplinks: BTreeSet<Device> =
            outcomes.iter().filter_map(|(_, fate)| uplink_of(fate.as_ref().ok()?)).collect();
        let mut found = false;
        for (rule, outcome) in outcomes.iter_mut() {
            let why = outcome.as_ref().ok().and_then(|fate| {
                kept.iter().find_map(|other| reason(setup, &uplinks, rule, fate, other))
            });
            if let Some(why) = why {
                *outcome = Err(why);
                found = true;
            }
        }
        if !found {
            return;
        }
    }
}

/// The interface that the configuration names instead of a rule.
fn uplink_of(fate: &Fate) -> Option<Device> {
    match fate {
        Fate::Source(way) | Fate::Replaced(way) => Some(way.device.clone()),
        Fate::Kernels | Fate::Specific => None,
    }
}

/// Why a rule stays because of another one that does.
fn reason(
    setup: &Setup,
    uplinks: &BTreeSet<Device>,
    rule: &Rule,
    fate: &Fate,
    other: &Rule,
) -> Option<String> {
    if rule.family != other.family || matches!(fate, Fate::Kernels) {
        return None;
    }
    let name = || other.priority.map_or_else(|| format!("`{other}`"), |it| format!("rule {it}"));
    if rule.priority.is_some() && goes_on_at(other) == rule.priority {
        return Some(format!("{} goes on at it", name()));
    }
    // Rules for main's specific routes go only where nothing stays.
    let would_decide = matches!(fate, Fate::Source(_) | Fate::Replaced(_))
        && is_behind(rule, other)
        && overlaps(rule, other)
        && decides(setup, uplinks, rule, other)
        && !is_evaded(setup, rule, other);
    would_decide.then(|| match other.priority {
        Some(_) => format!("{} behind it would decide instead", name()),
        None => format!("{} may be behind it, and would decide instead", name()),
    })
}

fn goes_on_at(rule: &Rule) -> Option<u32> {
    match &rule.action {
        Action::Other(action) => action.strip_prefix("goto ").and_then(number),
        Action::Lookup(_) => None,
    }
}

/// Whether `other` may come after the rule, and before what does the rule's work: prroute's rules; for packets in
/// transit, which have none, main. A priority that is not known may be any. (In the place of a rule for a source without
/// one the removal has rules before main's for a moment.)
fn is_behind(rule: &Rule, other: &Rule) -> bool {
    let is_transit = rule.mark.is_some() || own_iif(rule).is_some();
    let has_stand_in = rule.from.is_some() && rule.priority.is_none();
    let end = match is_transit || has_stand_in {
        true => PRIORITY_MAIN,
        false => DEFAULT_RULE_PRIORITY + RANGE,
    };
    let first = rule.priority.unwrap_or_default();
    first < end && other.priority.is_none_or(|priority| (first..end).contains(&priority))
}

/// The interface that packets in transit come in on.
fn own_iif(rule: &Rule) -> Option<&str> {
    rule.iif.as_deref().filter(|iif| *iif != "lo")
}

/// Whether packets that match the rule may match `other`.
fn overlaps(rule: &Rule, other: &Rule) -> bool {
    if other.invert {
        return !has_all(rule, other);
    }
    let bits = |a: Mark, b: Mark| (a.value ^ b.value) & a.mask & b.mask == 0;
    let ways_in = match (own_iif(rule), &other.iif) {
        // One about sources, but not about the way in, is about the host's own packets.
        (Some(_), None) => other.from.is_none(),
        (Some(iif), Some(its)) => iif == its,
        (None, Some(its)) => its == "lo" || !is_about_own(rule),
        (None, None) => true,
    };
    both(rule.from, other.from, |a, b| overlap(&a, &b))
        && both(rule.to, other.to, |a, b| overlap(&a, &b))
        && both(rule.mark, other.mark, bits)
        && both(rule.oif.as_ref(), other.oif.as_ref(), |a, b| a == b)
        && ways_in
}

/// Whether two conditions of one kind can hold together; one that is not there always holds.
fn both<T>(a: Option<T>, b: Option<T>, holds: impl Fn(T, T) -> bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => holds(a, b),
        _ => true,
    }
}

/// Whether a rule that is replaced is about the host's own packets only.
fn is_about_own(rule: &Rule) -> bool {
    rule.from.is_some() || rule.oif.is_some() || rule.iif.as_deref() == Some("lo")
}

/// Whether all packets that match the rule have what `other` names.
fn has_all(rule: &Rule, other: &Rule) -> bool {
    let has_mark = |wanted: Mark| {
        rule.mark.is_some_and(|mark| {
            mark.mask & wanted.mask == wanted.mask && mark.value & wanted.mask == wanted.value
        })
    };
    !other.partial
        && other.other.is_empty()
        && other.from.is_none_or(|net| rule.from.is_some_and(|its| net.contains(&its)))
        && other.to.is_none_or(|net| rule.to.is_some_and(|its| net.contains(&its)))
        && other.mark.is_none_or(has_mark)
        && (other.oif.is_none() || other.oif == rule.oif)
        && match other.iif.as_deref() {
            Some("lo") => is_about_own(rule),
            Some(iif) => own_iif(rule) == Some(iif),
            None => true,
        }
}

/// Whether `other` sends packets elsewhere than the rule does, or nowhere.
fn decides(setup: &Setup, uplinks: &BTreeSet<Device>, rule: &Rule, other: &Rule) -> bool {
    let table = match &other.action {
        Action::Other(action) => return action != "nop",
        Action::Lookup(table) => table,
    };
    // The programs bring a connection's packets back from the uplink of its source, also from main's.
    let is_brought_back = rule.mark.is_some()
        && other.mark.is_none()
        && other.from.is_some()
        && (*table == Table::MAIN || leads_over_uplink(setup, uplinks, other.family, table));
    // main's specific routes come first with prroute, too.
    let is_specific = *table == Table::MAIN && other.suppress_prefix_length.is_some();
    let is_local = *table == Table::Number(TABLE_LOCAL);
    let is_of_vrfs = other.other.iter().any(|word| word == "l3mdev");
    let is_same = matches!(&rule.action, Action::Lookup(its) if its == table);
    !(is_brought_back || is_specific || is_local || is_of_vrfs || is_same)
}

/// Whether all that a table decides leaves by an uplink, where the programs are, and nothing is refused.
fn leads_over_uplink(
    setup: &Setup,
    uplinks: &BTreeSet<Device>,
    family: Family,
    table: &Table,
) -> bool {
    setup.unread_route(family, table).is_none()
        && way(setup, family, table).is_ok_and(|way| !way.holds && uplinks.contains(&way.device))
}

/// Whether prroute's rules for sources go before `other`, as it decides about all that the source sends
/// (`state::catch_all`).
fn is_evaded(setup: &Setup, rule: &Rule, other: &Rule) -> bool {
    let Some(source) = rule.from else { return false };
    let is_about_some = other.partial || !other.other.is_empty();
    if is_about_some || other.from.is_some() && !other.invert {
        return false;
    }
    let is_listed = other.from.is_none_or(|net| net.contains(&source))
        && other.to.is_none()
        && own_iif(other).is_none()
        && other.oif.is_none()
        && other.mark.is_none_or(|mark| mark.value & mark.mask == 0);
    let most = other.suppress_prefix_length;
    is_listed != other.invert
        && match &other.action {
            Action::Other(_) => goes_on_at(other).is_none_or(|it| it > DEFAULT_RULE_PRIORITY),
            Action::Lookup(table) => setup.routes.iter().any(|route| {
                let length = route.destination.prefix_len();
                route.table == *table
                    && route.family() == rule.family
                    && route.source.is_none()
                    && length <= route.family().default_bits()
                    && matches!(route.kind, Kind::Unicast | Kind::Refusal(_))
                    && most.is_none_or(|most| u32::from(length) > most)
            }),
        }
}

#[cfg(test)]
mod tests;
