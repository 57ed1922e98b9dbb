//! What a round would do about programs and pins, as far as the kernel tells what is there.

use std::path::{Path, PathBuf};

use crate::config::Attach;
use crate::datapath::attach::Hook;
use crate::datapath::features::{self, NEEDED};
use crate::datapath::memory::UnitLimit;
use crate::datapath::sizes::{Demand, Megabytes};
use crate::datapath::sockets::{self, Sockets};
use crate::datapath::{DatapathError, Sizes, hooks, memory, observed, tcx};
use crate::json::UdpSourceStateJson;
use crate::netlink::Direction;
use crate::reconcile::{ENOUGH_UPLINKS, Outlook, ReconcileError, Reconciler};
use crate::state::families::Families;
use crate::state::uplink::{Ifindex, Stacked};

/// Programs, links and pins that are to be made, and those that are to go.
#[derive(Debug, Default)]
pub struct Attachments {
    pub attach: Vec<ToAttach>,
    /// Names of devices that lose their programs.
    pub detach: Vec<String>,
    /// The control group to which the programs for wildcard UDP servers would be attached.
    pub cgroup: Option<PathBuf>,
    /// The programs for wildcard UDP servers are there, and are not wanted.
    pub detach_sockets: bool,
    /// The directory in which maps would be pinned.
    pub pins: Option<PathBuf>,
}

#[derive(Debug)]
pub struct ToAttach {
    pub device: String,
    pub directions: Vec<Direction>,
    /// `None`: the kernel does not tell whether it has tcx.
    pub hook: Option<Hook>,
}

/// Why no datapath can be made here.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    #[error("this kernel lacks {0}, which the programs call")]
    Features(String),
    #[error(
        "flows = {flows}: the tables take {}, which is more than the memory that prroute may have ({})",
        Megabytes(*bytes),
        Megabytes(*memory)
    )]
    Memory { flows: u32, bytes: u64, memory: u64 },
    #[error(
        "flows = {flows}: the tables take {}, and {} of the {} of {} are left for them: raise MemoryMax= of {}, or \
         lower `flows`",
        Megabytes(*bytes),
        Megabytes(limit.for_maps()),
        Megabytes(limit.bytes),
        limit.unit,
        limit.unit
    )]
    Unit { flows: u32, bytes: u64, limit: UnitLimit },
}

impl Reconciler {
    /// Compares the programs that are attached with those that are to be.
    ///
    /// # Errors
    ///
    /// What a start would be refused for, or when the kernel cannot be asked.
    pub async fn attachments(&self, outlook: &Outlook) -> Result<Attachments, ReconcileError> {
        let pins = &self.datapath.pins;
        if outlook.uplinks.len() < ENOUGH_UPLINKS && !pins.has_any() {
            return Ok(Attachments::default());
        }
        pins.check()?;
        let mut plan = Attachments::default();
        if !pins.exists() {
            self.expect_fit(Families::used(&outlook.observed))?;
            plan.pins = Some(pins.layout());
        }
        let hook = self.hook(outlook)?;
        let programs = self.records.report.programs.as_ref();
        // Programs of the other mode are replaced.
        let is_mode = programs.is_none_or(|ids| ids.observe == self.config.observes());
        let is_right =
            |there: Option<Hook>| is_mode && there.is_some() && (hook.is_none() || there == hook);
        for uplink in &outlook.uplinks {
            let (id, ifindex) = (uplink.id, uplink.device.ifindex);
            let mut are_right = true;
            for direction in Direction::BOTH {
                let pin = pins.link(id, direction);
                are_right &= is_right(self.hook_in_force(ifindex, &pin, direction).await?);
            }
            if !are_right {
                let (device, directions) = (uplink.device.name.clone(), Direction::BOTH.into());
                plan.attach.push(ToAttach { device, directions, hook });
            }
        }
        for (_, stacked) in hooks::stacked(&outlook.uplinks) {
            if !is_right(self.hook_of_stacked(stacked).await?) {
                let (device, directions) = (stacked.name.clone(), vec![Direction::Ingress]);
                plan.attach.push(ToAttach { device, directions, hook });
            }
        }
        plan.detach = self.no_longer_uplinks(outlook);
        self.sockets(&mut plan)?;
        Ok(plan)
    }

