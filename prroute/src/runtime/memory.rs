//! What the daemon remembers outside itself: enough to undo everything, and for `status` to
//! tell what it knew last.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Ranges;
use crate::datapath::attach::Hook;
use crate::datapath::sockets::UdpSource;
use crate::state::findings::Finding;
use crate::state::share::LeftOut;
use crate::state::uplink::{Ifindex, Skipped, Uplink, UplinkId};
use crate::sysctl::SavedSysctls;

/// Version of the file's format.
pub const SCHEMA: &str = "prroute.state/1";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub schema: String,
    /// One sentence: what the daemon is doing.
    pub summary: String,
    /// Where our rules and tables are.
    pub ranges: Ranges,
    /// Where some of them may still be after the configuration moved them.
    #[serde(default)]
    pub former_ranges: Vec<Ranges>,
    /// The daemon that hears of signals.
    #[serde(default)]
    pub daemon: Option<i32>,
    /// The file it was told to read; `None`: the usual ones.
    #[serde(default)]
    pub config_file: Option<PathBuf>,
    #[serde(default)]
    pub reload: Reload,
    /// What others deleted and we put back.
    #[serde(default)]
    pub healed: Option<Healed>,
    /// What others put into our ranges.
    #[serde(default)]
    pub collision: Option<String>,
    /// What of others keeps prroute from its work.
    #[serde(default)]
    pub findings: Vec<Finding>,
    pub attached: Vec<AttachedDevice>,
    pub sysctls: SavedSysctls,
    /// `None` before the datapath is loaded.
    pub udp_source: Option<UdpSource>,
    pub uplinks: Vec<Uplink>,
    pub skipped: Vec<Skipped>,
    /// Prefixes and addresses that the datapath has no room for.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
}

impl Memory {
    pub fn new(ranges: Ranges) -> Self {
        Self { schema: SCHEMA.to_owned(), ranges, ..Self::default() }
    }

    pub fn attached(&self, id: UplinkId) -> Option<&AttachedDevice> {
        self.attached.iter().find(|device| device.id == id && !device.stacked)
    }

    /// A device that stands on an uplink, and was attached to.
    pub fn attached_stacked(&self, ifindex: Ifindex) -> Option<&AttachedDevice> {
        self.attached.iter().find(|device| device.ifindex == ifindex && device.stacked)
    }
}

/// Reloads of the configuration, counted, so that who asked for one finds its outcome: a reload
/// that is to read what was written before the question has a number above `started`.
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
}

/// A device that the programs were attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedDevice {
    pub id: UplinkId,
    pub ifindex: Ifindex,
    pub name: String,
    pub hook: Hook,
    /// We added the clsact qdisc.
    pub made_qdisc: bool,
    /// It stands on the uplink `id`, and is not the uplink itself.
    #[serde(default)]
    pub stacked: bool,
}
