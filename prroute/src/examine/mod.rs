//! One look at everything that the commands speak of: what the kernel has now, against what it
//! should have. With a daemon, without one, and where there never was one.
//!
//! ```text
//! observe -> outlook (uplinks, desired, plan)  \
//! programs on the hooks, pins, control groups   -> findings
//! what the daemon says of itself               /
//! ```

mod advice;
mod answers;
mod default_route;
pub(crate) mod doctor;
mod evidence;
mod filters;
mod flows;
mod healing;
mod hooks;
mod kernel;
mod memory;
mod netfilter;
mod others;
mod own_fix;
mod programs;
mod routing;
mod service;
mod sockets;
mod uplinks;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use nix::unistd::Pid;

pub(crate) use self::answers::Answer;
use self::answers::Reported;
pub(crate) use self::own_fix::OwnFix;
pub(crate) use self::programs::Seen;
pub(crate) use self::sockets::listening_at;
use crate::config::{Attach, Config, ConfigError, FileStamp, Mode};
use crate::datapath::{InForce, Pins, tcx};
use crate::instance::Instance;
use crate::json::UplinkJson;
use crate::netlink::Kernel;
use crate::reconcile::{Outlook, Reconciler};
use crate::runtime::{DaemonReport, Records, RunDirectory, is_stopped, unit};
use crate::state::discover::names;
use crate::state::findings::{Finding, Health, Kind, Severity};
use crate::state::lost_gateways::LostGateway;
use crate::state::saved_sysctls::SavedSysctls;
use crate::state::uplink::{Discovered, Ifindex};

/// What the daemon changes takes no longer: what is still wrong after it is wrong.
const SECOND_LOOK: Duration = Duration::from_millis(1_500);

/// What there is, read when this was made.
#[derive(Debug)]
pub(crate) struct Examination {
    instance: Instance,
    pub(crate) daemon: Option<Pid>,
    /// A signal keeps the daemon from going on.
    is_stopped: bool,
    /// What the daemon said last; of one that ended: its last words.
    pub(crate) report: DaemonReport,
    /// The report is there, and this version can read it.
    pub(crate) is_reported: bool,
    pub(crate) configuration: Configuration,
    pub(crate) outlook: Outlook,
    /// Names of the interfaces that are uplinks, or were.
    pub(crate) known: Vec<String>,
    pub(crate) pins: Pins,
    /// Whose programs decide: only this version's tables can be read.
    pub(crate) in_force: InForce,
    /// `None` where nothing of prroute is in the kernel.
    pub(crate) programs: Option<Seen>,
    /// What prroute has set, and what was there before.
    sysctls: SavedSysctls,
    /// The unit of systemd that the daemon is, or that the last one was; `None`: it is started by its command.
    unit: Option<String>,
}

/// The configuration in force, and what became of its files.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// What the daemon works with, with the mode of the programs. Without a daemon, and of one that does not
    /// say it, what the files say.
    pub(crate) config: Config,
    /// The files cannot be used.
    pub(crate) error: Option<ConfigError>,
    /// The daemon has read other files, or other contents.
    pub(crate) is_stale: bool,
    /// It can be told what the kernel should have.
    is_known: bool,
}

impl Configuration {
    fn read(report: &DaemonReport, daemon: Option<Pid>) -> Self {
        let file = report.config_file.as_deref();
        let now = FileStamp::of_configuration(file).ok();
        let read = daemon.and(report.configuration.as_ref());
        let is_stale = now.zip(read).is_some_and(|(now, read)| now != *read);
        let (written, error) = match Config::load(file) {
            Ok(config) => (Some(config), None),
            Err(error) => (None, Some(error)),
        };
        let in_force = daemon.and_then(|pid| report.in_force_of(pid)).cloned();
        let is_known = in_force.is_some() || error.is_none() && !is_stale;
        // What the last daemon worked with is nearer to what there is than the defaults are.
        let config = in_force.or(written).or_else(|| report.in_force.clone()).unwrap_or_default();
        Self { config, error, is_stale, is_known }
    }
}

impl Examination {
    /// Looks at the kernel, and once more where something is missing while a daemon runs: what that
    /// one is changing just now is no fault.
    ///
    /// # Errors
    ///
    /// When the kernel or the pinned tables cannot be read.
    pub(crate) async fn of(instance: &Instance, daemon: Option<Pid>) -> Result<Self> {
        let first = Self::look(instance, daemon).await?;
        let is_wrong = |finding: &Finding| finding.severity != Severity::Notice;
        // A daemon that has just taken its lock is about to report.
        let is_clean = first.is_reported
            && first.missing().is_empty()
            && !filters::findings(&first).iter().any(is_wrong);
        if daemon.is_none() || is_clean {
            return Ok(first);
        }
        tokio::time::sleep(SECOND_LOOK).await;
        Self::look(instance, daemon).await
    }

