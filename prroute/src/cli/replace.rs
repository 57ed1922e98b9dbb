//! The options of commands that take the place of something else, or let it take prroute's.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use super::InstanceArgs;
use super::device::{self, DeviceError};
use super::examples::TEMPLATE;
use crate::complete;
use crate::import::Notation;

pub(super) const IMPORT_EXAMPLES: &str = "\
Examples:
  prroute import                                  # what this host has now
  prroute import > /etc/prroute/conf.d/50-import.toml
  prroute import --removal > remove.sh            # read it, then: sh remove.sh
  prroute import /etc/netplan
  prroute import /etc/sysconfig/network-scripts /etc/sysconfig/iptables
  ssh HOST 'ip rule; ip route show table all' | prroute import -

The way over, without a lost packet:
  1. prroute import > /etc/prroute/conf.d/50-import.toml
  2. prroute import --removal > remove.sh
  3. prroute check && systemctl enable --now prroute
  4. sh remove.sh";

pub(super) const EXPORT_EXAMPLES: &str = "\
Examples:
  prroute export rules > rules.sh                 # both families, for sh
  prroute export rules -6 | ip -6 -batch -
  prroute export networkd dev eth1

The way out:
  1. prroute export rules > rules.sh
  2. sh rules.sh
  3. systemctl disable --now prroute && prroute down";

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Files or folders; `-` is standard input. Without one: rules, tables and marks of this host.
    ///
    /// Of a folder those files are read whose names say what they are: rule-DEVICE, route-DEVICE
    /// and ifcfg-DEVICE, *.yaml, *.network with drop-ins. Other files are recognised by what is in
    /// them. A file with the name rt_tables gives names of tables their numbers.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How the files are written, where their names and texts do not tell.
    #[arg(long = "as", value_name = "NOTATION", value_enum, requires = "paths")]
    pub notation: Option<Notation>,
    /// Print the commands that remove what prroute replaces, as a script for sh.
    ///
    /// It waits until prroute's daemon runs, and ends there where that works with another
    /// configuration than the one that is printed without this. Then it removes rules before
    /// tables, so that each packet has a way at any moment.
    #[arg(long)]
    pub removal: bool,
    #[command(flatten)]
    pub instance: InstanceArgs,
}

#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// Lines for `ip -batch`; without -4 or -6 a script for sh that feeds it both families.
    #[command(help_template = TEMPLATE, before_long_help = EXPORT_EXAMPLES)]
    Rules(ExportRulesArgs),
    /// Drop-in files of systemd-networkd, one for each uplink.
    ///
    /// A comment before each says where it belongs. networkd takes them at its next start, or by
    /// `networkctl reload`.
    #[command(help_template = TEMPLATE, before_long_help = EXPORT_EXAMPLES)]
    Networkd(ExportNetworkdArgs),
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Read this file instead of those that the running daemon reads, or the default ones.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ExportRulesArgs {
    /// Lines of IPv4 only, for `ip -4 -batch -`.
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Lines of IPv6 only, for `ip -6 -batch -`.
    #[arg(short = '6', long)]
    pub ipv6: bool,
    #[command(flatten)]
    pub common: ExportArgs,
}

#[derive(Debug, Args)]
pub struct ExportNetworkdArgs {
    /// The file of this uplink only.
    #[arg(value_names = ["dev", "UPLINK"], num_args = 1..,
          add = ArgValueCompleter::new(complete::device))]
    pub words: Vec<String>,
    #[command(flatten)]
    pub common: ExportArgs,
}

impl ExportNetworkdArgs {
    /// The uplink in question.
    ///
    /// # Errors
    ///
    /// When the words are not `dev UPLINK`.
    pub fn device(&self) -> Result<Option<&str>, DeviceError> {
        device::named(&self.words)
    }
}
