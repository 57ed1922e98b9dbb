//! Rules, tables, neighbours and sysctls: from the plan to the kernel.

use std::time::{Duration, Instant};

use crate::config::Ranges;
use crate::json::HealedJson;
use crate::managers::{Culprit, Losses, Machine};
use crate::netlink::{Applied, Change, Monitor};
use crate::reconcile::allowance::Permission;
use crate::reconcile::held_back::Counts;
use crate::reconcile::{OnRefusal, Outcome, Outlook, ReconcileError, Reconciler};
use crate::runtime::seconds_since_1970;
use crate::state::diff::in_spite_of;
use crate::state::observed::Observed;
use crate::state::plan::{Op, Plan};
use crate::state::undo::leave;
use crate::state::units::Units;

/// Operations of one round: a longer plan must not keep the datapath from following.
const OPERATIONS: usize = 512;

/// How long after one round with a collision the next one is.
const NEXT_LOOK: Duration = Duration::from_secs(5);

impl Reconciler {
    /// Applies the plan, as much of it as a round may take, and leaves the ranges of an earlier
    /// configuration when it is in force. What others deleted is left out of the plan while it is
    /// not to be put back.
    pub(super) async fn route(
        &mut self,
        outlook: &mut Outlook,
        change: Change,
        monitor: &mut Monitor,
        on_refusal: OnRefusal,
    ) -> Result<Outcome, ReconcileError> {
        self.enter_ranges();
        self.tolerate(outlook);
        let plan = outlook.plan.as_mut().map_err(|collision| collision.clone())?;
        // What was announced until now explains what was seen, also where no round is due to it yet.
        let mut change = change;
        change.merge(monitor.heard());
        let losses = self.repairs.losses(plan, change, Instant::now());
        if losses == Losses::default() {
            self.repairs.nothing_lost();
        } else {
            self.repair(plan, losses);
        }
        monitor.expect_deletions(plan);
        let units = Units::of(self.config.ranges, &outlook.uplinks);
        let applied = self.apply(plan, &units, &outlook.observed, on_refusal).await;
        monitor.expect_taken_back(&applied.left);
        self.log.counts = Counts::of(&applied.in_force);
        self.repairs.in_place(&outlook.desired);
        self.repairs.loosened(&self.records.journal.sysctls);
        self.repairs.moves.note(&outlook.desired.places, Instant::now());
        self.repairs.not_yet(&applied.rest);
        self.repairs.not_yet(&applied.left);
        let is_unfinished = !applied.rest.is_empty();
        if is_unfinished {
            tracing::debug!("{} operations are left for the next rounds", applied.rest.ops.len());
            // Also when one of those before them failed: that is another uplink's business.
            self.schedule.round_by(Instant::now());
        }
        if let Some(error) = applied.error {
            return Err(error.into());
        }
        if is_unfinished {
            return Ok(Outcome::Unfinished);
        }
        self.leave_former_ranges(outlook).await?;
        Ok(Outcome::Complete)
    }

    /// What others put into our ranges while we were there is named, and no reason to leave the
    /// addresses of this host to themselves.
    fn tolerate(&mut self, outlook: &mut Outlook) {
        let Err(collision) = &outlook.plan else {
            if self.records.report.collision.take().is_some() {
                tracing::info!(
                    event = "collision-over",
                    "no rule or route of others is in prroute's ranges any more"
                );
            }
            return;
        };
        let said = collision.to_string();
        if self.records.report.collision.as_ref() != Some(&said) {
            tracing::warn!(event = "collision", "{said}; left as it is");
            self.records.report.collision = Some(said);
        }
        outlook.plan = Ok(in_spite_of(collision, &outlook.desired, &outlook.observed));
        // Not all that others remove from our tables is heard of.
        self.schedule.round_by(Instant::now() + NEXT_LOOK);
    }

    /// Others deleted what was in place: it comes back at once, but not in an endless fight.
    fn repair(&mut self, plan: &mut Plan, losses: Losses) {
        let permission = self.repairs.ask(Instant::now());
        if let Permission::NotBefore { first, .. } = permission {
            self.repairs.leave_out(plan);
            if !first {
                return;
            }
        }
        if losses.filters > 0 {
            tell_of_filters(&permission, losses.filters);
        }
        if !losses.has_deletions() {
            return;
        }
        let culprit = Machine::default().likely_culprit(losses);
        match permission {
            Permission::Granted => {
                tracing::warn!(
                    event = "put-back",
                    "putting back {losses} of prroute that were deleted, {culprit}"
                );
                self.records
                    .report
                    .healed
                    .get_or_insert_default()
                    .note(culprit, &losses.to_string());
            }
            Permission::NotBefore { pause, .. } => tracing::warn!(
                event = "put-back-later",
                "rules and routes of prroute are deleted again and again, {culprit}; putting \
                 them back in {} s",
                pause.as_secs_f64().ceil()
            ),
        }
    }

