//! `prroute check`: a configuration, before it is used.

use anyhow::Result;
use serde::Serialize;

use crate::cli::CheckArgs;
use crate::cmd::output;
use crate::config::{Config, ConfigError};
use crate::datapath::memory;
use crate::datapath::sizes::{self, Demand};
use crate::netlink::Kernel;
use crate::state::advice::{Advice, advise};
use crate::state::families::Families;
use crate::state::findings::{Finding, Severity};

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    valid: bool,
    error: Option<Mistake>,
    /// The kernel does not fit: the daemon would refuse to start.
    conflict: Option<String>,
    warnings: Vec<String>,
    /// What of others would keep prroute from its work.
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Mistake {
    file: String,
    line: Option<usize>,
    key: Option<String>,
    message: String,
}

pub(super) fn run(args: &CheckArgs) -> Result<()> {
    let (advice, error) = match Config::load(args.file.as_deref()) {
        Ok(config) if args.offline => {
            drop(config);
            (Advice::default(), None)
        }
        Ok(config) => (compare(&config)?, None),
        Err(error) => (Advice::default(), Some(error)),
    };
    if args.json {
        let report = Report {
            schema: "prroute.check/1",
            valid: error.is_none(),
            error: error.as_ref().map(mistake),
            conflict: advice.conflict.as_ref().map(ToString::to_string),
            warnings: advice.warnings.clone(),
            findings: advice.findings.clone(),
        };
        output::json(&report)?;
    }
    for warning in &advice.warnings {
        output::remark(format_args!("warning: {warning}"));
    }
    for finding in &advice.findings {
        match finding.severity {
            Severity::Warning => output::remark(format_args!("warning: {finding}")),
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

fn compare(config: &Config) -> Result<Advice> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let observed = runtime.block_on(async { Kernel::connect().await?.observe().await })?;
    let mut advice = advise(config, &observed);
    let (families, udp_source) = (Families::used(&observed), config.udp_source);
    let demand = Demand { flows: config.flows, families, udp_source };
    advice.warnings.extend(sizes::excess(memory::machine(), demand));
    Ok(advice)
}

fn mistake(error: &ConfigError) -> Mistake {
    match error {
        ConfigError::Read { path, source } => Mistake {
            file: path.display().to_string(),
            line: None,
            key: None,
            message: source.to_string(),
        },
        ConfigError::Invalid { path, line, key, message } => Mistake {
            file: path.display().to_string(),
            line: *line,
            key: key.clone(),
            message: message.clone(),
        },
    }
}
