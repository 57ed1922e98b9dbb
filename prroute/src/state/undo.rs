//! Taking everything back.

use super::desired::{Desired, nothing};
use super::diff::difference;
use super::observed::Observed;
use super::plan::{Op, Plan};
use crate::config::{Config, Ranges};
use crate::sysctl::SavedSysctls;

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
