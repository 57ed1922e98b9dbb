//! `prroute check`: a configuration, before it is used.

use std::io;
use std::path::Path;

use anyhow::Result;

use crate::cli::CheckArgs;
use crate::cmd::output;
use crate::config::{Config, ConfigError};
use crate::datapath::memory;
use crate::datapath::sizes::{self, Demand};
use crate::json::CheckJson;
use crate::netlink::{Kernel, MainRoutes, Wanted};
use crate::state::advice::{Advice, advise};
use crate::state::families::Families;
use crate::state::findings::Severity;

pub(super) fn run(args: &CheckArgs) -> Result<()> {
    let (advice, error) = match load(args.file.as_deref()) {
        Ok(config) if args.offline => {
            drop(config);
            (Advice::default(), None)
        }
        Ok(config) => (compare(&config)?, None),
        Err(error) => (Advice::default(), Some(error)),
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
