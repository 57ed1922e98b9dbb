//! The command line.

mod time;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use self::time::time;
use crate::complete;
use crate::instance::Instance;

/// Makes replies leave by the interface that their request came in on.
#[derive(Debug, Parser)]
#[command(
    name = "prroute",
    version,
    about,
    propagate_version = true,
    max_term_width = 80,
    after_help = "Exit codes: 0 success; 1 failure, or `status` says DEGRADED or starting; 2 wrong \
                  usage; 3 no daemon runs; 4 permission denied; 5 the daemon runs, but its report \
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
    /// Enforce until you confirm, and undo everything otherwise.
    ///
    /// Where no daemon runs: attaches the programs and makes rules and routes as `prroute run` does, and asks on
    /// standard input. A line (Enter) within TIME keeps all that. Without one everything is undone: at the end
    /// of TIME or of the input, and at SIGHUP (the session broke), SIGINT and SIGTERM. Exit codes: 0 kept, 1
    /// undone.
    Try(TryArgs),
    /// Stop the daemon, if one runs, and undo everything that prroute changed.
    Down(InstanceArgs),
    /// Show whether all is well, what is wrong and what mends it, and the uplinks.
    ///
    /// Everything is asked of the kernel now, with or without a daemon. `!` marks what sends replies
    /// astray, `-` what is merely unusual; the command that mends it stands below, after `->`.
    #[command(after_help = STATUS_CODES)]
    Status(StatusArgs),
    /// Wait until the daemon is ready: replies are steered.
    #[command(after_help = WAIT_CODES)]
    Wait(WaitArgs),
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
    /// Those that live, the one that was seen last first. A TCP connection to an uplink's own address is
    /// not recorded while all of its packets use that uplink.
    #[command(after_help = FLOWS_FILTER)]
    Flows(FlowsArgs),
    /// Show what happened: the daemon's messages of information and above, the newest last.
    ///
    /// They are the daemon's own, since its start; the journal has those of before.
    Events(EventsArgs),
    /// Show what prroute would change now, as `ip` commands with reasons, with programs and pins;
    /// change nothing.
    Plan(PlanArgs),
    /// Gather what a report of a fault needs, in one text; change nothing.
    ///
    /// Versions, what `status`, `doctor`, `plan` and `metrics` say, the configuration, rules, routes,
    /// interfaces, programs, pins, and the last lines of the log. Read it before you send it.
    Report(BugReportArgs),
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

const FLOWS_FILTER: &str = "\
Examples:
  prroute flows -t uplink eth1
  prroute flows src 192.0.2.10:443 and not dst 198.51.100.0/24
  prroute flows 'state new and (sport = 53 or sport > 1024)'

src, sport: the local end; dst, dport: the remote one. An address is ADDRESS, ADDRESS/LENGTH, with \
:PORT behind it ([ADDRESS]:PORT for IPv6). States: live (as without one), new (not confirmed by the \
remote end), ok, idle (too old to count), all.";

const STATUS_CODES: &str = "Exit codes: 0 ok; 1 DEGRADED, or starting; 3 no daemon runs (UNWATCHED); \
                            4 permission denied; 5 the daemon runs, but its report cannot be read.";

const WAIT_CODES: &str = "Exit codes: 0 ready; 1 the time is over, and what is missing is said; 3 the \
                          time is over, and no daemon runs; 4 permission denied.";

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
    #[arg(long, value_name = "NAME", default_value = "default",
          add = ArgValueCompleter::new(complete::instances))]
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
    /// Count replies that leave by the wrong uplink; move and change nothing. Like `mode = "observe"`.
    #[arg(long)]
    pub observe: bool,
    /// Undo everything when the daemon is stopped by a signal.
    #[arg(long)]
    pub undo_on_exit: bool,
    /// Log each packet whose flow is looked up, and what was decided. Slow: for debugging only.
    #[arg(long)]
    pub log_packets: bool,
}

