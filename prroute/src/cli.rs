//! The command line.

mod device;
mod examples;
mod replace;
mod reports;
mod time;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::engine::ArgValueCompleter;

pub use self::device::DeviceError;
use self::examples::TEMPLATE;
use self::replace::{EXPORT_EXAMPLES, IMPORT_EXAMPLES};
pub use self::replace::{
    ExportArgs, ExportCommand, ExportNetworkdArgs, ExportRulesArgs, ImportArgs,
};
pub use self::reports::{
    BugReportArgs, DoctorArgs, EventsArgs, ExplainArgs, FlowsArgs, MetricsArgs, MonitorArgs,
    StatusArgs, VersionArgs, WaitArgs,
};
pub(crate) use self::time::time;
use crate::complete;
use crate::instance::Instance;
pub use crate::json::Format;

/// Makes replies leave by the interface that their request came in on.
#[derive(Debug, Parser)]
#[command(
    name = "prroute",
    version,
    about,
    propagate_version = true,
    max_term_width = 80,
    help_template = TEMPLATE,
    before_long_help = examples::PRROUTE,
    after_help = "Exit codes: 0 success; 1 failure, or `status` says DEGRADED or starting; 2 wrong \
                  usage; 3 no daemon runs; 4 permission denied; 5 the daemon runs, but its report \
                  cannot be read or it does not answer, or `doctor` has warnings only; 78 a \
                  configuration or a kernel that cannot be used."
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
    #[command(help_template = TEMPLATE, before_long_help = examples::RUN)]
    Run(RunArgs),
    /// Enforce until you confirm, and undo everything otherwise.
    ///
    /// Where no daemon runs: attaches the programs and makes rules and routes as `prroute run` does, and asks on
    /// standard input. A line (Enter) within TIME keeps all that. Without one everything is undone: at the end
    /// of TIME or of the input, and at SIGHUP (the session broke), SIGINT and SIGTERM. Exit codes: 0 kept, 1
    /// undone.
    #[command(help_template = TEMPLATE, before_long_help = examples::TRY)]
    Try(TryArgs),
    /// Stop the daemon, if one runs, and undo everything that prroute changed.
    #[command(help_template = TEMPLATE, before_long_help = examples::DOWN)]
    Down(InstanceArgs),
    /// Show whether all is well, what is wrong and what mends it, and the uplinks.
    ///
    /// Everything is asked of the kernel now, with or without a daemon. `!` marks what sends replies
    /// astray, `-` what is merely unusual; the command that mends it stands below, after `->`.
    ///
    /// What each means: /usr/share/doc/prroute/docs/findings.md, by the word in brackets.
    #[command(help_template = TEMPLATE, before_long_help = examples::STATUS, after_help = STATUS_CODES)]
    Status(StatusArgs),
    /// Wait until the daemon is ready: replies are steered.
    #[command(help_template = TEMPLATE, before_long_help = examples::WAIT, after_help = WAIT_CODES)]
    Wait(WaitArgs),
    /// Print metrics for Prometheus (OpenMetrics), or write them to a file for node_exporter.
    ///
    /// What is degraded is a figure, and no failure: the exit code is 3 only where nothing of prroute
    /// is there.
    #[command(help_template = TEMPLATE, before_long_help = examples::METRICS)]
    Metrics(MetricsArgs),
    /// Look for what is wrong or unusual, and say what mends it; change nothing.
    ///
    /// Asks the kernel, also where no daemon runs, and where prroute was never started. Exit codes: 0
    /// nothing found, 1 faults, 5 warnings only, 3 no daemon runs (what was found is printed).
    ///
    /// What each means: /usr/share/doc/prroute/docs/findings.md, by the word before the colon.
    #[command(help_template = TEMPLATE, before_long_help = examples::DOCTOR)]
    Doctor(DoctorArgs),
    /// List the recorded flows.
    ///
    /// Those that live, the one that was seen last first. A TCP connection to an uplink's own address is
    /// not recorded while all of its packets use that uplink. `! fall` says why replies follow the routing
    /// tables instead of leaving by the uplink of their flow.
    #[command(help_template = TEMPLATE, before_long_help = examples::FLOWS, after_help = FLOWS_FILTER)]
    Flows(FlowsArgs),
    /// Say which way a reply takes, step by step, and why; send nothing and change nothing.
    ///
    /// Asks the kernel, and the programs themselves, what becomes of a request from CLIENT to LOCAL that
    /// comes in by UPLINK, and of its reply. Without `iif` one line for each uplink. Works without a
    /// daemon; without programs it says what rules do.
    #[command(help_template = TEMPLATE, before_long_help = examples::EXPLAIN, after_help = EXPLAIN_WORDS)]
    Explain(ExplainArgs),
    /// Show what happened: the daemon's messages of information and above, the newest last.
    ///
    /// They are the daemon's own, since its start; the journal has those of before.
    #[command(help_template = TEMPLATE, before_long_help = examples::EVENTS)]
    Events(EventsArgs),
    /// Show what happens, while it happens: to uplinks, flows and single packets.
    ///
    /// The running programs report the packets that you ask for, and nobody else's packet takes longer; when this
    /// ends, or is killed, they stop. At most 1,000 packets are shown in a second, 10,000 written to a file; how
    /// many more there were is said at the end.
    #[command(help_template = TEMPLATE, before_long_help = examples::MONITOR, after_help = MONITOR_WORDS)]
    Monitor(MonitorArgs),
    /// Show what prroute would change now, as `ip` commands with reasons, with programs and pins;
    /// change nothing.
    #[command(help_template = TEMPLATE, before_long_help = examples::PLAN)]
    Plan(PlanArgs),
    /// Gather what a report of a fault needs, in one text; change nothing.
    ///
    /// Versions, what `status`, `doctor`, `plan` and `metrics` say, the configuration, rules, routes,
    /// interfaces, programs, pins, and the last lines of the log. Read it before you send it.
    #[command(help_template = TEMPLATE, before_long_help = examples::REPORT)]
    Report(BugReportArgs),
    /// Have the daemon read the configuration again; an invalid one changes nothing.
    #[command(help_template = TEMPLATE, before_long_help = examples::RELOAD)]
    Reload(InstanceArgs),
    /// Check the configuration for mistakes, and whether it fits this host.
    #[command(help_template = TEMPLATE, before_long_help = examples::CHECK)]
    Check(CheckArgs),
    /// Print the configuration that replaces rules, tables and marks of others; change nothing.
    ///
    /// Reads what this host has, or files: iptables-save, ifcfg, netplan, networkd, and scripts of
    /// `ip rule` and `ip route`. What cannot be carried over, and why, stands at the end, in
    /// comments.
    #[command(help_template = TEMPLATE, before_long_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Print rules and routes that need no prroute, as a way out; change nothing.
    ///
    /// What the routing plane does now, with priorities and tables beside prroute's. What only the
    /// programs do is told, and not exported.
    #[command(subcommand, help_template = TEMPLATE, before_long_help = EXPORT_EXAMPLES)]
    Export(ExportCommand),
    /// Print a configuration file with every key, its default and an explanation.
    #[command(help_template = TEMPLATE, before_long_help = examples::GENERATE_CONFIG)]
    GenerateConfig,
    /// Print the JSON Schema of the configuration, or of what a command prints with --json.
    #[command(help_template = TEMPLATE, before_long_help = examples::SCHEMA)]
    Schema(SchemaArgs),
    /// Configure another program so that it keeps prroute's rules and routes.
    #[command(subcommand, help_template = TEMPLATE, before_long_help = examples::SETUP)]
    Setup(SetupCommand),
    /// Say which build this is: commit, BPF object, layout, and what the kernel has of what it uses.
    #[command(help_template = TEMPLATE, before_long_help = examples::VERSION)]
    Version(VersionArgs),
}

