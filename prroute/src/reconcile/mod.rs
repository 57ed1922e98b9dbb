//! From what the kernel shows to what it should show, again and again:
//!
//! ```text
//! observe -> uplinks, ids -> desired -> plan -> apply rules and tables
//!                        \-> addresses, facts -> datapath tables -> attach
//! ```

mod daemon;
mod decision_log;
mod undo;

pub use daemon::{Daemon, Stop};
pub use undo::{Undone, undo};

use std::collections::BTreeMap;
use std::io::ErrorKind;

use crate::config::{Attach, Config};
use crate::datapath::attach::{self, Hook};
use crate::datapath::sockets::Sockets;
use crate::datapath::{DatapathError, LoadOptions, Pins, Programs, Tables};
use crate::instance::Instance;
use crate::netlink::{ApplyError, Kernel, Monitor, NetlinkError};
use crate::runtime::memory::AttachedDevice;
use crate::runtime::{Memory, RunDirectory, RuntimeError};
use crate::state::desired::{Desired, Recognised, desire};
use crate::state::diff::{Collision, diff};
use crate::state::discover::discover;
use crate::state::ids::allocate;
use crate::state::locals::local_addresses;
use crate::state::observed::Observed;
use crate::state::plan::{Op, Plan};
use crate::state::undo::undo as undo_plan;
use crate::state::uplink::{Ifindex, Skipped, Uplink, UplinkId};

/// Why the desired state was not reached.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Datapath(#[from] DatapathError),
    #[error(transparent)]
    Collision(#[from] Collision),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error("watch the decision log: {0}")]
    DecisionLog(#[source] std::io::Error),
}

impl ReconcileError {
    /// Whether the kernel refused for want of a capability.
    pub fn is_permission_denied(&self) -> bool {
        match self {
            Self::Netlink(error) => error.is_permission_denied(),
            Self::Datapath(error) => error.is_permission_denied(),
            Self::Apply(error) => error.is_permission_denied(),
            Self::Runtime(error) => error.source.kind() == ErrorKind::PermissionDenied,
            Self::Collision(_) | Self::DecisionLog(_) => false,
        }
    }
}

/// With fewer uplinks there is nothing to decide.
const ENOUGH_UPLINKS: usize = 2;

/// Brings one instance's rules, tables and datapath in line with the network.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Reconciler {
    config: Config,
    pins: Pins,
    directory: RunDirectory,
    kernel: Kernel,
    datapath: Option<Datapath>,
    memory: Memory,
    log_packets: bool,
    /// A gateway does not resolve, and the kernel (before 5.16) does not try again by itself.
    retries_gateways: bool,
    /// Said once, not every round.
    recognised: Vec<Recognised>,
}

struct Datapath {
    programs: Programs,
    tables: Tables,
    /// What this process has attached; what an earlier one attached runs an older program.
    attached: BTreeMap<UplinkId, (Ifindex, u16)>,
}

/// Everything that follows from one look at the kernel.
#[derive(Debug)]
pub struct Outlook {
    pub observed: Observed,
    pub uplinks: Vec<Uplink>,
    pub skipped: Vec<Skipped>,
    pub desired: Desired,
    /// What brings rules, tables, neighbours and sysctls there, or whose objects are in the way.
    pub plan: Result<Plan, Collision>,
}

