//! From what is to what should be: additions first, then deletions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::desired::Desired;
use super::observed::{Family, Observed, Route, RouteKey, Rule};
use super::ours::{is_our_route, is_our_rule};
use super::place::BLOCK;
use super::plan::{NeighbourKey, Op, Plan};
use crate::config::{Config, Ranges};

/// So many rules and routes are named.
const SHOWN: usize = 4;

/// Objects of others in the ranges that are ours. They are never deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Collision {
    pub ranges: Ranges,
    pub rules: Vec<Rule>,
    pub routes: Vec<Route>,
}

impl fmt::Display for Collision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ranges { rule_priority, table } = self.ranges;
        let last = crate::config::RANGE - 1;
        write!(
            f,
            "rule priorities {rule_priority}..{} and tables {table}..{} are prroute's, but others \
             have objects there (move these, or set rule-priority and table):",
            rule_priority + last,
            table + last
        )?;
        for rule in self.rules.iter().take(SHOWN) {
            write!(f, " [rule: {rule}]")?;
        }
        for route in self.routes.iter().take(SHOWN) {
            write!(f, " [route: {route}]")?;
        }
        let more = |count: usize| count.saturating_sub(SHOWN);
        match (more(self.rules.len()), more(self.routes.len())) {
            (0, 0) => Ok(()),
            (rules, 0) => write!(f, " and {rules} more rules"),
            (0, routes) => write!(f, " and {routes} more routes"),
            (rules, routes) => write!(f, " and {rules} more rules and {routes} more routes"),
        }
    }
}

/// The plan that makes the desired state of the observed one.
///
/// # Errors
///
/// A rule of others in our range of priorities, or a route of others in our range of tables,
/// when there is something to add.
pub fn diff(config: &Config, desired: &Desired, observed: &Observed) -> Result<Plan, Collision> {
    if !(desired.rules.is_empty() && desired.routes.is_empty()) {
        refuse_foreign(config.ranges, observed)?;
    }
    Ok(difference(config.ranges, desired, observed))
}

/// The plan in spite of objects of others that came into our ranges: they stay as they are, and in
/// force. Where a route of theirs has the key of one that is desired, nothing is changed under that key:
/// the kernel might take theirs for ours.
pub fn in_spite_of(collision: &Collision, desired: &Desired, observed: &Observed) -> Plan {
    let ranges = collision.ranges;
    let theirs: BTreeSet<_> = collision.routes.iter().map(Route::key).collect();
    let (taken, mut routes): (Vec<Route>, Vec<Route>) =
        desired.routes.iter().cloned().partition(|route| theirs.contains(&route.key()));
    let taken: BTreeSet<_> = taken.iter().map(Route::key).collect();
    let is_beside = |route: &&Route| is_our_route(ranges, route) && taken.contains(&route.key());
    routes.extend(observed.routes.iter().filter(is_beside).cloned());
    difference(ranges, &Desired { routes, ..desired.clone() }, observed)
}

fn refuse_foreign(ranges: Ranges, observed: &Observed) -> Result<(), Collision> {
    let is_unasked = |rule: &Rule| {
        unasked_end(ranges, rule.family, observed).is_some_and(|end| rule.priority < end)
    };
    let rules: Vec<Rule> = observed
        .rules
        .iter()
        .filter(|rule| ranges.has_priority(rule.priority) && !is_our_rule(ranges, rule))
        .filter(|rule| !is_unasked(rule))
        .cloned()
        .collect();
    let routes: Vec<Route> = observed
        .routes
        .iter()
        .filter(|route| ranges.has_table(route.table) && !is_our_route(ranges, route))
        .cloned()
        .collect();
    if rules.is_empty() && routes.is_empty() {
        return Ok(());
    }
    Err(Collision { ranges, rules, routes })
}

/// Up to where rules of others in our range need not have been put there: the kernel gives a rule
/// without a priority the one before the first of all. `None` while nothing of ours is there.
fn unasked_end(ranges: Ranges, family: Family, observed: &Observed) -> Option<u32> {
    let home = ranges.rule_priority;
    let in_range = |rule: &&Rule| {
        let ours = ranges.has_priority(rule.priority) && is_our_rule(ranges, rule);
        rule.family == family && ours
    };
    let priorities = || observed.rules.iter().filter(in_range).map(|rule| rule.priority);
    // The rule that keeps them out of the range did not do so before there was one.
    let first = priorities().filter(|priority| *priority != home).min();
    first.or_else(|| priorities().next().map(|_| home + BLOCK))
}

