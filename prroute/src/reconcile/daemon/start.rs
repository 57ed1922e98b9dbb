//! The first rounds, until the daemon is ready or asked to end.

use std::future::ready;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, sleep_until};

use super::{Daemon, at, notify};
use crate::build;
use crate::netlink::Change;
use crate::reconcile::long_step::LongStep;
use crate::reconcile::{Outcome, ReconcileError};

/// How long the start waits for thousands of rules and routes: the rest follows.
const START_LIMIT: Duration = Duration::from_secs(300);

/// How long it waits for tables to hold still.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// How long the start waits for gateways that do not answer.
const GATEWAY_PATIENCE: Duration = Duration::from_secs(1);

impl Daemon {
    /// The first round: an error here means that nothing is managed. A signal that ends the daemon ends the
    /// start between two rounds, and is what [`Daemon::follow`] then tells.
    ///
    /// # Errors
    ///
    /// What the first round failed with.
    pub async fn start(&mut self) -> Result<(), ReconcileError> {
        self.reconciler.records.note_start();
        let mut outcome = self.try_round().await?;
        let limit = Instant::now() + START_PATIENCE;
        let mut waits = outcome == Outcome::Unsteady;
        while waits && Instant::now() < limit && !self.is_to_end().await {
            outcome = self.try_round().await?;
            waits = matches!(outcome, Outcome::Unsteady | Outcome::Interrupted);
        }
        self.finish(outcome).await?;
        if self.is_to_end().await {
            return Ok(());
        }
        self.await_gateways().await?;
        self.reconciler.records.report.ready = Some(true);
        self.reconciler.publish();
        let report = &self.reconciler.records.report;
        tracing::info!(event = "ready", "ready, {}; {}", report.summary, build::InOneLine);
        notify(&[NotifyState::Ready, NotifyState::Status(&report.summary)]);
        Ok(())
    }

    /// Who waits for the start finds all rules and routes in force, however many there are.
    async fn finish(&mut self, mut outcome: Outcome) -> Result<(), ReconcileError> {
        if outcome != Outcome::Unfinished {
            return Ok(());
        }
        let summary = &self.reconciler.records.report.summary;
        let _step = LongStep::begin("making rules and routes", summary, START_LIMIT);
        let limit = Instant::now() + START_LIMIT;
        while outcome == Outcome::Unfinished && Instant::now() < limit && !self.is_to_end().await {
            outcome = self.try_round().await?;
        }
        Ok(())
    }

    /// Whether a signal to end has come.
    async fn is_to_end(&mut self) -> bool {
        // The runtime hears of signals when there is nothing else to do.
        tokio::task::yield_now().await;
        let came = tokio::select! {
            biased;
            _ = self.terminate.recv() => Some("SIGTERM"),
            _ = self.interrupt.recv() => Some("SIGINT"),
            () = ready(()) => None,
        };
        self.ended_by = self.ended_by.or(came);
        self.ended_by.is_some()
    }

    /// Ready means that replies are steered: a gateway that resolves at all does so at once.
    async fn await_gateways(&mut self) -> Result<(), ReconcileError> {
        let limit = Instant::now() + GATEWAY_PATIENCE;
        let mut is_over = false;
        while self.reconciler.awaits_gateways() && !is_over {
            let is_news = tokio::select! {
                () = sleep_until(limit) => {
                    // A daemon that got no processor for a second has the answers still to read.
                    is_over = true;
                    let waiting = self.monitor.take_waiting();
                    self.hear(&waiting)
                }
                () = at(self.reconciler.gateways.next_due()) => self.reconciler.wake().await,
                announced = self.monitor.next() => self.hear(&announced?),
            };
            if is_news {
                self.try_round().await?;
            }
        }
        Ok(())
    }

    /// A round of the start, which fails when something is refused.
    async fn try_round(&mut self) -> Result<Outcome, ReconcileError> {
        let outcome = self.reconciler.try_to_converge(&mut self.monitor, self.change).await?;
        if outcome != Outcome::Interrupted {
            self.change = Change::default();
        }
        Ok(outcome)
    }
}
