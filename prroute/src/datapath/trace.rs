//! What became of single packets, as the programs report it while somebody asks.

mod asking;
mod packet;

use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use aya::maps::{Array, Map, MapData, MapInfo, RingBuf};
use prroute_common::names;
use prroute_common::time::{Ticks, seconds};
use prroute_common::trace::{Filter, Rate, Report};

use crate::datapath::error::Result;
use crate::datapath::flows::coarse_now;
use crate::datapath::maps::{failed, open};
use crate::datapath::pins::Pins;
use asking::Asking;

pub use packet::{Decision, NextHop, TracedPacket};

/// For so long the programs report without being asked again.
const LEASE: Ticks = seconds(3);

/// How often a reader has to ask again.
pub const RENEWAL: Duration = Duration::from_secs(1);

/// Asks the running programs for packets, until it is dropped. One at a time: they have one filter.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Tracer {
    filter: Filter,
    asking: Asking,
    filters: Array<MapData, Filter>,
    rate: Array<MapData, Rate>,
    reports: RingBuf<MapData>,
    /// What was skipped before.
    skipped_before: u64,
    /// The kernel's id of the filter's map.
    id: u32,
}

impl Tracer {
    /// Begins to ask.
    ///
    /// # Errors
    ///
    /// When a map is not pinned, or cannot be read or written.
    pub fn begin(pins: &Pins, filter: Filter) -> Result<Self> {
        let rate: Array<_, Rate> = open(pins, names::TRACE_RATE, Map::Array)?;
        let skipped_before = rate.get(&0, 0).map_err(failed("read", names::TRACE_RATE))?.skipped;
        let mut tracer = Self {
            filter,
            asking: Asking::open(pins)?,
            filters: open(pins, names::TRACE_FILTER, Map::Array)?,
            rate,
            reports: open(pins, names::TRACE_REPORTS, Map::RingBuf)?,
            skipped_before,
            id: id(pins)?,
        };
        // What an earlier reader has left.
        while tracer.reports.next().is_some() {}
        // First the conditions, then the time: no packet is reported by half a filter.
        tracer.write(Filter { until: 0, ..filter })?;
        tracer.renew()?;
        Ok(tracer)
    }

    /// Whether somebody else asks now.
    ///
    /// # Errors
    ///
    /// When the map is not pinned or cannot be read.
    pub fn is_taken(pins: &Pins) -> Result<bool> {
        let filters: Array<MapData, Filter> = open(pins, names::TRACE_FILTER, Map::Array)?;
        let filter = filters.get(&0, 0).map_err(failed("read", names::TRACE_FILTER))?;
        Ok(filter.until != 0 && !filter.is_over(coarse_now()))
    }

    /// Asks again, for another few seconds: after every [`RENEWAL`].
    ///
    /// # Errors
    ///
    /// When the map cannot be written.
    pub fn renew(&mut self) -> Result<()> {
        let until = coarse_now().wrapping_add(LEASE);
        // 0 says that nobody asks.
        self.write(Filter { until: until.max(1), ..self.filter })?;
        self.asking.set(true);
        Ok(())
    }

    /// Whether what is pinned still is what was opened: programs on other maps report nothing here.
    pub fn is_current(&self, pins: &Pins) -> bool {
        id(pins).is_ok_and(|id| id == self.id)
    }

    fn write(&mut self, filter: Filter) -> Result<()> {
        self.filters.set(0, filter, 0).map_err(failed("write", names::TRACE_FILTER))
    }

    /// The next packet that was reported, if there is one by now.
    pub fn next_packet(&mut self) -> Option<TracedPacket> {
        let item = self.reports.next()?;
        let report: Report = bytemuck::try_pod_read_unaligned(&item).ok()?;
        Some(TracedPacket::of(&report))
    }

    /// Packets that were asked for and not reported: too many, or not read in time.
    ///
    /// # Errors
    ///
    /// When the map cannot be read.
    pub fn skipped(&self) -> Result<u64> {
        let rate = self.rate.get(&0, 0).map_err(failed("read", names::TRACE_RATE))?;
        Ok(rate.skipped.saturating_sub(self.skipped_before))
    }
}

fn id(pins: &Pins) -> Result<u32> {
    let name = names::TRACE_FILTER;
    let info = MapInfo::from_pin(pins.map(name)).map_err(failed("open pinned map", name))?;
    Ok(info.id())
}

/// Readable when there are reports.
impl AsRawFd for Tracer {
    fn as_raw_fd(&self) -> RawFd {
        self.reports.as_raw_fd()
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.asking.set(false);
        // What is not taken back is over in seconds.
        drop(self.write(Filter::NONE));
    }
}
