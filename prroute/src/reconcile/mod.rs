//! From what the kernel shows to what it should show, again and again:
//!
//! ```text
//! observe -> uplinks, ids -> desired -> plan -> apply rules and tables
//!                        \-> addresses, facts -> datapath tables -> attach
//! ```

mod daemon;
mod decision_log;
mod reload;
mod repairs;
mod routing;
mod undo;

pub use daemon::{Daemon, Stop};
pub use undo::{Undone, undo};

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::config::{Attach, Config};
use crate::datapath::attach::{self, Hook};
use crate::datapath::sockets::Sockets;
use crate::datapath::{DatapathError, LoadOptions, Pins, Programs, Tables};
use crate::instance::Instance;
use crate::netlink::{ApplyError, Change, Kernel, Monitor, NetlinkError};
use crate::reconcile::repairs::Repairs;
use crate::runtime::memory::AttachedDevice;
use crate::runtime::{Memory, RunDirectory, RuntimeError};
use crate::state::desired::{Desired, Recognised, desire};
use crate::state::diff::{Collision, diff};
use crate::state::discover::discover;
use crate::state::ids::{allocate, follow_macs};
use crate::state::locals::local_addresses;
use crate::state::observed::Observed;
use crate::state::plan::Plan;
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

/// The kernel tells the rest of a route's life in hundredths of a second.
const EXPIRY_GRACE: Duration = Duration::from_millis(20);

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
    /// When a route of others expires, which the kernel announces much later.
    expiry: Option<Instant>,
    /// Said once, not every round.
    recognised: Vec<Recognised>,
    repairs: Repairs,
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
            expiry: None,
            recognised: Vec::new(),
            repairs: Repairs::default(),
        })
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether a managed uplink has a gateway without a link-layer address.
    pub fn awaits_gateways(&self) -> bool {
        self.datapath.is_some()
            && self.memory.uplinks.iter().map(|uplink| &uplink.device).any(|device| {
                let waits = |gateway: Option<IpAddr>, usable, resolved: bool| {
                    gateway.is_some() && usable && !resolved
                };
                waits(device.gateway4, device.gateway4_usable, device.gateway4_resolved)
                    || waits(device.gateway6, device.gateway6_usable, device.gateway6_resolved)
            })
    }

    /// Whether another round is due soon although nothing changes.
    pub fn retries_gateways(&self) -> bool {
        self.retries_gateways
    }

    /// When the next route of others expires: another round is due then.
    pub fn expiry(&self) -> Option<Instant> {
        self.expiry
    }

    /// When what others deleted again and again is put back next.
    pub fn repair_due(&self) -> Option<Instant> {
        self.repairs.due()
    }

    /// Looks at the kernel and plans, without changing anything.
    ///
    /// # Errors
    ///
    /// When the kernel or the pinned tables cannot be read.
    pub async fn look(&self) -> Result<Outlook, ReconcileError> {
        self.outlook(self.kernel.observe().await?)
    }

    fn outlook(&self, observed: Observed) -> Result<Outlook, ReconcileError> {
        let (found, skipped) = discover(&self.config, &observed);
        let mut known = match &self.datapath {
            Some(datapath) => datapath.tables.known_ids()?,
            None if self.pins.exists() => Tables::open(&self.pins)?.known_ids()?,
            None => Vec::new(),
        };
        follow_macs(&mut known, &self.memory.uplinks, &observed.links);
        let uplinks = allocate(&known, found);
        let desired = desire(&self.config, &observed, &uplinks, &self.memory.sysctls);
        let plan = diff(&self.config, &desired, &observed);
        Ok(Outlook { observed, uplinks, skipped, desired, plan })
    }

    /// One round, after a change. Rules and tables come first: they stand on their own, and a
    /// reply that the datapath moves must have a route before. When they fail in a running
    /// datapath, its tables still follow the network.
    ///
    /// # Errors
    ///
    /// Tells what failed first; rules and tables are as they were before then, and the next
    /// round tries again. Before the datapath is loaded an error means that nothing was changed.
    pub async fn converge(
        &mut self,
        monitor: &mut Monitor,
        change: Change,
    ) -> Result<(), ReconcileError> {
        self.expiry = None;
        let mut observed = self.kernel.observe().await?;
        self.expiry = observed.next_expiry.map(|left| Instant::now() + left + EXPIRY_GRACE);
        monitor.correct_gateways(&mut observed);
        let mut outlook = self.outlook(observed)?;
        let kept = &outlook.desired.neighbours;
        monitor.watch_gateways(&outlook.observed, &outlook.uplinks, kept);
        if self.datapath.is_none() {
            outlook.plan.as_ref().map_err(Clone::clone)?;
            if outlook.uplinks.len() >= ENOUGH_UPLINKS || self.pins.exists() {
                self.load()?;
            }
        }
        let applied = self.route(&mut outlook, change, monitor).await;
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
