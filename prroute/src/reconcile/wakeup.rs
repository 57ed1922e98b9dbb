//! What the daemon does at a time, although nothing is announced.

use std::time::Instant;

use sd_notify::NotifyState;

use crate::reconcile::Reconciler;
use crate::reconcile::daemon::notify;

impl Reconciler {
    /// When to [act](Self::wake) although nothing is announced.
    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        let others = [
            self.schedule.alive(),
            self.next_inspection(),
            self.gateways.next_due(),
            self.log.due(),
            self.next_sysctl_look(),
            self.next_table_look(),
            self.next_round(),
        ];
        others.into_iter().flatten().min()
    }

    fn next_round(&self) -> Option<Instant> {
        let repairs = self.repairs.due().into_iter().chain(self.datapath.next_round()).min();
        // A round that did not get as far as them has left them due.
        let repairs = repairs.map(|due| due.max(self.schedule.not_before()));
        self.schedule.next_round().into_iter().chain(repairs).min()
    }

    /// Does what is due, but for a round. Tells whether one is due.
    pub(super) async fn wake(&mut self) -> bool {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.schedule.alive()) {
            notify(&[NotifyState::Watchdog]);
            self.schedule.said_alive(now);
        }
        let silent = self.gateways.expire(now);
        let questions = self.gateways.take_due(now);
        if let Err(error) = self.kernel.question_gateways(&questions).await {
            // A gateway that does not answer is told of; they are asked again soon.
            tracing::debug!("{error}");
        }
        if is_due(self.log.due()) {
            self.log.tell_the_rest();
        }
        if is_due(self.next_sysctl_look()) {
            self.look_at_sysctls(now);
        }
        if is_due(self.next_table_look()) {
            self.look_at_tables(now);
        }
        let lost = is_due(self.next_inspection()) && self.inspect().await;
        silent || lost || is_due(self.next_round())
    }
}
