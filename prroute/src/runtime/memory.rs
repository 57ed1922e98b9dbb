//! What the daemon remembers outside itself: enough to undo everything, and for `status` to
//! tell what it knew last.

use serde::{Deserialize, Serialize};

use crate::config::Ranges;
use crate::datapath::attach::Hook;
use crate::datapath::sockets::UdpSource;
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
    pub attached: Vec<AttachedDevice>,
    pub sysctls: SavedSysctls,
    /// `None` before the datapath is loaded.
    pub udp_source: Option<UdpSource>,
    pub uplinks: Vec<Uplink>,
    pub skipped: Vec<Skipped>,
}

impl Memory {
    pub fn new(ranges: Ranges) -> Self {
        Self { schema: SCHEMA.to_owned(), ranges, ..Self::default() }
    }

    pub fn attached(&self, id: UplinkId) -> Option<&AttachedDevice> {
        self.attached.iter().find(|device| device.id == id)
    }
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
}
