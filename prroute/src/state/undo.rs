//! Taking everything back.

use super::desired::{Desired, nothing};
use super::diff::difference;
use super::observed::{Observed, PROTOCOL, Rule};
use super::plan::{Op, Plan};
use crate::config::{Config, Ranges};
use crate::state::saved_sysctls::SavedSysctls;

/// The plan that removes everything of ours. It needs nothing but what the kernel shows, apart
/// from the old values of sysctls.
pub fn undo(config: &Config, observed: &Observed, saved: &SavedSysctls) -> Plan {
    difference(config.ranges, &nothing(observed, saved), observed)
}

/// The plan that removes our rules and routes from ranges that are no longer ours, apart from
/// where they overlap with those that are, and from what is `desired`.
pub fn leave(former: Ranges, now: Ranges, desired: &Desired, observed: &Observed) -> Plan {
    let is_left = |op: &Op| match op {
        Op::DeleteRule(rule) => !now.has_priority(rule.priority) && !desired.rules.contains(rule),
        Op::DeleteRoute(route) => !now.has_table(route.table),
        _ => false,
    };
    let plan = difference(former, &Desired::default(), observed);
    Plan { ops: plan.ops.into_iter().filter(is_left).collect() }
}

/// What is told to be ours by its protocol, wherever it is, beyond what the plan deletes: for when
/// nobody knows our ranges. Shortcuts go before the rules that they lead to.
pub fn recognised(plan: &Plan, observed: &Observed) -> Vec<Op> {
    let rules = observed.rules.iter().filter(|rule| rule.protocol == PROTOCOL);
    let (shortcuts, rules): (Vec<&Rule>, Vec<&Rule>) = rules.partition(|rule| rule.is_shortcut());
    let rules = shortcuts.into_iter().chain(rules).cloned().map(Op::DeleteRule);
    let routes = observed.routes.iter().filter(|route| route.protocol == PROTOCOL);
    let all = rules.chain(routes.cloned().map(Op::DeleteRoute));
    all.filter(|op| !plan.ops.contains(op)).collect()
}

#[cfg(test)]
mod tests;
