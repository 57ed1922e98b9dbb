//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::instance::Instance;

/// Replies leave by the interface the request came in on.
#[derive(Debug, Parser)]
#[command(
    name = "prroute",
    version,
    about,
    propagate_version = true,
    after_help = "Exit codes: 0 fine, 1 failed or something is missing, 2 usage, 3 not running,\n\
                  4 permission denied, 5 not known, 78 configuration error."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find the uplinks, install what they need, and keep it right until told to stop.
    ///
    /// Stopping leaves everything working; `prroute down` removes it.
    Run(RunArgs),
    /// Stop a running daemon and undo everything prroute has done.
    Down(InstanceArgs),
    /// Say what is managed and what was counted.
    Status(ReportArgs),
    /// List the recorded flows.
    ///
    /// A TCP connection to an uplink's own address is not recorded while it stays on that uplink:
    /// the rules for its address answer it.
    Flows(ReportArgs),
    /// Say what would be changed and why, as `ip` commands, and change nothing.
    Plan(PlanArgs),
    /// Read the configuration again, all or nothing: a mistake leaves the one in force.
    Reload(InstanceArgs),
    /// Find mistakes in the configuration.
    Check(CheckArgs),
    /// Print a documented configuration file with every default.
    GenerateConfig,
    /// Print a machine-readable description.
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Tell other programs to leave prroute's rules and routes alone.
    #[command(subcommand)]
    Setup(SetupCommand),
}

#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// JSON Schema of the configuration.
    Config,
}

#[derive(Debug, Subcommand)]
pub enum SetupCommand {
    /// Write a drop-in file that makes systemd-networkd leave what it did not make.
    Networkd(SetupNetworkdArgs),
}

#[derive(Debug, Args)]
pub struct SetupNetworkdArgs {
    /// Print the file and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Read this file instead of what the running daemon reads, or the usual files.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Check this file alone instead of the usual ones.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Look at the configuration only, not at this host's interfaces and rules.
    #[arg(long)]
    pub offline: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct InstanceArgs {
    /// Which prroute, where several run in several network namespaces.
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
    /// Say what would be done, as `ip` commands, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Undo everything when stopped by a signal.
    #[arg(long)]
    pub undo_on_exit: bool,
    /// Log each packet whose flow is looked up, and what was decided. Slow: for finding out.
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