    /// By which hook programs would be attached.
    fn hook(&self, outlook: &Outlook) -> Result<Option<Hook>, ReconcileError> {
        Ok(match (self.config.attach, tcx::is_supported()) {
            (Attach::Tcx, Some(false)) => {
                let first = outlook.uplinks.first();
                let name = first.map_or_else(String::new, |uplink| uplink.device.name.clone());
                return Err(DatapathError::NoTcx { name }.into());
            }
            (Attach::Tcx, _) | (Attach::Auto, Some(true)) => Some(Hook::Tcx),
            (Attach::Clsact, _) | (Attach::Auto, Some(false)) => Some(Hook::Clsact),
            (Attach::Auto, None) => None,
        })
    }

    async fn hook_of_stacked(&self, device: &Stacked) -> Result<Option<Hook>, ReconcileError> {
        let pin = self.datapath.pins.stacked_link(device.ifindex);
        self.hook_in_force(device.ifindex, &pin, Direction::Ingress).await
    }

    async fn hook_in_force(
        &self,
        ifindex: Ifindex,
        pin: &Path,
        direction: Direction,
    ) -> Result<Option<Hook>, ReconcileError> {
        let ids = self.records.report.programs.as_ref();
        Ok(observed::in_force(&self.kernel, ifindex, pin, direction, ids).await?)
    }

    /// Devices with programs that are, or stand on, no uplink any more, and are still there.
    fn no_longer_uplinks(&self, outlook: &Outlook) -> Vec<String> {
        let is_wanted = |ifindex| outlook.uplinks.iter().any(|it| it.device.is_device(ifindex));
        let attached = self.records.journal.attached.iter();
        let gone = attached.filter(|device| !is_wanted(device.ifindex));
        let there = gone.filter_map(|device| outlook.observed.link(device.ifindex));
        there.map(|link| link.name.clone()).collect()
    }

    fn sockets(&self, plan: &mut Attachments) -> Result<(), ReconcileError> {
        let report = &self.records.report;
        let is_attached = sockets::are_attached(&self.datapath.pins, report.programs.as_ref())?;
        // A daemon has tried, and tries no more.
        let is_refused = report.daemon.is_some()
            && matches!(report.udp_source, Some(UdpSourceStateJson::Unavailable { .. }));
        let sockets = Sockets::find(self.config.gives_udp_sources());
        match sockets.cgroup() {
            Some(cgroup) if !is_attached && !is_refused => plan.cgroup = Some(cgroup.to_owned()),
            None => plan.detach_sockets = is_attached,
            Some(_) => {}
        }
        Ok(())
    }

    fn expect_fit(&self, families: Families) -> Result<(), ReconcileError> {
        let missing = features::missing(&NEEDED);
        if !missing.is_empty() {
            return Err(Unfit::Features(features::listing(&missing)).into());
        }
        self.expect_room(families)
    }

    /// The tables that the configuration asks for can be made. Otherwise the kernel would refuse them, or end the
    /// daemon, at every start.
    pub(super) fn expect_room(&self, families: Families) -> Result<(), ReconcileError> {
        let machine = memory::machine();
        let Some(flows) = self.config.flows else { return Ok(()) };
        let udp_source = self.config.gives_udp_sources();
        let demand = Demand { flows: Some(flows), families, udp_source };
        let bytes = Sizes::plan(machine, demand).bytes();
        if bytes > machine.memory {
            return Err(Unfit::Memory { flows, bytes, memory: machine.memory }.into());
        }
        if let Some(limit) = memory::unit_limit().filter(|limit| bytes > limit.for_maps()) {
            return Err(Unfit::Unit { flows, bytes, limit }.into());
        }
        Ok(())
    }
}
