//! `prroute plan`: what would change, and why.

use std::fmt;

use anyhow::Result;

use crate::cli::PlanArgs;
use crate::cmd::{belongs, output};
use crate::config::{Config, Mode};
use crate::json::{ExplainedJson, Format, PlanJson, ProgramsJson};
use crate::netlink::Kernel;
use crate::reconcile::{Attachments, Outlook, Reconciler, ToAttach};
use crate::runtime::{Records, RunDirectory};
use crate::state::plan::Op;
use crate::state::rationale;

pub(super) fn run(args: &PlanArgs) -> Result<()> {
    let instance = &args.instance.instance;
    let directory = RunDirectory::of(instance);
    // What the running daemon reads, unless another file is asked about.
    let report = match belongs::find_present(instance, "plan")?.daemon {
        Some(_) => directory.read_report().usable(),
        None => None,
    };
    let observes = report.as_ref().is_some_and(|report| report.observe);
    let remembered = report.and_then(|report| report.config_file);
    let mut config = Config::load(args.config.as_deref().or(remembered.as_deref()))?;
    if args.config.is_none() && observes {
        config.mode = Mode::Observe;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let kernel = Kernel::connect().await?;
        let records = Records::read(&directory, config.ranges);
        let reconciler = Reconciler::for_one_look(config, instance, kernel, records);
        show(&reconciler, args.json).await
    })
}

/// Prints what one round would do.
///
/// # Errors
///
/// What the daemon would be refused for.
pub(super) async fn show(reconciler: &Reconciler, json: bool) -> Result<()> {
    let outlook = reconciler.look().await?;
    let attachments = reconciler.attachments(&outlook).await?;
    let report = report(reconciler, &outlook, &attachments)?;
    if json { output::json(&report) } else { Ok(output::text(&report.to_string())?) }
}

fn report(
    reconciler: &Reconciler,
    outlook: &Outlook,
    attachments: &Attachments,
) -> Result<PlanJson> {
    let plan = outlook.plan.as_ref().map_err(Clone::clone)?;
    let manages = outlook.uplinks.len() >= 2;
    let explained = |op: &Op| ExplainedJson {
        command: op.to_string(),
        reason: rationale::reason(reconciler.config(), &outlook.uplinks, op),
        operation: op.into(),
    };
    let own_source = if manages { reconciler.own_source_accounts(outlook) } else { Vec::new() };
    let Attachments { attach, detach, cgroup, detach_sockets, pins } = attachments;
    // Of an uplink both ways, of a device on top of one ingress alone.
    let devices = |directions: usize| {
        let those = attach.iter().filter(move |one| one.directions.len() == directions);
        those.map(|one| one.device.clone()).collect()
    };
    Ok(PlanJson {
        schema: Format::Plan.id(),
        mode: reconciler.config().mode,
        manages,
        uplinks: outlook.uplinks.iter().map(Into::into).collect(),
        skipped: outlook.skipped.iter().map(Into::into).collect(),
        recognised: outlook.desired.recognised.iter().map(Into::into).collect(),
        findings: outlook.findings.iter().map(Into::into).collect(),
        operations: plan.ops.iter().map(explained).collect(),
        attach: devices(2),
        attach_ingress: devices(1),
        programs: attach.iter().map(programs).collect(),
        detach: detach.clone(),
        cgroup: cgroup.clone(),
        detach_sockets: *detach_sockets,
        pins: pins.clone(),
        own_source: own_source.iter().map(Into::into).collect(),
    })
}

fn programs(attach: &ToAttach) -> ProgramsJson {
    let directions = attach.directions.iter().map(|direction| direction.name()).collect();
    ProgramsJson { device: attach.device.clone(), directions, hook: attach.hook }
}

impl PlanJson {
    fn is_empty(&self) -> bool {
        let Self { operations, programs, detach, cgroup, detach_sockets, pins, .. } = self;
        operations.is_empty()
            && programs.is_empty()
            && detach.is_empty()
            && cgroup.is_none()
            && !detach_sockets
            && pins.is_none()
    }

    /// Programs and pins, which no shell command makes.
    fn write_programs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directory) = &self.pins {
            writeln!(f, "# pin the tables, and the links below, in {}", directory.display())?;
        }
        for ProgramsJson { device, directions, hook } in &self.programs {
            let hook = hook.map_or_else(
                || "tcx, or by clsact where the kernel has no tcx".to_owned(),
                |hook| hook.to_string(),
            );
            let programs = match directions.as_slice() {
                [one] => format!("the {one} program"),
                all => format!("{} programs", all.join(" and ")),
            };
            writeln!(f, "# attach {programs} to {device} by {hook}")?;
        }
        if let Some(cgroup) = &self.cgroup {
            let cgroup = cgroup.display();
            writeln!(f, "# attach the programs for wildcard UDP servers to {cgroup}")?;
        }
        if self.detach_sockets {
            writeln!(f, "# detach the programs for wildcard UDP servers")?;
        }
        for device in &self.detach {
            writeln!(f, "# detach the programs from {device}, which is no uplink any more")?;
        }
        Ok(())
    }
}

/// A shell script, apart from attaching the programs.
impl fmt::Display for PlanJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for skipped in &self.skipped {
            writeln!(f, "# {}: not managed: {}", skipped.name, skipped.reason)?;
        }
        for uplink in &self.uplinks {
            writeln!(f, "# {}: uplink {}", uplink.name, uplink.id)?;
            for device in &uplink.stacked {
                writeln!(f, "# {}: counts as {}", device.name, uplink.name)?;
            }
            for undecided in &uplink.undecided {
                writeln!(f, "# {undecided}")?;
            }
        }
        for recognised in &self.recognised {
            writeln!(f, "# {}", recognised.sentence)?;
        }
        for finding in &self.findings {
            writeln!(f, "# {finding}")?;
        }
        for sentence in self.own_source.iter().flat_map(|account| &account.sentences) {
            writeln!(f, "# {sentence}")?;
        }
        if !self.manages {
            writeln!(f, "# fewer than two uplinks: prroute would change nothing and wait")?;
        } else if self.mode == Mode::Observe {
            writeln!(f, "# mode = \"observe\": replies are counted, and nothing is moved")?;
        }
        for ExplainedJson { command, reason, .. } in &self.operations {
            writeln!(f, "{command}  # {reason}")?;
        }
        self.write_programs(f)?;
        if self.is_empty() {
            writeln!(f, "# nothing to change")?;
        }
        Ok(())
    }
}