const FLOWS_FILTER: &str = "\
src, sport: the local end; dst, dport: the remote one. An address is ADDRESS, ADDRESS/LENGTH, with \
:PORT behind it ([ADDRESS]:PORT for IPv6). States: live (as without one), new (not confirmed by the \
remote end), ok, fall (its uplink cannot be used), fin (closed, and remembered for what is sent \
again), idle (too old to count), all.";

const MONITOR_WORDS: &str = "\
What is shown: uplink (up, down, gateways), heal (what others removed, and what was put back), flow \
(opened, confirmed, moved), packet (each one, and what became of it). Without a word: uplink heal. These \
two need a daemon.

Conditions: dev UPLINK; of flows and packets also host, local or remote ADDRESS[/LENGTH], port, sport or \
dport N (local, remote), tcp, udp, icmp, sctp, ip, ip6, verdict passed, moved, refused, held, dropped or \
told. Ends: count N, for TIME.";

const EXPLAIN_WORDS: &str = "\
A client's port that is not told is one that clients have; of icmp it is the identifier.

Exit codes: 0 the reply leaves by iif; 1 it does not, or is dropped, or nobody hears the request; 2 wrong \
usage; 3 it does not, and no programs are loaded that would move it; 4 permission denied; 5 it depends on \
what could not be read. Without `iif` the worst of all uplinks.";

const STATUS_CODES: &str = "Exit codes: 0 ok, also with warnings; 1 DEGRADED, or starting; 3 no daemon \
                            runs (UNWATCHED); 4 permission denied; 5 the daemon runs, but its report \
                            cannot be read, or (without root) it does not answer.";

const WAIT_CODES: &str = "Exit codes: 0 ready; 1 the time is over, and what is missing is said; 3 the \
                          time is over, and no daemon runs; 4 permission denied.";

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of what.
    #[arg(value_name = "WHAT")]
    pub what: Format,
}

#[derive(Debug, Subcommand)]
pub enum SetupCommand {
    /// Write a drop-in file by which systemd-networkd keeps rules and routes of others.
    #[command(help_template = TEMPLATE, before_long_help = examples::SETUP)]
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
    /// Check, too, that the running daemon works with all that this configuration says; it may have more.
    #[arg(long, conflicts_with = "json")]
    pub in_force: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub instance: InstanceArgs,
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
    /// Log each packet whose flow is looked up, and what was decided. Slow: `prroute monitor` asks for some.
    #[arg(long, hide = true)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_asked_as_ip_is() {
        for words in ["-br", "-s -d dev eth1", "-w", "-w 5 --json", "dev eth0 -w", "-ja"] {
            let words = ["prroute", "status"].into_iter().chain(words.split(' '));
            assert!(Cli::try_parse_from(words.clone()).is_ok(), "{:?}", words.collect::<Vec<_>>());
        }
        for words in ["-r", "-w 0", "-br -j"] {
            let words = ["prroute", "status"].into_iter().chain(words.split(' '));
            assert!(Cli::try_parse_from(words.clone()).is_err(), "{:?}", words.collect::<Vec<_>>());
        }
    }
}