    /// Old values of sysctls are on disk before they are overwritten: where that cannot be, they are
    /// left out of the plan, which else goes on.
    async fn apply(
        &mut self,
        plan: &mut Plan,
        units: &Units,
        observed: &Observed,
        on_refusal: OnRefusal,
    ) -> Applied {
        self.records.journal.sysctls.begin(plan, observed);
        if !plan.is_empty() && !self.records.store.save_journal(&self.records.journal) {
            self.records.journal.sysctls.abort(plan);
            plan.ops.retain(|op| !matches!(op, Op::LoosenRpFilter(_)));
        }
        let take_back = on_refusal == OnRefusal::TakeBack;
        let applied = self.kernel.apply_by_unit(plan, units, take_back, OPERATIONS).await;
        let is_open = |op: &Op| applied.left.ops.contains(op) || applied.rest.ops.contains(op);
        self.records.journal.sysctls.record_outcome(plan, &applied.in_force, is_open);
        applied
    }

    /// Another configuration may have moved our rules and tables. Both places are remembered
    /// until there is nothing in the old one.
    fn enter_ranges(&mut self) {
        let journal = &mut self.records.journal;
        if journal.ranges != self.config.ranges {
            let former = std::mem::replace(&mut journal.ranges, self.config.ranges);
            journal.former_ranges.retain(|ranges| *ranges != self.config.ranges);
            journal.former_ranges.push(former);
        }
    }

    async fn leave_former_ranges(&mut self, outlook: &Outlook) -> Result<(), ReconcileError> {
        let (kernel, now) = (&self.kernel, self.config.ranges);
        leave_each(&mut self.records.journal.former_ranges, async |former| {
            let plan = leave(former, now, &outlook.desired, &outlook.observed);
            kernel.apply(&plan).await
        })
        .await?;
        Ok(())
    }
}

/// `rp-filter = "enforce"`.
fn tell_of_filters(permission: &Permission, count: usize) {
    match permission {
        Permission::Granted => tracing::warn!(
            event = "sysctl-set-again",
            "rp_filter was set to 1 on {count} of the uplinks' interfaces, by another program or on \
             purpose; prroute sets it to 2 again"
        ),
        Permission::NotBefore { pause, .. } => tracing::warn!(
            event = "sysctl-set-again",
            "rp_filter of uplinks is set to 1 again and again; prroute sets it to 2 again in {} s",
            pause.as_secs_f64().ceil()
        ),
    }
}

/// Leaves each of these ranges, whatever becomes of the others. Those that could not be left stay, and are
/// tried again.
///
/// # Errors
///
/// Tells what failed first.
async fn leave_each<E>(
    former: &mut Vec<Ranges>,
    mut leave: impl AsyncFnMut(Ranges) -> Result<(), E>,
) -> Result<(), E> {
    let (mut result, mut left_alone) = (Ok(()), 0);
    while let Some(ranges) = former.get(left_alone).copied() {
        match leave(ranges).await {
            Ok(()) => drop(former.remove(left_alone)),
            Err(error) => {
                left_alone += 1;
                result = result.and(Err(error));
            }
        }
    }
    result
}

impl HealedJson {
    pub(super) fn note(&mut self, culprit: Culprit, what: &str) {
        self.times += 1;
        self.last = Some(seconds_since_1970());
        self.by = culprit.to_string();
        what.clone_into(&mut self.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(table: u32) -> Ranges {
        Ranges { table, ..Ranges::default() }
    }

    /// Whoever forgets one of them leaves its rules in the kernel for good.
    #[tokio::test]
    async fn ranges_that_cannot_be_left_are_kept_and_keep_no_other_from_being_left() {
        let mut former = [1, 2, 3, 4].map(ranges).to_vec();
        let mut tried = Vec::new();
        let result = leave_each(&mut former, async |it| {
            tried.push(it.table);
            if it.table % 2 == 1 { Ok(()) } else { Err(it.table) }
        })
        .await;
        assert_eq!((result, tried), (Err(2), vec![1, 2, 3, 4]), "the first failure");
        assert_eq!(former, [2, 4].map(ranges));
        assert_eq!(leave_each(&mut former, async |_| Ok::<_, u32>(())).await, Ok(()));
        assert!(former.is_empty());
    }
}
