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
mod findings;
mod gateways;
mod inspection;
mod long_step;
mod moves;
mod own_source;
mod pace;
mod records;
mod reload;
mod repairs;
mod routing;
mod stacked;
mod telling;
mod trouble;
mod undo;
mod unknown;
mod window;

pub use daemon::{Daemon, Stop};
pub use error::ReconcileError;
pub use undo::{Undone, undo};

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::config::Config;
use crate::datapath::{Pins, Tables};
use crate::instance::Instance;
use crate::netlink::{Change, KeptGateway, Kernel, Monitor};
use crate::reconcile::datapath::Datapath;
use crate::reconcile::error::first_failure;
use crate::reconcile::events::{Counts, Events};
use crate::reconcile::inspection::Inspection;
use crate::reconcile::moves::MoveLimit;
use crate::reconcile::repairs::Repairs;
use crate::reconcile::telling::{say_left_out, summary};
use crate::runtime::{DaemonReport, Journal, Records, RunDirectory, Store};
use crate::state::desired::{Desired, Recognised, desire_with};
use crate::state::diff::{Collision, diff};
use crate::state::discover::discover;
use crate::state::families::Families;
use crate::state::findings::{Finding, findings};
use crate::state::ids::{allocate_recalling, follow_macs};
use crate::state::locals::{local_addresses, local_prefixes};
use crate::state::observed::Observed;
use crate::state::plan::Plan;
use crate::state::remembered::{Recall, RememberedId};
use crate::state::share::{self, LeftOut};
use crate::state::succession;
use crate::state::uplink::{LocalAddress, Skipped, Uplink};

/// The kernel tells the rest of a route's life in hundredths of a second, and does not tell a
/// route that has just expired from one that never will.
const EXPIRY_GRACE: Duration = Duration::from_millis(50);

/// Tables that changed all the time are read again after this.
const UNSTEADY: Duration = Duration::from_secs(1);

/// With fewer uplinks there is nothing to decide.
const ENOUGH_UPLINKS: usize = 2;

