//! Rules, tables, neighbours and sysctls: from the plan to the kernel.

use std::time::Instant;

use crate::managers::{Culprit, Losses, Machine};
use crate::netlink::{Change, Monitor};
use crate::reconcile::repairs::Permission;
use crate::reconcile::{Outlook, ReconcileError, Reconciler};
use crate::runtime::report::Healed;
use crate::state::desired::Recognised;
use crate::state::diff::in_spite_of;
use crate::state::observed::Observed;
use crate::state::plan::{Op, Plan};
use crate::state::undo::leave;
use crate::state::uplink::Uplink;

/// Operations of one round: a longer plan must not keep the datapath from following.
const OPERATIONS: usize = 512;

/// Operations of one round that are logged.
const SHOWN: usize = 256;

impl Reconciler {
    /// Applies the plan, as much of it as a round may take, and leaves the ranges of an earlier
    /// configuration when it is in force. What others deleted is left out of the plan while it is
    /// not to be put back.
    pub(super) async fn route(
        &mut self,
        outlook: &mut Outlook,
        change: Change,
        monitor: &mut Monitor,
    ) -> Result<(), ReconcileError> {
        self.unfinished = false;
        self.enter_ranges();
        self.tolerate(outlook)?;
        let plan = outlook.plan.as_mut().map_err(|collision| collision.clone())?;
        let losses = self.repairs.losses(plan, change);
        if losses == Losses::default() {
            self.repairs.nothing_lost();
        } else {
            self.repair(plan, losses);
        }
        let rest = plan.split_off(OPERATIONS);
        monitor.expect_deletions(plan);
        self.apply(plan, &outlook.observed).await?;
        self.repairs.in_place(&outlook.desired);
        self.repairs.not_yet(&rest);
        self.unfinished = !rest.is_empty();
        if self.unfinished {
            tracing::info!("{} operations are left for the next rounds", rest.ops.len());
            return Ok(());
        }
        self.leave_former_ranges(&outlook.observed).await
    }

    /// What others put into our ranges while we were there is named, and no reason to leave the
    /// addresses of this host to themselves.
    fn tolerate(&mut self, outlook: &mut Outlook) -> Result<(), ReconcileError> {
        let Err(collision) = &outlook.plan else {
            if self.report.collision.take().is_some() {
                tracing::info!("nothing of others is in the ranges of prroute any more");
            }
            return Ok(());
        };
        let said = collision.to_string();
        if self.report.collision.as_ref() != Some(&said) {
            tracing::warn!("{said}; left as it is");
            self.report.collision = Some(said);
        }
        let plan = in_spite_of(collision, &outlook.desired, &outlook.observed);
        outlook.plan = Ok(plan.ok_or_else(|| collision.clone())?);
        Ok(())
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
        let culprit = Machine::default().likely_culprit(losses);
        let Losses { rules, routes } = losses;
        match permission {
            Permission::Granted => {
                tracing::warn!(
                    "putting back {rules} rules and {routes} routes of prroute that were \
                     deleted, {culprit}"
                );
                self.report.healed.get_or_insert_default().note(culprit);
            }
            Permission::NotBefore { pause, .. } => tracing::warn!(
                "rules and routes of prroute are deleted again and again, {culprit}; putting \
                 them back in {} s",
                pause.as_secs_f64().ceil()
            ),
        }
    }

    /// Old values of sysctls are on disk before they are overwritten: where that cannot be, they are
    /// left out of the plan, which else goes on.
    async fn apply(&mut self, plan: &mut Plan, observed: &Observed) -> Result<(), ReconcileError> {
        if plan.is_empty() {
            return Ok(());
        }
        self.journal.sysctls.begin(plan, observed);
        if !self.store.save_journal(&self.journal) {
            self.journal.sysctls.abort(plan);
            plan.ops.retain(|op| !matches!(op, Op::LoosenRpFilter(_)));
        }
        for operation in plan.ops.iter().take(SHOWN) {
            tracing::info!("{operation}");
        }
        if let Some(more @ 1..) = plan.ops.len().checked_sub(SHOWN) {
            tracing::info!("and {more} operations more");
        }
        match self.kernel.apply(plan).await {
            Ok(()) => {
                self.journal.sysctls.commit(plan);
                Ok(())
            }
            Err(error) => {
                self.journal.sysctls.abort(plan);
                self.store.save_journal(&self.journal);
                Err(error.into())
            }
        }
    }

    /// Another configuration may have moved our rules and tables. Both places are remembered
    /// until there is nothing in the old one.
    fn enter_ranges(&mut self) {
        let journal = &mut self.journal;
        if journal.ranges != self.config.ranges {
            let former = std::mem::replace(&mut journal.ranges, self.config.ranges);
            journal.former_ranges.retain(|ranges| *ranges != self.config.ranges);
            journal.former_ranges.push(former);
        }
    }

    async fn leave_former_ranges(&mut self, observed: &Observed) -> Result<(), ReconcileError> {
        for former in std::mem::take(&mut self.journal.former_ranges) {
            let plan = leave(former, self.config.ranges, observed);
            if let Err(error) = self.kernel.apply(&plan).await {
                self.journal.former_ranges.push(former);
                return Err(error.into());
            }
        }
        Ok(())
    }

    pub(super) fn say_recognised(&mut self, recognised: &[Recognised]) {
        for found in recognised.iter().filter(|found| !self.recognised.contains(found)) {
            tracing::info!("{found}");
        }
        self.recognised = recognised.to_vec();
    }

    pub(super) fn say_undecided(&mut self, uplinks: &[Uplink]) {
        let undecided: Vec<String> =
            uplinks.iter().flat_map(|uplink| uplink.device.undecided.iter().cloned()).collect();
        for sentence in undecided.iter().filter(|sentence| !self.undecided.contains(sentence)) {
            tracing::warn!("{sentence}");
        }
        self.undecided = undecided;
    }
}

impl Healed {
    fn note(&mut self, culprit: Culprit) {
        self.times += 1;
        self.by = culprit.to_string();
    }
}
