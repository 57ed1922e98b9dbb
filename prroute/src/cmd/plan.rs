//! `prroute plan`: what would change, and why.

use std::fmt;

use anyhow::Result;

use crate::cli::PlanArgs;
use crate::cmd::json::PlanJson;
use crate::cmd::{belongs, output};
use crate::config::Config;
use crate::datapath::hooks;
use crate::netlink::Kernel;
use crate::reconcile::{Outlook, Reconciler};
use crate::runtime::{Records, RunDirectory};
use crate::state::desired::Recognised;
use crate::state::findings::Finding;
use crate::state::own_source::Account;
use crate::state::plan::Op;
use crate::state::rationale;
use crate::state::uplink::{Skipped, Stacked, Uplink};

pub(super) struct Report<'a> {
    /// With fewer than two uplinks nothing is managed.
    pub(super) manages: bool,
    pub(super) uplinks: &'a [Uplink],
    pub(super) skipped: &'a [Skipped],
    pub(super) recognised: &'a [Recognised],
    /// What of others keeps it from working.
    pub(super) findings: &'a [Finding],
    pub(super) operations: Vec<Operation<'a>>,
    /// Devices that the programs would be attached to.
    pub(super) attach: Vec<&'a str>,
    /// Devices on top of uplinks that the ingress program would be attached to.
    pub(super) attach_ingress: Vec<&'a str>,
    pub(super) own_source: Vec<Account>,
}

pub(super) struct Operation<'a> {
    /// As an administrator would type it.
    pub(super) command: String,
    pub(super) reason: String,
    pub(super) operation: &'a Op,
}

pub(super) fn run(args: &PlanArgs) -> Result<()> {
    let instance = &args.instance.instance;
    let directory = RunDirectory::of(instance);
    // What the running daemon reads, unless another file is asked about.
    let remembered = match belongs::find_present(instance, "plan")?.daemon {
        Some(_) => directory.read_report().usable().and_then(|report| report.config_file),
        None => None,
    };
    let config = Config::load(args.config.as_deref().or(remembered.as_deref()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let kernel = Kernel::connect().await?;
        let records = Records::read(&directory, config.ranges);
        let reconciler = Reconciler::new(config, instance, kernel, records, false);
        show(&reconciler, args.json).await
    })
}

/// Prints what one round would do.
pub(super) async fn show(reconciler: &Reconciler, json: bool) -> Result<()> {
    let outlook = reconciler.look().await?;
    let report = report(reconciler, &outlook)?;
    if json {
        output::json(&PlanJson::from(&report))
    } else {
        Ok(output::text(&report.to_string())?)
    }
}

fn report<'a>(reconciler: &'a Reconciler, outlook: &'a Outlook) -> Result<Report<'a>> {
    let plan = outlook.plan.as_ref().map_err(Clone::clone)?;
    let manages = outlook.uplinks.len() >= 2;
    let reason = |op| rationale::reason(reconciler.config(), &outlook.uplinks, op);
    let operations = plan.ops.iter().map(|op| Operation {
        command: op.to_string(),
        reason: reason(op),
        operation: op,
    });
    let is_attached = |uplink: &Uplink| {
        let attached = reconciler.journal().attached(uplink.id);
        attached.is_some_and(|device| device.ifindex == uplink.device.ifindex)
    };
    let attach = outlook.uplinks.iter().filter(|uplink| manages && !is_attached(uplink));
    let is_new = |device: &&Stacked| {
        manages && reconciler.journal().attached_stacked(device.ifindex).is_none()
    };
    let stacked = hooks::stacked(&outlook.uplinks).map(|(_, device)| device).filter(is_new);
    Ok(Report {
        manages,
        uplinks: &outlook.uplinks,
        skipped: &outlook.skipped,
        recognised: &outlook.desired.recognised,
        findings: &outlook.findings,
        operations: operations.collect(),
        attach: attach.map(|uplink| uplink.device.name.as_str()).collect(),
        attach_ingress: stacked.map(|device| device.name.as_str()).collect(),
        own_source: if manages { reconciler.own_source_accounts(outlook) } else { Vec::new() },
    })
}

/// A shell script, apart from attaching the programs.
impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for skipped in self.skipped {
            writeln!(f, "# {}: not managed: {}", skipped.name, skipped.reason)?;
        }
        for uplink in self.uplinks {
            writeln!(f, "# {}: uplink {}", uplink.device.name, uplink.id)?;
            for device in &uplink.device.stacked {
                writeln!(f, "# {}: counts as {}", device.name, uplink.device.name)?;
            }
            for undecided in &uplink.device.undecided {
                writeln!(f, "# {undecided}")?;
            }
        }
        for recognised in self.recognised {
            writeln!(f, "# {recognised}")?;
        }
        for finding in self.findings {
            writeln!(f, "# {finding}")?;
        }
        for account in &self.own_source {
            writeln!(f, "# {account}")?;
            if let Some(cost) = account.cost() {
                writeln!(f, "# {cost}")?;
            }
        }
        if !self.manages {
            writeln!(f, "# fewer than two uplinks: prroute would change nothing and wait")?;
        }
        for Operation { command, reason, .. } in &self.operations {
            writeln!(f, "{command}  # {reason}")?;
        }
        for device in &self.attach {
            writeln!(f, "# attach ingress and egress programs to {device}")?;
        }
        for device in &self.attach_ingress {
            writeln!(f, "# attach the ingress program to {device}")?;
        }
        if self.operations.is_empty() && self.attach.is_empty() && self.attach_ingress.is_empty() {
            writeln!(f, "# nothing to change")?;
        }
        Ok(())
    }
}
