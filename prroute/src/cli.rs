//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::instance::Instance;

/// Makes replies leave by the interface that their request came in on.
#[derive(Debug, Parser)]
#[command(
    name = "prroute",
    version,
    about,
    propagate_version = true,
    after_help = "Exit codes: 0 success; 1 failure, or `status` found something missing; 2 wrong\n\
                  usage; 3 no daemon runs; 4 permission denied; 5 the daemon runs, but its report\n\
                  cannot be read, or `doctor` has warnings only; 78 configuration error."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: find the uplinks, attach the programs, add rules and routes, follow changes.
    ///
    /// When it is stopped, all that stays in the kernel and goes on working; `prroute down` removes
    /// it.
    Run(RunArgs),
    /// Stop the daemon, if one runs, and undo everything that prroute changed.
    Down(InstanceArgs),
    /// Show uplinks, gateways and counters, and what is missing or in the way.
    Status(ReportArgs),
    /// Print metrics for Prometheus (OpenMetrics), or write them to a file for node_exporter.
    ///
    /// What is degraded is a figure, and no failure: the exit code is 3 only where nothing of prroute
    /// is there.
    Metrics(MetricsArgs),
    /// Look for what is wrong or unusual, and say what mends it; change nothing.
    ///
    /// Asks the kernel, also where no daemon runs, and where prroute was never started. Exit codes: 0
    /// nothing found, 1 faults, 5 warnings only, 3 no daemon runs (what was found is printed).
    Doctor(DoctorArgs),
    /// List the recorded flows.
    ///
    /// A TCP connection to an uplink's own address is not recorded while all of its packets use
    /// that uplink.
    Flows(ReportArgs),
    /// Show what prroute would change now, as `ip` commands with reasons, with programs and pins;
    /// change nothing.
    Plan(PlanArgs),
    /// Have the daemon read the configuration again; an invalid one changes nothing.
    Reload(InstanceArgs),
    /// Check the configuration for mistakes, and whether it fits this host.
    Check(CheckArgs),
    /// Print a configuration file with every key, its default and an explanation.
    GenerateConfig,
    /// Print a machine-readable schema.
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Configure another program so that it keeps prroute's rules and routes.
    #[command(subcommand)]
    Setup(SetupCommand),
}

#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// The JSON Schema of the configuration.
    Config,
}

#[derive(Debug, Subcommand)]
pub enum SetupCommand {
    /// Write a drop-in file by which systemd-networkd keeps rules and routes of others.
    Networkd(SetupNetworkdArgs),
}

#[derive(Debug, Args)]
pub struct SetupNetworkdArgs {
    /// Print the file; write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Read this file instead of those that the running daemon reads, or the default ones.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Check this file alone instead of the default ones; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Check the configuration alone, without this host's interfaces and rules.
    #[arg(long)]
    pub offline: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct InstanceArgs {
    /// Which instance of prroute, where each network namespace has one of its own.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub instance: Instance,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Read this file instead of /etc/prroute/prroute.toml and /etc/prroute/conf.d/*.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show what would be done, as `ip` commands with reasons; change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Undo everything when the daemon is stopped by a signal.
    #[arg(long)]
    pub undo_on_exit: bool,
    /// Log each packet whose flow is looked up, and what was decided. Slow: for debugging only.
    #[arg(long)]
    pub log_packets: bool,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct MetricsArgs {
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Write this file instead, for node_exporter's textfile collector: `*.prom` in its directory.
    ///
    /// It is in Prometheus' older text format, the only one that the collector reads. Readers see the
    /// old file or the new one, whole.
    #[arg(long, value_name = "PATH")]
    pub textfile: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// What is about this interface only.
    #[arg(value_names = ["dev", "UPLINK"], num_args = 2)]
    pub words: Vec<String>,
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print findings only.
    #[arg(long, short)]
    pub quiet: bool,
}

impl DoctorArgs {
    /// The interface in question.
    ///
    /// # Errors
    ///
    /// When the words are not `dev UPLINK`.
    pub fn device(&self) -> anyhow::Result<Option<&str>> {
        match self.words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => Ok(None),
            ["dev", device] => Ok(Some(device)),
            _ => anyhow::bail!("not `dev UPLINK`: {}", self.words.join(" ")),
        }
    }
}
