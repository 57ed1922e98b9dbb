//! What the programs counted.

use aya::maps::{Map, PerCpuArray};
use prroute_common::names;
use prroute_common::reason::{REASON_SLOTS, Reason};
use prroute_common::uplink::MAX_UPLINKS;

use crate::datapath::error::Result;
use crate::datapath::maps::{failed, open};
use crate::datapath::pins::Pins;
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
        Reason::ALL.iter().map(|reason| Ok((*reason, self.count(uplink.0, *reason)?))).collect()
    }

    /// Packets of any of these reasons on all uplinks, those that are gone included.
    ///
    /// # Errors
    ///
    /// When the map cannot be read.
    pub fn sum(&self, reasons: &[Reason]) -> Result<u64> {
        let mut sum = 0;
        for id in 0..MAX_UPLINKS as u16 {
            for reason in reasons {
                sum += self.count(id, *reason)?;
            }
        }
        Ok(sum)
    }

    fn count(&self, id: u16, reason: Reason) -> Result<u64> {
        let index = u32::from(id) * REASON_SLOTS + reason as u32;
        let per_cpu = self.map.get(&index, 0).map_err(failed("read", names::COUNTERS))?;
        Ok(per_cpu.iter().sum())
    }
}
