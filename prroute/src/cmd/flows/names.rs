//! Interface names by uplink id, as the daemon last knew them.

use anyhow::Result;

use crate::datapath::flows::FlowRecord;
use crate::datapath::{Pins, Tables};
use crate::runtime::RunDirectory;
use crate::state::ids::KnownId;

#[derive(Default)]
pub(super) struct Names {
    known: Vec<KnownId>,
    by_id: Vec<(u16, String)>,
}

impl Names {
    pub(super) fn read(pins: &Pins, directory: &RunDirectory) -> Result<Self> {
        let report = directory.read_report().usable().unwrap_or_default();
        let by_id = report.uplinks.into_iter().map(|uplink| (uplink.id, uplink.name)).collect();
        Ok(Self { known: Tables::open(pins)?.known_ids()?, by_id })
    }

    /// That of the device to which a flow is bound; `None`: it is gone.
    pub(super) fn of(&self, record: &FlowRecord) -> Option<&str> {
        let is_bound =
            |known: &KnownId| (known.id, known.generation) == (record.uplink, record.generation);
        let is_live = self.known.iter().any(is_bound);
        let known = self.by_id.iter().find(|(id, _)| *id == record.uplink.0);
        known.filter(|_| is_live).map(|(_, name)| name.as_str())
    }
}
