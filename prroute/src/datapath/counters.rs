//! What the programs counted.

use aya::maps::{Map, PerCpuArray};
use prroute_common::names;
use prroute_common::reason::{REASON_SLOTS, Reason};

use crate::datapath::error::Result;
use crate::datapath::pins::Pins;
use crate::datapath::tables::{failed, open};
use crate::state::uplink::UplinkId;

/// The counters of an instance.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Counters {
    map: PerCpuArray<aya::maps::MapData, u64>,
}

impl Counters {
    /// # Errors
    ///
    /// When the map is not pinned or cannot be opened.
    pub fn open(pins: &Pins) -> Result<Self> {
        Ok(Self { map: open(pins, names::COUNTERS, Map::PerCpuArray)? })
    }

    /// Packets per reason on one uplink, over all CPUs, in the order of [`Reason::ALL`].
    ///
    /// # Errors
    ///
    /// When the map cannot be read.
    pub fn of(&self, uplink: UplinkId) -> Result<Vec<(Reason, u64)>> {
        let mut counts = Vec::with_capacity(Reason::ALL.len());
        for reason in Reason::ALL {
            let index = u32::from(uplink.0) * REASON_SLOTS + *reason as u32;
            let per_cpu = self.map.get(&index, 0).map_err(failed("read", names::COUNTERS))?;
            counts.push((*reason, per_cpu.iter().sum()));
        }
        Ok(counts)
    }
}