    /// Looks once.
    ///
    /// # Errors
    ///
    /// Likewise.
    pub(crate) async fn look(instance: &Instance, daemon: Option<Pid>) -> Result<Self> {
        let directory = RunDirectory::of(instance);
        let records = Records::read(&directory, crate::config::Ranges::default());
        let (report, journal) = (records.report.clone(), records.journal.clone());
        let is_reported = report.was_read();
        let known = records.ids.iter().map(|entry| entry.name.clone()).collect();
        let mut configuration = Configuration::read(&report, daemon);
        let pins = Pins::of(instance);
        let in_force = pins.in_force(report.has_loaded(daemon))?;
        let has_datapath = in_force != InForce::Nothing;
        configuration.config.mode = match &report.programs {
            // What programs do was decided when they were loaded.
            Some(ids) if has_datapath => ids.mode(),
            _ if daemon.is_some() && report.observe => Mode::Observe,
            _ => configuration.config.mode,
        };
        let config = configuration.config.clone();
        let reconciler =
            Reconciler::for_one_look(config, instance, Kernel::connect().await?, records);
        let outlook = reconciler.look().await?;
        let programs = match has_datapath || !journal.attached.is_empty() {
            true => Some(Seen::look(&pins, &in_force, &journal, &report).await?),
            false => None,
        };
        let unit = match daemon {
            Some(pid) => unit::of_process(pid),
            None => unit::that_starts(instance, report.started_by.as_ref()),
        };
        let instance = instance.clone();
        Ok(Self {
            instance,
            daemon,
            is_stopped: daemon.is_some_and(is_stopped),
            report,
            is_reported,
            configuration,
            outlook,
            known,
            pins,
            in_force,
            programs,
            sysctls: journal.sysctls,
            unit,
        })
    }

    /// Packets are only observed: nothing is moved, and nothing is changed.
    pub(crate) fn observes(&self) -> bool {
        self.configuration.config.observes()
    }

    /// A daemon attaches the programs to clsact qdiscs.
    pub(crate) fn attaches_by_clsact(&self) -> bool {
        match self.configuration.config.attach {
            Attach::Tcx => false,
            Attach::Clsact => true,
            Attach::Auto => tcx::is_supported() == Some(false),
        }
    }

    /// prroute has something in the kernel, or a daemon that sees to it.
    pub(crate) fn is_in_use(&self) -> bool {
        self.daemon.is_some() || self.programs.is_some()
    }

    /// What prroute made, or is to make, and is not there.
    fn missing(&self) -> Vec<Finding> {
        let programs = self.programs.iter().flat_map(|seen| hooks::missing(self, seen));
        programs.chain(routing::findings(self)).collect()
    }

    /// All that is wrong or unusual, the worst first.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut all = Vec::new();
        if self.is_in_use() {
            all.extend(service::findings(self));
            all.extend(self.missing());
            all.extend(filters::findings(self));
            all.extend(self.programs.iter().flat_map(|seen| hooks::others(self, seen)));
        }
        all.extend(service::configuration(self));
        all.extend(uplinks::findings(self));
        // Where rules are to go is not where they are.
        let misplaced = routing::are_misplaced(&all);
        let holds = |finding: &&Finding| !(misplaced && finding.id.kind() == Kind::Moved);
        all.extend(self.outlook.findings.iter().filter(holds).cloned());
        all.sort_by_key(|finding| finding.severity);
        all
    }

    /// What of prroute's own is missing: until it is there, replies are not steered.
    pub(crate) fn not_in_force(&self) -> Vec<Finding> {
        let is_fault = |finding: &Finding| finding.severity == Severity::Fault;
        self.missing().into_iter().filter(is_fault).collect()
    }

    /// A daemon runs, and has finished its start.
    pub(crate) fn is_ready(&self) -> bool {
        self.daemon.is_some_and(|pid| self.report.is_ready(pid))
    }

    /// The daemon that does nothing: it was sent SIGSTOP.
    pub(crate) fn stopped_daemon(&self) -> Option<Pid> {
        self.daemon.filter(|_| self.is_stopped)
    }

    /// `findings` are [those of this](Self::findings).
    pub(crate) fn health(&self, findings: &[Finding]) -> Health {
        // A report that cannot be read does not say it.
        let is_ready = self.is_ready() || !self.is_reported;
        Health::of(self.daemon.is_some(), is_ready, findings)
    }

    /// How the gateways of an uplink answer.
    pub(crate) fn answers(&self, device: &Discovered) -> Vec<Answer> {
        let report = self.daemon.is_some().then_some(&self.report);
        let reported = report.and_then(|report| Reported::of(report, device.ifindex));
        answers::of(&self.outlook.observed, device, reported)
    }

    /// The devices of main's default routes.
    pub(crate) fn default_devices(&self) -> BTreeSet<Ifindex> {
        default_route::devices(&self.outlook.observed)
    }

    /// Gateways that an uplink had and has no more.
    fn lost_gateways(&self) -> Vec<LostGateway> {
        let now: Vec<UplinkJson> = self.outlook.uplinks.iter().map(Into::into).collect();
        let links = &self.outlook.observed.links;
        let config = &self.configuration.config;
        let is_excluded = |ifindex| {
            let link = links.iter().find(|link| link.ifindex == ifindex);
            link.is_some_and(|link| config.excluded(&names(link)).is_some())
        };
        let mut lost = self.report.lost_gateways_after(&now, links);
        lost.retain(|gateway| !is_excluded(gateway.ifindex));
        lost
    }

    /// What brings back something that is gone.
    fn mend(&self) -> Option<String> {
        // A daemon that runs has tried: what is still missing it cannot put back, or not yet.
        self.daemon.is_none().then(|| self.start("restart"))
    }

    /// What starts a daemon like the last one: its unit with this verb, or its command.
    fn start(&self, verb: &str) -> String {
        match &self.unit {
            Some(unit) => unit::command(verb, unit),
            None => self.command(&self.report.run_words()),
        }
    }

    /// What starts a daemon that runs anew; `None`: it is no unit, and whoever started it knows.
    fn restart(&self) -> Option<String> {
        self.unit.as_ref().map(|unit| unit::command("restart", unit))
    }

    /// A command of prroute's for this instance.
    fn command(&self, words: &str) -> String {
        match self.instance.is_default() {
            true => format!("prroute {words}"),
            false => format!("prroute {words} --instance {}", self.instance),
        }
    }
}
