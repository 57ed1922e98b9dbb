//! What `status` and `reload` are told by the daemon. Nothing here is needed to undo anything.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::OwnSource;
use crate::datapath::sockets::UdpSource;
use crate::runtime::format::{self, Unusable, Versioned};
use crate::runtime::origin::Origin;
use crate::state::families::Families;
use crate::state::findings::Finding;
use crate::state::share::LeftOut;
use crate::state::uplink::{Skipped, Uplink};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonReport {
    schema: String,
    origin: Origin,
    /// One sentence: what the daemon is doing.
    pub summary: String,
    /// The process id of the daemon, once it handles signals.
    pub daemon: Option<i32>,
    /// The file it was told to read; `None`: the usual ones.
    pub config_file: Option<PathBuf>,
    pub reload: Reload,
    /// What others deleted and we put back.
    pub healed: Option<Healed>,
    /// What others put into our ranges.
    pub collision: Option<String>,
    /// What of others keeps prroute from its work.
    pub findings: Vec<Finding>,
    /// `None` before the datapath is loaded.
    pub udp_source: Option<UdpSource>,
    #[serde(default)]
    pub own_source: OwnSourceReport,
    pub uplinks: Vec<Uplink>,
    pub skipped: Vec<Skipped>,
    /// Prefixes and addresses that the datapath has no room for.
    pub left_out: Vec<LeftOut>,
}

impl Versioned for DaemonReport {
    const SCHEMA: &'static str = "prroute.report/1";
}

impl DaemonReport {
    /// Of a daemon that has looked at nothing yet. `uplinks` are those of the daemon before.
    pub fn new(uplinks: Vec<Uplink>) -> Self {
        let schema = Self::SCHEMA.to_owned();
        Self { schema, origin: Origin::current(), uplinks, ..Self::default() }
    }

    /// A new report that keeps what outlives a daemon.
    pub fn following(before: Self) -> Self {
        Self { own_source: before.own_source, ..Self::new(before.uplinks) }
    }

    /// # Errors
    ///
    /// When the text is not what this version writes, or speaks of another boot or network namespace.
    pub fn parse(text: &[u8], here: &Origin) -> Result<Self, Unusable> {
        let report: Self = format::parse(text)?;
        report.origin.expect(here)?;
        Ok(report)
    }
}

/// About [`crate::state::own_source`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnSourceReport {
    /// What the configuration in force says.
    pub asked: OwnSource,
    pub had_rules: Families,
}

/// Counts reloads of the configuration, so that `prroute reload` finds the outcome of its own: it
/// notes `started` before it sends the signal, and waits until `finished` is above that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    pub started: u64,
    pub finished: u64,
    /// Why the last one was refused; the configuration before it is in force.
    pub refusal: Option<Refusal>,
    /// What of it is not in force yet, and when it will be.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The configuration is at fault, not the kernel.
    pub configuration: bool,
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healed {
    pub times: u64,
    /// Who deleted it, as far as could be told, the last time.
    pub by: String,
    /// What it was, the last time.
    #[serde(default)]
    pub what: String,
}
