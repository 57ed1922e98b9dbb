//! One round: look at the kernel, bring rules and tables about, write the datapath's tables, attach.

use std::time::{Duration, Instant};

use crate::netlink::{Change, Monitor};
use crate::reconcile::error::first_failure;
use crate::reconcile::{ENOUGH_UPLINKS, Outlook, ReconcileError, Reconciler, own_source};
use crate::state::families::Families;

/// A gateway that does not resolve is asked again after this.
const GATEWAY_RETRY: Duration = Duration::from_secs(3);

/// What a round brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All that is desired is in place.
    Complete,
    /// Some rules and routes are left for the next rounds.
    Unfinished,
    /// Rules and routes are as they were: a routing table changed while it was read.
    Unsteady,
    /// Something was removed in the middle of it: the next round knows.
    Interrupted,
    /// All but the programs on a device where something of others has their place.
    WithoutDevice,
}

/// What becomes of what was changed before the kernel refuses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnRefusal {
    /// It stays: the next round tries again.
    Keep,
    /// It is taken back: a configuration is being tried.
    TakeBack,
}

impl Reconciler {
    fn watch_gateways(&mut self, outlook: &Outlook) {
        let Outlook { observed, uplinks, desired, .. } = outlook;
        let seconds = u64::from(self.config.gateway_probe);
        let period = (seconds > 0).then(|| Duration::from_secs(seconds));
        self.gateways.watch(observed, uplinks, &desired.neighbours, period, Instant::now());
    }

    /// A round whose failure is a refusal: nothing is half-applied then. That something was removed in
    /// the middle of it is none, nor that a single device cannot have the programs.
    ///
    /// # Errors
    ///
    /// What is refused.
    pub(super) async fn try_to_converge(
        &mut self,
        monitor: &mut Monitor,
        change: Change,
    ) -> Result<Outcome, ReconcileError> {
        match self.round(monitor, change, OnRefusal::TakeBack).await {
            Err(error) if error.is_transient() || error.is_of_one_device() => {
                tracing::debug!("{error}");
                let is_unfinished =
                    self.schedule.next_round().is_some_and(|due| due <= Instant::now());
                Ok(match error.is_transient() {
                    _ if is_unfinished => Outcome::Unfinished,
                    true => Outcome::Interrupted,
                    // The round that comes soon tells the log of it.
                    false => Outcome::WithoutDevice,
                })
            }
            result => result,
        }
    }

    /// One round, after a change. When rules and tables fail in a running datapath, its tables still
    /// follow the network.
    ///
    /// # Errors
    ///
    /// Tells what failed first; an uplink's rules and tables are as they were before then, and the
    /// next round tries again. Before the datapath is loaded an error means that nothing was changed.
    pub(super) async fn converge(
        &mut self,
        monitor: &mut Monitor,
        change: Change,
    ) -> Result<Outcome, ReconcileError> {
        self.round(monitor, change, OnRefusal::Keep).await
    }

    async fn round(
        &mut self,
        monitor: &mut Monitor,
        change: Change,
        on_refusal: OnRefusal,
    ) -> Result<Outcome, ReconcileError> {
        self.schedule.begin_round(Instant::now());
        let result = self.observe_and_apply(monitor, change, on_refusal).await;
        match &result {
            Ok(_) => self.schedule.round_succeeded(),
            Err(error) => {
                let pause = self.schedule.round_failed(Instant::now());
                tracing::debug!("{error}; trying again in {} s", pause.as_secs());
            }
        }
        result
    }

    /// What each uplink is comes first: that one is down must not wait for another's thousands of
    /// routes. Then rules and tables, on which a reply to a new address depends before the datapath
    /// moves it.
    async fn observe_and_apply(
        &mut self,
        monitor: &mut Monitor,
        change: Change,
        on_refusal: OnRefusal,
    ) -> Result<Outcome, ReconcileError> {
        let observed = self.observe().await?;
        if let Some(rest) = observed.next_expiry {
            self.schedule.expires_in(rest, Instant::now());
        }
        self.gateways.look(&observed, Instant::now());
        self.records.journal.sysctls.follow(&observed.links);
        let mut outlook = self.outlook(observed)?;
        self.watch_gateways(&outlook);
        monitor.watch_neighbours(self.gateways.watched());
        monitor.watch_routes(self.config.ranges, &outlook.observed, &outlook.uplinks);
        let families = Families::used(&outlook.observed);
        if self.datapath.loaded.is_none() {
            // Refused before anything is changed; what goes on in spite of others goes on.
            let pins = &self.datapath.pins;
            if !pins.exists() && pins.predecessor()?.is_none() {
                outlook.plan.as_ref().map_err(Clone::clone)?;
            }
            if outlook.uplinks.len() >= ENOUGH_UPLINKS || self.datapath.pins.has_any() {
                // Where there is a datapath, there is a journal, or it was lost.
                self.records.store.save_journal(&self.records.journal);
                self.load(families)?;
            }
        }
        let mut facts = self.sync_facts(&outlook);
        let mut synced = None;
        if own_source::leaves_rules(&outlook) {
            // The programs keep own sources before the rules for them go.
            synced = Some(self.sync_datapath(&outlook).await);
            if facts.is_err() || matches!(synced, Some(Err(_))) {
                own_source::keep_rules(&mut outlook);
            }
        }
        let mut outcome = Outcome::Unsteady;
        let applied = if outlook.observed.unsteady {
            // What is right will be known when the tables hold still, and what is missing.
            self.repairs.compared_nothing(change);
            self.schedule.round_was_unsteady(Instant::now());
            Ok(())
        } else {
            let routed = self.route(&mut outlook, change, monitor, on_refusal).await;
            routed.map(|reached| outcome = reached)
        };
        if outcome == Outcome::Complete {
            facts = facts.and(self.release_own_source(&outlook));
        }
        self.tell(&outlook);
        let mut synced = match synced {
            Some(synced) => synced,
            None => self.sync_datapath(&outlook).await,
        };
        // All that is new is in force before this takes its second.
        if self.follow_families(families) {
            synced = self.sync_datapath(&outlook).await;
        }
        let failed = self.gateways.to_retry(&outlook.observed);
        let retried = self.kernel.resolve_gateways(&failed).await;
        if retried.is_ok() && !failed.is_empty() {
            self.schedule.round_by(Instant::now() + GATEWAY_RETRY);
        }
        self.repairs.kept(&self.gateways.kept_and_not_failed());
        self.note_own_source(&outlook);
        self.say(&outlook);
        self.remember_ids(&outlook);
        self.log.say_left_out(&outlook.left_out);
        self.log.restless.note(outlook.observed.unsteady);
        if !outlook.observed.unsteady {
            self.log.say_findings(&outlook.findings);
        }
        self.records.note_round(&outlook, &self.config);
        self.records.note_silence(self.gateways.silences());
        self.save();
        first_failure([facts, applied, synced, retried.map_err(Into::into)])?;
        Ok(outcome)
    }
}
