//! Uplinks by id, as the daemon last knew them.

use anyhow::{Result, bail};

use super::line::Names;
use crate::instance::Instance;
use crate::netlink::device_name;
use crate::runtime::RunDirectory;
use crate::state::uplink::{Ifindex, UplinkId};

pub(super) struct Known {
    by_id: Vec<(u16, String)>,
}

impl Known {
    pub(super) fn of(instance: &Instance) -> Self {
        let report = RunDirectory::of(instance).read_report().usable().unwrap_or_default();
        Self { by_id: report.uplinks.into_iter().map(|uplink| (uplink.id, uplink.name)).collect() }
    }

    /// The id of the uplink with this name.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(super) fn id(&self, name: &str) -> Result<u16> {
        if let Some((id, _)) = self.by_id.iter().find(|(_, known)| known == name) {
            return Ok(*id);
        }
        let names: Vec<_> = self.by_id.iter().map(|(_, name)| name.as_str()).collect();
        match names[..] {
            [] => bail!("{name} is no uplink; there are none"),
            _ => bail!("{name} is no uplink; those that are: {}", names.join(", ")),
        }
    }
}

impl Names for Known {
    fn device(&self, index: u32) -> String {
        device_name(Ifindex(index)).unwrap_or_else(|| format!("if{index}"))
    }

    fn uplink(&self, id: UplinkId) -> String {
        let known = self.by_id.iter().find(|(known, _)| *known == id.0);
        known.map_or_else(|| format!("#{id}"), |(_, name)| name.clone())
    }
}
