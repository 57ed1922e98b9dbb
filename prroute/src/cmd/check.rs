//! `prroute check`: a configuration, before it is used.

use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::cli::CheckArgs;
use crate::cmd::{NotRunning, belongs, output};
use crate::config::{Config, ConfigError};
use crate::datapath::memory;
use crate::datapath::sizes::{self, Demand};
use crate::instance::Instance;
use crate::json::CheckJson;
use crate::netlink::{Kernel, MainRoutes, Wanted};
use crate::runtime::{InstanceLock, RunDirectory};
use crate::state::advice::{Advice, advise};
use crate::state::families::Families;
use crate::state::findings::Severity;

pub(super) fn run(args: &CheckArgs) -> Result<()> {
    let (config, error) = match load(args.file.as_deref()) {
        Ok(config) => (Some(config), None),
        Err(error) => (None, Some(error)),
    };
    let advice = match &config {
        Some(config) if !args.offline => compare(config)?,
        _ => Advice::default(),
    };
    if args.json {
        output::json(&CheckJson::of(&advice, error.as_ref()))?;
    }
    for warning in &advice.warnings {
        output::remark(format_args!("warning: {warning}"));
    }
    for finding in &advice.findings {
        match finding.severity {
            Severity::Fault | Severity::Warning => {
                output::remark(format_args!("warning: {finding}"));
            }
            Severity::Notice => output::remark(format_args!("note: {finding}")),
        }
    }
    if let Some(error) = error {
        return Err(error.into());
    }
    if let Some(conflict) = advice.conflict {
        return Err(conflict.into());
    }
    if let Some(config) = config.filter(|_| args.in_force) {
        expect_in_force(&config, &args.instance.instance)?;
        return Ok(output::line("the daemon works with this configuration")?);
    }
    if !args.json {
        output::line("the configuration is valid")?;
    }
    Ok(())
}

/// `-` is standard input; a file of that name is `./-`.
fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    match file {
        Some(file) if file == Path::new("-") => {
            Config::read_from(Path::new("standard input"), io::stdin().lock())
        }
        file => Config::load(file),
    }
}

/// The daemon works with all that this configuration says.
fn expect_in_force(config: &Config, instance: &Instance) -> Result<()> {
    let directory = RunDirectory::of(instance);
    belongs::find_present(instance, "check")?;
    let pid = InstanceLock::holder(&directory)?.ok_or_else(|| NotRunning::of(instance))?;
    let report = directory.read_report().usable().unwrap_or_default();
    let in_force = report.in_force_of(pid);
    let in_force = in_force.with_context(|| {
        format!("the daemon (pid {pid}) does not say with which configuration it works")
    })?;
    let lacking = in_force.lacking(config).join(", ");
    ensure!(
        lacking.is_empty(),
        "the daemon (pid {pid}) works with another configuration, which lacks: {lacking}. Put this one where the \
         daemon reads it, and `prroute reload`"
    );
    Ok(())
}

fn compare(config: &Config) -> Result<Advice> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wanted = Wanted { ranges: config.ranges, main_routes: MainRoutes::Skipped };
    let observed =
        runtime.block_on(async { Kernel::connect().await?.observe_with(wanted).await })?;
    let mut advice = advise(config, &observed);
    let (families, udp_source) = (Families::used(&observed), config.gives_udp_sources());
    let demand = Demand { flows: config.flows, families, udp_source };
    advice.warnings.extend(sizes::excess(memory::machine(), demand));
    Ok(advice)
}
