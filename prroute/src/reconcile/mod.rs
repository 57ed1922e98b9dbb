//! From what the kernel shows to what it should show, again and again:
//!
//! ```text
//! observe -> uplinks, ids -> desired -> plan -> apply rules and tables
//!                        \-> addresses, facts -> datapath tables -> attach
//! ```

mod allowance;
mod daemon;
mod datapath;
mod decision_log;
mod error;
mod events;
mod inspection;
mod long_step;
mod moves;
mod own_source;
mod pace;
mod records;
mod reload;
mod repairs;
mod routing;
mod schedule;
mod stacked;
mod telling;
mod trouble;
mod undo;
mod unknown;
mod window;

pub use daemon::{Daemon, Stop};
pub use error::ReconcileError;
pub use undo::{Undone, undo};

use std::time::{Duration, Instant};

use ipnet::IpNet;
use sd_notify::NotifyState;

use crate::config::Config;
use crate::datapath::{Pins, Tables};
use crate::instance::Instance;
use crate::json::UplinkJson;
use crate::netlink::{Change, Kernel, Monitor};
use crate::reconcile::daemon::notify;
use crate::reconcile::datapath::Datapath;
use crate::reconcile::error::first_failure;
use crate::reconcile::records::Written;
use crate::reconcile::repairs::Repairs;
use crate::reconcile::schedule::Schedule;
use crate::reconcile::telling::Log;
use crate::runtime::{Journal, Records, RunDirectory, Store};
use crate::state::desired::{Desired, desire_with};
use crate::state::diff::{Collision, diff};
use crate::state::discover::discover;
use crate::state::families::Families;
use crate::state::findings::{Finding, findings};
use crate::state::gateways::Gateways;
use crate::state::ids::{allocate_recalling, follow_macs};
use crate::state::locals::{local_addresses, local_prefixes};
use crate::state::observed::Observed;
use crate::state::plan::Plan;
use crate::state::remembered::Recall;
use crate::state::share::{self, LeftOut};
use crate::state::succession;
use crate::state::uplink::{LocalAddress, Skipped, Uplink, WayOut};

/// A gateway that does not resolve is asked again after this.
const GATEWAY_RETRY: Duration = Duration::from_secs(3);

/// With fewer uplinks there is nothing to decide.
const ENOUGH_UPLINKS: usize = 2;

/// Brings one instance's rules, tables and datapath in line with the network.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Reconciler {
    config: Config,
    kernel: Kernel,
    datapath: Datapath,
    records: Written,
    gateways: Gateways,
    repairs: Repairs,
    log: Log,
    schedule: Schedule,
}

/// What a round brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that is desired is in place.
    Complete,
    /// Some rules and routes are left for the next rounds.
    Unfinished,
    /// Rules and routes are as they were: a routing table changed while it was read.
    Unsteady,
    /// Something was removed in the middle of it: the next round knows.
    Interrupted,
}

/// What becomes of what was changed before the kernel refuses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnRefusal {
    /// It stays: the next round tries again.
    Keep,
    /// It is taken back: a configuration is being tried.
    TakeBack,
}

/// Everything that follows from one look at the kernel.
#[derive(Debug)]
pub struct Outlook {
    pub observed: Observed,
    pub uplinks: Vec<Uplink>,
    /// The host's addresses, as far as the datapath has room for them.
    pub locals: Vec<LocalAddress>,
    /// Prefixes that are local by a route, likewise.
    pub prefixes: Vec<IpNet>,
    /// What it has no room for.
    pub left_out: Vec<LeftOut>,
    pub skipped: Vec<Skipped>,
    pub desired: Desired,
    /// What brings rules, tables, neighbours and sysctls there, or whose objects are in the way.
    pub plan: Result<Plan, Collision>,
    /// What of others keeps it from working.
    pub findings: Vec<Finding>,
}

impl Reconciler {
    /// Goes on where `records` end.
    pub fn new(
        config: Config,
        instance: &Instance,
        kernel: Kernel,
        records: Records,
        log_packets: bool,
    ) -> Self {
        Self {
            config,
            kernel,
            datapath: Datapath::new(Pins::of(instance), log_packets),
            records: Written::new(records, Store::of(&RunDirectory::of(instance))),
            gateways: Gateways::new(Instant::now()),
            repairs: Repairs::new(Instant::now()),
            log: Log::default(),
            schedule: Schedule::new(Instant::now()),
        }
    }

