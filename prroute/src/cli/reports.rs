//! The options of commands that report.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::InstanceArgs;
use super::device::{self, DeviceError};
use super::time::time;
use super::values::{address_and_port, count, seconds};
use crate::complete;

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
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    pub limit: Option<usize>,
    /// Show what they come to: how many by state, family, uplink and service.
    #[arg(short, long)]
    pub summary: bool,
    /// Show the guests that flows are translated to, too (DNAT, as far as conntrack tells).
    #[arg(short, long)]
    pub extended: bool,
    /// Print JSON.
    #[arg(short, long)]
    pub json: bool,
    /// Repeat every SEC seconds, until interrupted.
    #[arg(short, long, value_name = "SEC", num_args = 0..=1, default_missing_value = "2",
          value_parser = seconds)]
    pub watch: Option<u32>,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// tcp|udp|icmp|sctp|NUMBER from CLIENT[:PORT] to LOCAL[:PORT] [iif UPLINK], or
    /// flow LOCAL:PORT CLIENT:PORT [iif UPLINK].
    #[arg(value_name = "WORDS", required = true, add = ArgValueCompleter::new(complete::explain))]
    pub words: Vec<String>,
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Addresses are IPv4.
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Addresses are IPv6.
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// Print JSON.
    #[arg(short, long)]
    pub json: bool,
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
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, value_parser = address_and_port,
          conflicts_with = "textfile")]
    pub listen: Option<Option<SocketAddr>>,
}

#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Show the last N only.
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    pub last: Option<usize>,
    /// Go on with each new one, until interrupted; also over a restart of the daemon.
    #[arg(short, long)]
    pub follow: bool,
    /// Print JSON, an object a line.
    #[arg(short, long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct MonitorArgs {
    /// What is shown, conditions, and when it ends; see below.
    #[arg(value_name = "WORD", add = ArgValueCompleter::new(complete::monitor))]
    pub words: Vec<String>,
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Show the date as well (also -ts).
    #[arg(short, long)]
    pub timestamp: bool,
    #[arg(short = 's', hide = true, requires = "timestamp")]
    pub s: bool,
    /// Print JSON, an object a line.
    #[arg(short, long)]
    pub json: bool,
    /// Write packets to this file (pcapng), with what became of each as comment, instead of lines.
    #[arg(short, long, value_name = "FILE")]
    pub write: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// What is about this interface only.
    #[arg(value_names = ["dev", "UPLINK"], num_args = 1..,
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
    /// Run the printed command where it changes nothing but prroute's own (its service, its
    /// configuration in force), and look again.
    #[arg(long)]
    pub fix: bool,
}

impl DoctorArgs {
    /// The interface in question.
    ///
    /// # Errors
    ///
    /// When the words are not `dev UPLINK`.
    pub fn device(&self) -> Result<Option<&str>, DeviceError> {
        device::named(&self.words)
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
          value_parser = seconds)]
    pub watch: Option<u32>,
    /// Show one uplink alone: `dev NAME`.
    #[arg(num_args = 1.., value_names = ["dev", "UPLINK"],
          add = ArgValueCompleter::new(complete::device))]
    pub uplink: Vec<String>,
}

impl StatusArgs {
    /// The interface in question.
    ///
    /// # Errors
    ///
    /// When the words are not `dev UPLINK`.
    pub fn device(&self) -> Result<Option<&str>, DeviceError> {
        device::named(&self.uplink)
    }
}

#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Print it as JSON (prroute.version/1).
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct WaitArgs {
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// For how long, as 10s, 500ms or 2m.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub timeout: Duration,
}
