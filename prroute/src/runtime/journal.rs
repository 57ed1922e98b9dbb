//! The undo journal: what must be undone, and cannot be read from the kernel.

use serde::{Deserialize, Serialize};

use crate::config::Ranges;
use crate::datapath::attach::Hook;
use crate::runtime::format::{self, Unusable, Versioned};
use crate::runtime::origin::Origin;
use crate::state::uplink::{Ifindex, UplinkId};
use crate::sysctl::SavedSysctls;

/// Written before what it speaks of is done, and read by whoever undoes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    schema: String,
    origin: Origin,
    /// An earlier journal was lost: the kernel may have more of ours than is written here.
    pub incomplete: bool,
    /// Where our rules and tables are.
    pub ranges: Ranges,
    /// Where some of them may still be after the configuration moved them.
    pub former_ranges: Vec<Ranges>,
    pub attached: Vec<AttachedDevice>,
    pub sysctls: SavedSysctls,
}

impl Versioned for Journal {
    const SCHEMA: &'static str = "prroute.journal/1";
}

/// A device that the programs were attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachedDevice {
    pub id: UplinkId,
    pub ifindex: Ifindex,
    pub name: String,
    pub hook: Hook,
    /// We added the clsact qdisc.
    pub made_qdisc: bool,
    /// It stands on the uplink `id`, and is not the uplink itself.
    pub stacked: bool,
}

impl Journal {
    /// Of this boot and network namespace; nothing is to be undone yet.
    pub fn new(ranges: Ranges) -> Self {
        let schema = Self::SCHEMA.to_owned();
        Self { schema, origin: Origin::current(), ranges, ..Self::default() }
    }

    /// Likewise, in place of one that was lost.
    pub fn incomplete(ranges: Ranges) -> Self {
        Self { incomplete: true, ..Self::new(ranges) }
    }

    /// # Errors
    ///
    /// When the text is not what this version writes, or speaks of another boot or network namespace.
    pub fn parse(text: &[u8], here: &Origin) -> Result<Self, Unusable> {
        let journal: Self = format::parse(text)?;
        journal.origin.expect(here)?;
        Ok(journal)
    }

    pub fn attached(&self, id: UplinkId) -> Option<&AttachedDevice> {
        self.attached.iter().find(|device| device.id == id && !device.stacked)
    }

    /// A device that stands on an uplink, and was attached to.
    pub fn attached_stacked(&self, ifindex: Ifindex) -> Option<&AttachedDevice> {
        self.attached.iter().find(|device| device.ifindex == ifindex && device.stacked)
    }
}