    /// What must be undone.
    pub fn journal(&self) -> &Journal {
        &self.records.journal
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether a managed uplink has a gateway without a link-layer address.
    pub fn awaits_gateways(&self) -> bool {
        self.datapath.loaded.is_some()
            && self.log.uplinks.iter().flatten().map(|uplink| &uplink.device).any(|device| {
                device.subnet_gateways.iter().any(|subnet| subnet.usable && !subnet.resolved)
                    || device.way_out.iter().any(WayOut::awaits_resolution)
            })
    }

    /// When to [act](Self::wake) although nothing is announced.
    pub fn next_wakeup(&self) -> Option<Instant> {
        let others = [
            self.schedule.alive(),
            self.next_inspection(),
            self.gateways.next_due(),
            self.log.due(),
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
    pub async fn wake(&mut self) -> bool {
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
        let lost = is_due(self.next_inspection()) && self.inspect().await;
        silent || lost || is_due(self.next_round())
    }

    fn watch_gateways(&mut self, outlook: &Outlook) {
        let Outlook { observed, uplinks, desired, .. } = outlook;
        let seconds = u64::from(self.config.gateway_probe);
        let period = (seconds > 0).then(|| Duration::from_secs(seconds));
        self.gateways.watch(observed, uplinks, &desired.neighbours, period, Instant::now());
    }

    /// Looks at the kernel and plans, without changing anything.
    ///
    /// # Errors
    ///
    /// When the kernel or the pinned tables cannot be read.
    pub async fn look(&self) -> Result<Outlook, ReconcileError> {
        self.outlook(self.observe().await?)
    }

    fn outlook(&self, observed: Observed) -> Result<Outlook, ReconcileError> {
        let (found, mut skipped) = discover(&self.config, &observed, self.gateways.health());
        let pinned = match &self.datapath.loaded {
            None if self.datapath.pins.exists() => Some(Tables::open(&self.datapath.pins)?),
            _ => None,
        };
        let tables =
            self.datapath.loaded.as_ref().map(|datapath| &datapath.tables).or(pinned.as_ref());
        let mut known = tables.map(Tables::known_ids).transpose()?.unwrap_or_default();
        let in_force = tables.map(Tables::in_force).transpose()?.unwrap_or_default();
        let before: Vec<_> = self.records.report.uplinks.iter().map(UplinkJson::known).collect();
        follow_macs(&mut known, &before, &observed.links);
        let recall = Recall { remembered: &self.records.ids, links: &observed.links };
        let (mut uplinks, without_id) = allocate_recalling(&known, recall, found);
        skipped.extend(without_id);
        succession::keep(&mut uplinks, &observed, self.gateways.health(), &in_force);
        let mut locals = local_addresses(&observed, &uplinks);
        let mut prefixes = local_prefixes(&observed);
        let left_out = share::limit(&mut uplinks, &mut locals, &mut prefixes);
        let moves = self.repairs.moves.allowed(Instant::now());
        let desired =
            desire_with(&self.config, &observed, &uplinks, &self.records.journal.sysctls, moves);
        let plan = diff(&self.config, &desired, &observed);
        let findings = findings(&self.config, &observed, &uplinks, &desired);
        Ok(Outlook {
            observed,
            uplinks,
            locals,
            prefixes,
            left_out,
            skipped,
            desired,
            plan,
            findings,
        })
    }

    /// A round whose failure is a refusal: nothing is half-applied then. That something was removed in
    /// the middle of it is none.
    ///
    /// # Errors
    ///
    /// What is refused.
    async fn try_to_converge(
        &mut self,
        monitor: &mut Monitor,
        change: Change,
    ) -> Result<Outcome, ReconcileError> {
        match self.round(monitor, change, OnRefusal::TakeBack).await {
            Err(error) if error.is_transient() => {
                tracing::debug!("{error}");
                let is_unfinished =
                    self.schedule.next_round().is_some_and(|due| due <= Instant::now());
                Ok(if is_unfinished { Outcome::Unfinished } else { Outcome::Interrupted })
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
    pub async fn converge(
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
        monitor.watch_main_routes(&outlook.uplinks);
        let families = Families::used(&outlook.observed);
        if self.datapath.loaded.is_none() {
            // Refused before anything is changed; what goes on in spite of others goes on.
            if !self.datapath.pins.exists() {
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
        let applied = if outlook.observed.unsteady {
            // What is right will be known when the tables hold still.
            self.schedule.round_was_unsteady(Instant::now());
            Ok(Outcome::Unsteady)
        } else {
            self.route(&mut outlook, change, monitor, on_refusal).await
        };
        if let Ok(Outcome::Complete) = applied {
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
        if !outlook.observed.unsteady {
            self.log.say_findings(&outlook.findings);
        }
        self.records.note_round(&outlook);
        self.save();
        let outcome = applied.as_ref().ok().copied();
        let applied = applied.map(drop);
        first_failure([facts, applied, synced, retried.map_err(Into::into)])?;
        Ok(outcome.unwrap_or(Outcome::Unfinished))
    }
}
