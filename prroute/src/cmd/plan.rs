//! `prroute plan`: what would change, and why.

use std::fmt;

use anyhow::Result;

use crate::cli::PlanArgs;
use crate::cmd::{belongs, output};
use crate::config::Config;
use crate::datapath::hooks;
use crate::json::{ExplainedJson, PlanJson};
use crate::netlink::Kernel;
use crate::reconcile::{Outlook, Reconciler};
use crate::runtime::{Records, RunDirectory};
use crate::state::plan::Op;
use crate::state::rationale;
use crate::state::uplink::{Stacked, Uplink};

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
        let reconciler = Reconciler::for_one_look(config, instance, kernel, records);
        show(&reconciler, args.json).await
    })
}

/// Prints what one round would do.
pub(super) async fn show(reconciler: &Reconciler, json: bool) -> Result<()> {
    let outlook = reconciler.look().await?;
    let report = report(reconciler, &outlook)?;
    if json { output::json(&report) } else { Ok(output::text(&report.to_string())?) }
}

fn report(reconciler: &Reconciler, outlook: &Outlook) -> Result<PlanJson> {
    let plan = outlook.plan.as_ref().map_err(Clone::clone)?;
    let manages = outlook.uplinks.len() >= 2;
    let explained = |op: &Op| ExplainedJson {
        command: op.to_string(),
        reason: rationale::reason(reconciler.config(), &outlook.uplinks, op),
        operation: op.into(),
    };
    let is_attached = |uplink: &Uplink| {
        let attached = reconciler.journal().attached(uplink.id);
        attached.is_some_and(|device| device.ifindex == uplink.device.ifindex)
    };
    let attach = outlook.uplinks.iter().filter(|uplink| manages && !is_attached(uplink));
    let is_new = |device: &&Stacked| {
        manages && reconciler.journal().attached_stacked(device.ifindex).is_none()
    };
    let stacked = hooks::stacked(&outlook.uplinks).map(|(_, device)| device).filter(is_new);
    let own_source = if manages { reconciler.own_source_accounts(outlook) } else { Vec::new() };
    Ok(PlanJson {
        schema: "prroute.plan/1",
        manages,
        uplinks: outlook.uplinks.iter().map(Into::into).collect(),
        skipped: outlook.skipped.iter().map(Into::into).collect(),
        recognised: outlook.desired.recognised.iter().map(Into::into).collect(),
        findings: outlook.findings.iter().map(Into::into).collect(),
        operations: plan.ops.iter().map(explained).collect(),
        attach: attach.map(|uplink| uplink.device.name.clone()).collect(),
        attach_ingress: stacked.map(|device| device.name.clone()).collect(),
        own_source: own_source.iter().map(Into::into).collect(),
    })
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
        }
        for ExplainedJson { command, reason, .. } in &self.operations {
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