pub(super) fn difference(ranges: Ranges, desired: &Desired, observed: &Observed) -> Plan {
    let mut ops: Vec<Op> = desired.loosen.iter().cloned().map(Op::LoosenRpFilter).collect();

    let (manage, release) = neighbours(desired, observed);
    ops.extend(manage);
    let (add, delete) = routes(ranges, desired, observed);
    ops.extend(add);
    ops.extend(rules(ranges, desired, observed));
    ops.extend(delete);
    ops.extend(release);
    ops.extend(desired.restore.iter().cloned().map(Op::RestoreRpFilter));
    Plan { ops }
}

/// First rules are added, then wrong shortcuts deleted, then new ones added, then rules deleted: a shortcut
/// must never skip a rule that its packets need. Without shortcuts the other rules decide the same.
fn rules(ranges: Ranges, desired: &Desired, observed: &Observed) -> Vec<Op> {
    let mut missing: BTreeSet<&Rule> = desired.rules.iter().collect();
    let mut superfluous = Vec::new();
    for rule in observed.rules.iter().filter(|rule| is_our_rule(ranges, rule)) {
        // The second of two equal rules is as superfluous as one that is not desired.
        if !missing.remove(rule) {
            superfluous.push(rule);
        }
    }
    let is_shortcut = |rule: &&Rule| rule.is_shortcut();
    let (skip, add): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_shortcut);
    let (keep, delete): (Vec<_>, Vec<_>) = superfluous.into_iter().partition(is_shortcut);
    let op = |op: fn(Rule) -> Op| move |rule: &Rule| op(rule.clone());
    add.into_iter()
        .map(op(Op::AddRule))
        .chain(keep.into_iter().map(op(Op::DeleteRule)))
        .chain(skip.into_iter().map(op(Op::AddRule)))
        // A source's own table is not asked alone when main's specific routes no longer are.
        .chain(delete.into_iter().rev().map(op(Op::DeleteRule)))
        .collect()
}

fn routes(ranges: Ranges, desired: &Desired, observed: &Observed) -> (Vec<Op>, Vec<Op>) {
    let mut present: BTreeMap<RouteKey, Vec<&Route>> = BTreeMap::new();
    for route in observed.routes.iter().filter(|route| is_our_route(ranges, route)) {
        present.entry(route.key()).or_default().push(route);
    }
    let mut add = Vec::new();
    for route in &desired.routes {
        match present.get_mut(&route.key()) {
            None => add.push(Op::AddRoute(route.clone())),
            Some(there) => match there.iter().position(|r| *r == route) {
                Some(index) => {
                    there.swap_remove(index);
                }
                None if there.is_empty() => add.push(Op::AddRoute(route.clone())),
                None => {
                    // Replaced in one step: the kernel has one route per prefix and metric.
                    let old = there.swap_remove(0).clone();
                    add.push(Op::ReplaceRoute { old, new: route.clone() });
                }
            },
        }
    }
    let delete = present.into_values().flatten().cloned().map(Op::DeleteRoute).collect();
    (add, delete)
}

/// An entry of ours that the kernel does not manage is from a kernel that cannot; it is as good
/// as we can have it.
fn neighbours(desired: &Desired, observed: &Observed) -> (Vec<Op>, Vec<Op>) {
    let ours: BTreeSet<NeighbourKey> = observed
        .neighbours
        .iter()
        .filter(|neighbour| neighbour.is_ours())
        .filter_map(|n| {
            let device = observed.link(n.ifindex)?.name.clone();
            Some(NeighbourKey { ifindex: n.ifindex, address: n.address, device })
        })
        .collect();
    let manage = desired.neighbours.difference(&ours).cloned().map(Op::ManageNeighbour);
    let release = ours.difference(&desired.neighbours).cloned().map(Op::ReleaseNeighbour);
    (manage.collect(), release.collect())
}

#[cfg(test)]
mod tests;