impl Reconciler {
    /// # Errors
    ///
    /// When an earlier daemon's memory cannot be read.
    pub fn new(
        config: Config,
        instance: &Instance,
        kernel: Kernel,
        log_packets: bool,
    ) -> Result<Self, ReconcileError> {
        let directory = RunDirectory::of(instance);
        let memory = directory.load()?.unwrap_or_else(|| Memory::new(config.ranges));
        Ok(Self {
            config,
            pins: Pins::of(instance),
            directory,
            kernel,
            datapath: None,
            memory,
            log_packets,
            retries_gateways: false,
            recognised: Vec::new(),
        })
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether another round is due soon although nothing changes.
    pub fn retries_gateways(&self) -> bool {
        self.retries_gateways
    }

    /// Looks at the kernel and plans, without changing anything.
    ///
    /// # Errors
    ///
    /// When the kernel or the pinned tables cannot be read.
    pub async fn look(&self) -> Result<Outlook, ReconcileError> {
        let observed = self.kernel.observe().await?;
        let (found, skipped) = discover(&self.config, &observed);
        let known = match &self.datapath {
            Some(datapath) => datapath.tables.known_ids()?,
            None if self.pins.exists() => Tables::open(&self.pins)?.known_ids()?,
            None => Vec::new(),
        };
        let uplinks = allocate(&known, found);
        let desired = desire(&self.config, &observed, &uplinks, &self.memory.sysctls);
        let plan = diff(&self.config, &desired, &observed);
        Ok(Outlook { observed, uplinks, skipped, desired, plan })
    }

    /// One round. Rules and tables come first: they stand on their own, and a reply that the
    /// datapath moves must have a route before. When they fail in a running datapath, its tables
    /// still follow the network.
    ///
    /// # Errors
    ///
    /// Tells what failed first; rules and tables are as they were before then, and the next
    /// round tries again. Before the datapath is loaded an error means that nothing was changed.
    pub async fn converge(&mut self, monitor: &mut Monitor) -> Result<(), ReconcileError> {
        let outlook = self.look().await?;
        monitor.watch_gateways(&outlook.observed, &outlook.uplinks);
        if self.datapath.is_none() {
            outlook.plan.as_ref().map_err(Clone::clone)?;
            if outlook.uplinks.len() >= ENOUGH_UPLINKS || self.pins.exists() {
                self.load()?;
            }
        }
        self.leave_old_ranges(&outlook.observed).await?;
        let applied = self.apply(&outlook).await;
        let synced = self.sync_datapath(&outlook);
        self.retries_gateways = self.kernel.retry_failed_gateways(&outlook.observed).await? > 0;
        self.say_recognised(&outlook.desired.recognised);
        self.memory.summary = summary(&outlook.uplinks);
        self.memory.uplinks = outlook.uplinks;
        self.memory.skipped = outlook.skipped;
        self.directory.save(&self.memory)?;
        applied.and(synced)
    }

    fn load(&mut self) -> Result<(), ReconcileError> {
        let sockets = Sockets::find(self.config.udp_source);
        let options = LoadOptions {
            flows: self.config.flows,
            log_packets: self.log_packets,
            netns_cookie: sockets.netns_cookie(),
        };
        let mut programs = Programs::load(&self.pins, options)?;
        self.memory.udp_source = Some(sockets.attach(&mut programs, &self.pins)?);
        if self.log_packets {
            decision_log::forward(programs.decision_log()?)?;
        }
        let tables = Tables::open(&self.pins)?;
        self.datapath = Some(Datapath { programs, tables, attached: BTreeMap::new() });
        Ok(())
    }

    /// The configuration moved our rules and tables: those in the former ranges go. The datapath
    /// steers meanwhile.
    async fn leave_old_ranges(&mut self, observed: &Observed) -> Result<(), ReconcileError> {
        if self.memory.ranges == self.config.ranges {
            return Ok(());
        }
        let former = Config { ranges: self.memory.ranges, ..Config::default() };
        let plan = Plan {
            ops: undo_plan(&former, observed, &self.memory.sysctls)
                .ops
                .into_iter()
                .filter(|op| matches!(op, Op::DeleteRule(_) | Op::DeleteRoute(_)))
                .collect(),
        };
        self.kernel.apply(&plan).await?;
        self.memory.ranges = self.config.ranges;
        Ok(())
    }

    fn say_recognised(&mut self, recognised: &[Recognised]) {
        for found in recognised.iter().filter(|found| !self.recognised.contains(found)) {
            tracing::info!(
                "{} is routed by source already (rule {} to table {}): nothing is added for it",
                found.address,
                found.priority,
                found.table
            );
        }
        self.recognised = recognised.to_vec();
    }

    /// Applies the plan. Old values of sysctls are on disk before they are overwritten.
    async fn apply(&mut self, outlook: &Outlook) -> Result<(), ReconcileError> {
        let plan = outlook.plan.as_ref().map_err(Clone::clone)?;
        if plan.is_empty() {
            return Ok(());
        }
        self.memory.sysctls.begin(plan, &outlook.observed);
        self.directory.save(&self.memory)?;
        for operation in &plan.ops {
            tracing::info!("{operation}");
        }
        let result = self.kernel.apply(plan).await;
        match result {
            Ok(()) => self.memory.sysctls.commit(plan),
            Err(error) => {
                self.memory.sysctls.abort(plan);
                self.directory.save(&self.memory)?;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Writes the tables, attaches to new uplinks, detaches from what is none any more. One
    /// uplink that cannot be attached does not keep the others from being.
    fn sync_datapath(&mut self, outlook: &Outlook) -> Result<(), ReconcileError> {
        let Some(datapath) = &mut self.datapath else { return Ok(()) };
        let locals = local_addresses(&outlook.observed, &outlook.uplinks);
        datapath.tables.sync(&outlook.uplinks, &locals)?;
        let hook = match self.config.attach {
            Attach::Auto => None,
            Attach::Tcx => Some(Hook::Tcx),
            Attach::Clsact => Some(Hook::Clsact),
        };
        let mut failure = None;
        for uplink in &outlook.uplinks {
            let device = (uplink.device.ifindex, uplink.generation);
            if datapath.attached.get(&uplink.id) == Some(&device) {
                continue;
            }
            // The id came to another device: links to the old one would be taken for its own.
            if self.memory.attached(uplink.id).is_some_and(|old| old.ifindex != device.0) {
                attach::detach_tcx(&self.pins, uplink.id)?;
            }
            match attach::attach(&mut datapath.programs, &self.pins, uplink, hook) {
                Ok(attached) => {
                    tracing::info!(
                        "{}: uplink {} attached ({:?})",
                        uplink.device.name,
                        uplink.id,
                        attached.hook
                    );
                    datapath.attached.insert(uplink.id, device);
                    remember(&mut self.memory, uplink, attached);
                }
                Err(error) => failure = Some(error),
            }
        }
        datapath.attached.retain(|id, _| outlook.uplinks.iter().any(|uplink| uplink.id == *id));
        undo::detach_except(&self.pins, &mut self.memory, &outlook.uplinks)?;
        self.pins.remove_other_layouts()?;
        failure.map_or(Ok(()), |error| Err(error.into()))
    }
}

fn remember(memory: &mut Memory, uplink: &Uplink, attached: attach::Attached) {
    // A qdisc that an earlier daemon made is still ours.
    let made_before = memory.attached.iter().any(|device| {
        device.id == uplink.id
            && device.ifindex == uplink.device.ifindex
            && device.hook == attached.hook
            && device.made_qdisc
    });
    memory.attached.retain(|device| device.id != uplink.id);
    memory.attached.push(AttachedDevice {
        id: uplink.id,
        ifindex: uplink.device.ifindex,
        name: uplink.device.name.clone(),
        hook: attached.hook,
        made_qdisc: attached.made_qdisc || made_before,
    });
}

fn summary(uplinks: &[Uplink]) -> String {
    let names: Vec<_> = uplinks.iter().map(|uplink| uplink.device.name.as_str()).collect();
    match uplinks.len() {
        0 => "waiting: no uplink found; two are needed".to_owned(),
        1 => format!("waiting: one uplink ({}); two are needed", names.join(", ")),
        count => format!("managing {count} uplinks: {}", names.join(", ")),
    }
}