#[derive(Debug, Args)]
pub struct TryArgs {
    /// For how long to wait for an answer, as 60s or 5m.
    #[arg(value_name = "TIME", default_value = "60s", value_parser = time)]
    pub time: Duration,
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Read this file instead of /etc/prroute/prroute.toml and /etc/prroute/conf.d/*.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct FlowsArgs {
    /// Conditions, in the grammar of `ss`: src, dst, sport, dport, uplink, state; and, or, not.
    #[arg(value_name = "FILTER", add = ArgValueCompleter::new(complete::filter))]
    pub filter: Vec<String>,
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// TCP only; with -u both.
    #[arg(short, long)]
    pub tcp: bool,
    /// UDP only; with -t both.
    #[arg(short, long)]
    pub udp: bool,
    /// IPv4 only.
    #[arg(short = '4', long)]
    pub ipv4: bool,
    /// IPv6 only.
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// Show at most N; 0: all. On a terminal 200, where nothing is said.
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<usize>,
    /// Show what they come to: how many by state, family, uplink and service.
    #[arg(short, long)]
    pub summary: bool,
    /// Print JSON.
    #[arg(short, long)]
    pub json: bool,
    /// Repeat every SEC seconds, until interrupted.
    #[arg(short, long, value_name = "SEC", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub watch: Option<u32>,
}

#[derive(Debug, Args)]
pub struct BugReportArgs {
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Replace addresses and MAC addresses by pseudonyms: the same address by the same one.
    #[arg(long)]
    pub hash_addresses: bool,
    /// Write this file instead, which only its owner may read.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
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
    /// Answer Prometheus at this address, or without one on the sockets that systemd hands over.
    ///
    /// Needs no root: it asks the daemon by its socket, as the group `prroute` may.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, conflicts_with = "textfile")]
    pub listen: Option<Option<SocketAddr>>,
}

#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Show the last N only.
    #[arg(short = 'n', long, value_name = "N")]
    pub last: Option<usize>,
    /// Go on with each new one, until interrupted; also over a restart of the daemon.
    #[arg(short, long)]
    pub follow: bool,
    /// Print JSON, an object a line.
    #[arg(short, long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// What is about this interface only.
    #[arg(value_names = ["dev", "UPLINK"], num_args = 2,
          add = ArgValueCompleter::new(complete::device))]
    pub words: Vec<String>,
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Ask gateways for their link-layer address, and by pings how large a packet may be.
    #[arg(long)]
    pub probe: bool,
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

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Print one line (also -br).
    #[arg(short, long, conflicts_with = "json")]
    pub brief: bool,
    #[arg(short = 'r', hide = true, requires = "brief")]
    pub r: bool,
    /// Show counters, and how full the flow tables are.
    #[arg(short, long)]
    pub statistics: bool,
    /// Show all addresses, what was seen of each problem, and how own sources and UDP servers are kept.
    #[arg(short, long)]
    pub details: bool,
    /// Show all of this, and why each other interface is not managed.
    #[arg(short, long)]
    pub all: bool,
    /// Print JSON.
    #[arg(short, long)]
    pub json: bool,
    /// Repeat every SEC seconds, until interrupted.
    #[arg(short, long, value_name = "SEC", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub watch: Option<u32>,
    /// Show one uplink alone: `dev NAME`.
    #[arg(num_args = 2, value_names = ["dev", "UPLINK"],
          add = ArgValueCompleter::new(complete::device))]
    pub uplink: Vec<String>,
}

#[derive(Debug, Args)]
pub struct WaitArgs {
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// For how long, as 10s, 500ms or 2m.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub timeout: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_asked_as_ip_is() {
        for words in ["-br", "-s -d dev eth1", "-w", "-w 5 --json", "dev eth0 -w", "-ja"] {
            let words = ["prroute", "status"].into_iter().chain(words.split(' '));
            assert!(Cli::try_parse_from(words.clone()).is_ok(), "{:?}", words.collect::<Vec<_>>());
        }
        for words in ["-r", "dev", "-w 0", "-br -j"] {
            let words = ["prroute", "status"].into_iter().chain(words.split(' '));
            assert!(Cli::try_parse_from(words.clone()).is_err(), "{:?}", words.collect::<Vec<_>>());
        }
    }
}