/// Brings one instance's rules, tables and datapath in line with the network.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Reconciler {
    config: Config,
    pins: Pins,
    kernel: Kernel,
    datapath: Option<Datapath>,
    /// What must be undone.
    pub journal: Journal,
    /// What `status` and `reload` are told.
    pub report: DaemonReport,
    /// Which device has which id, over reboots; and what of it is written down.
    ids: Vec<RememberedId>,
    written_ids: Vec<RememberedId>,
    store: Store,
    log_packets: bool,
    /// A gateway does not resolve, and the kernel (before 5.16) does not try again by itself.
    retries_gateways: bool,
    /// Gateways with entries of ours, which are asked from time to time.
    gateways: Vec<KeptGateway>,
    /// When a route of others expires, which the kernel announces much later.
    expiry: Option<Instant>,
    /// Said once, not every round.
    recognised: Vec<Recognised>,
    /// Likewise.
    undecided: Vec<String>,
    /// Likewise: what keeps own sources, and what rules cost.
    own_source: Vec<String>,
    repairs: Repairs,
    moves: MoveLimit,
    inspection: Inspection,
    /// The last round's plan was too long for one round.
    unfinished: bool,
    /// Rules and routes wait for a table that does not hold still.
    unsteady: bool,
    /// Larger tables could not be made; when to try again.
    larger_tables_due: Option<Instant>,
    /// What the log is told, and the uplinks as they were told last.
    events: Events,
    told: Option<Vec<Uplink>>,
    /// Rules and routes that the last round changed.
    counts: Counts,
    /// What the kernel refuses now leaves nothing behind: a configuration is being tried.
    refusable: bool,
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
            pins: Pins::of(instance),
            kernel,
            datapath: None,
            journal: records.journal,
            report: DaemonReport::following(records.report),
            written_ids: records.ids.clone(),
            ids: records.ids,
            store: Store::of(&RunDirectory::of(instance)),
            log_packets,
            retries_gateways: false,
            gateways: Vec::new(),
            expiry: None,
            recognised: Vec::new(),
            undecided: Vec::new(),
            own_source: Vec::new(),
            repairs: Repairs::default(),
            moves: MoveLimit::new(Instant::now()),
            inspection: Inspection::default(),
            unfinished: false,
            unsteady: false,
            larger_tables_due: None,
            events: Events::default(),
            told: None,
            counts: Counts::default(),
            refusable: false,
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether a managed uplink has a gateway without a link-layer address.
    pub fn awaits_gateways(&self) -> bool {
        self.datapath.is_some()
            && self.report.uplinks.iter().map(|uplink| &uplink.device).any(|device| {
                let waits = |gateway: Option<IpAddr>, usable, resolved: bool| {
                    gateway.is_some() && usable && !resolved
                };
                let subnets = || device.subnet_gateways.iter();
                subnets().any(|s| waits(Some(s.gateway), s.usable, s.resolved))
                    || waits(device.gateway4, device.gateway4_usable, device.gateway4_resolved)
                    || waits(device.gateway6, device.gateway6_usable, device.gateway6_resolved)
            })
    }

    /// Whether another round is due soon although nothing changes.
    pub fn retries_gateways(&self) -> bool {
        self.retries_gateways
    }

    /// Whether another round is due at once.
    pub fn is_unfinished(&self) -> bool {
        self.unfinished
    }

    /// Whether the last round left rules and routes as they were, because a table did not hold still.
    pub fn is_unsteady(&self) -> bool {
        self.unsteady
    }

    /// When the next route of others expires: another round is due then.
    pub fn expiry(&self) -> Option<Instant> {
        self.expiry
    }

    /// When what others deleted again and again is put back next, or what failed is tried again.
    pub fn repair_due(&self) -> Option<Instant> {
        let inspection = self.inspection.allowance.due();
        self.repairs.due().into_iter().chain(inspection).chain(self.larger_tables_due).min()
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
        let (found, skipped) = discover(&self.config, &observed);
        let pinned = match &self.datapath {
            None if self.pins.exists() => Some(Tables::open(&self.pins)?),
            _ => None,
        };
        let tables = self.datapath.as_ref().map(|datapath| &datapath.tables).or(pinned.as_ref());
        let mut known = tables.map(Tables::known_ids).transpose()?.unwrap_or_default();
        let in_force = tables.map(Tables::in_force).transpose()?.unwrap_or_default();
        follow_macs(&mut known, &self.report.uplinks, &observed.links);
        let recall = Recall { remembered: &self.ids, links: &observed.links };
        let mut uplinks = allocate_recalling(&known, recall, found);
        succession::keep(&mut uplinks, &observed, &in_force);
        let mut locals = local_addresses(&observed, &uplinks);
        let mut prefixes = local_prefixes(&observed);
        let left_out = share::limit(&mut uplinks, &mut locals, &mut prefixes);
        let moves = self.moves.allowed(Instant::now());
        let desired = desire_with(&self.config, &observed, &uplinks, &self.journal.sysctls, moves);
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

    /// A round whose failure is a refusal: nothing is half-applied then. That something went in the
    /// middle of it is none: `false` asks for another round.
    ///
    /// # Errors
    ///
    /// What is refused.
    async fn try_to_converge(
        &mut self,
        monitor: &mut Monitor,
        change: Change,
    ) -> Result<bool, ReconcileError> {
        self.refusable = true;
        let result = self.converge(monitor, change).await;
        self.refusable = false;
        match result {
            Err(error) if error.is_transient() => {
                tracing::debug!("{error}");
                Ok(false)
            }
            result => result.map(|()| true),
        }
    }

    /// One round, after a change. What each uplink is comes first: that one is down must not wait
    /// for another's thousands of routes. Then rules and tables, on which a reply to a new address
    /// depends before the datapath moves it. When they fail in a running datapath, its tables still
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
    ) -> Result<(), ReconcileError> {
        self.expiry = self.expiry.filter(|due| *due > Instant::now());
        let mut observed = self.observe().await?;
        // One that was to expire just now seems to last for ever: what was due stays due.
        let next = observed.next_expiry.map(|left| Instant::now() + left + EXPIRY_GRACE);
        self.expiry = self.expiry.into_iter().chain(next).min();
        monitor.correct_gateways(&mut observed);
        self.journal.sysctls.follow(&observed.links);
        let mut outlook = self.outlook(observed)?;
        let kept = &outlook.desired.neighbours;
        monitor.watch_gateways(&outlook.observed, &outlook.uplinks, kept);
        monitor.watch_main_routes(&outlook.uplinks);
        let families = Families::used(&outlook.observed);
        if self.datapath.is_none() {
            // Refused before anything is changed; what goes on in spite of others goes on.
            if !self.pins.exists() {
                outlook.plan.as_ref().map_err(Clone::clone)?;
            }
            if outlook.uplinks.len() >= ENOUGH_UPLINKS || self.pins.has_any() {
                // Where there is a datapath, there is a journal, or it was lost.
                self.store.save_journal(&self.journal);
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
        self.unsteady = outlook.observed.unsteady;
        let applied = if self.unsteady {
            // What is right will be known when the tables hold still.
            self.unfinished = false;
            self.expiry = self.expiry.into_iter().chain([Instant::now() + UNSTEADY]).min();
            Ok(())
        } else {
            self.route(&mut outlook, change, monitor).await
        };
        if applied.is_ok() && !self.unsteady && !self.unfinished {
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
        let retried = self.kernel.retry_failed_gateways(&outlook.observed).await;
        self.retries_gateways = matches!(retried, Ok(1..));
        self.gateways = gateways::kept(&outlook);
        self.repairs.kept(&self.gateways);
        self.say_recognised(&outlook.desired.recognised);
        self.say_undecided(&outlook.uplinks);
        self.say_own_source(&outlook);
        self.remember_ids(&outlook);
        self.report.summary = summary(&outlook.uplinks);
        self.report.uplinks = outlook.uplinks;
        self.report.skipped = outlook.skipped;
        say_left_out(&self.report.left_out, &outlook.left_out);
        self.report.left_out = outlook.left_out;
        if !self.unsteady {
            self::findings::say(&self.report.findings, &outlook.findings);
            self.report.findings = outlook.findings;
        }
        self.save();
        first_failure([facts, applied, synced, retried.map(drop).map_err(Into::into)])
    }
}
