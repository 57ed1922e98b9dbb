//! The undo journal: what must be undone, and cannot be read from the kernel.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Ranges;
use crate::datapath::attach::Hook;
use crate::runtime::format::{self, Unusable, Versioned};
use crate::runtime::origin::Origin;
use crate::state::saved_sysctls::{SavedSysctl, SavedSysctls};
use crate::state::uplink::{Ifindex, UplinkId};

/// What has to be undone: written before the change is made, and read when it is undone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(serialize_with = "write_sysctls", deserialize_with = "read_sysctls")]
    pub sysctls: SavedSysctls,
    /// What another version wrote down, and this one does not know how to undo.
    #[serde(skip)]
    pub(super) not_understood: Vec<String>,
    /// What the version under test does not know.
    #[cfg(feature = "other-version")]
    #[serde(default)]
    other_version: bool,
}

impl Versioned for Journal {
    #[cfg(not(feature = "other-version"))]
    const SCHEMA: &'static str = "prroute.journal/1";
    #[cfg(feature = "other-version")]
    const SCHEMA: &'static str = "prroute.journal/1001";
    const EXACT: bool = true;
}

/// A device that the programs were attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedDevice {
    #[serde(with = "IdNumber")]
    pub id: UplinkId,
    #[serde(with = "IndexNumber")]
    pub ifindex: Ifindex,
    pub name: String,
    pub hook: Hook,
    /// We added the clsact qdisc.
    pub made_qdisc: bool,
    /// It stands on the uplink `id`, and is not the uplink itself.
    pub stacked: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "UplinkId")]
struct IdNumber(u16);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Ifindex")]
struct IndexNumber(u32);

/// The `rp_filter` of one interface, before and after.
#[derive(Serialize, Deserialize)]
struct SysctlEntry {
    device: String,
    mac: Option<[u8; 6]>,
    old: u8,
    set: u8,
    applied: bool,
}

fn write_sysctls<S: Serializer>(sysctls: &SavedSysctls, file: S) -> Result<S::Ok, S::Error> {
    file.collect_map(sysctls.rp_filter.iter().map(|(ifindex, saved)| {
        let SavedSysctl { device, mac, old, set, applied } = saved.clone();
        (ifindex, SysctlEntry { device, mac, old, set, applied })
    }))
}

fn read_sysctls<'de, D: Deserializer<'de>>(file: D) -> Result<SavedSysctls, D::Error> {
    let entries = BTreeMap::<u32, SysctlEntry>::deserialize(file)?.into_iter();
    let rp_filter = entries.map(|(ifindex, entry)| {
        let SysctlEntry { device, mac, old, set, applied } = entry;
        (ifindex, SavedSysctl { device, mac, old, set, applied })
    });
    Ok(SavedSysctls { rp_filter: rp_filter.collect() })
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
    /// When the text is not what prroute writes, or speaks of another boot or network namespace.
    pub fn parse(text: &[u8], here: &Origin) -> Result<Self, Unusable> {
        let format::Parsed { value: mut journal, unknown } = format::parse::<Self>(text)?;
        journal.origin.expect(here)?;
        Self::SCHEMA.clone_into(&mut journal.schema);
        // What of it must be undone is then looked for in the kernel.
        journal.incomplete |= !unknown.is_empty();
        journal.not_understood = unknown;
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
