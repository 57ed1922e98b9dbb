//! How full the flow tables are, and how much had to make room in them.

use prroute_common::flow::{Flow, FlowKey4, FlowKey6, is_over};
use prroute_common::names;
use prroute_common::reason::Reason;

use crate::datapath::batch;
use crate::datapath::counters::Counters;
use crate::datapath::error::Result;
use crate::datapath::flows::coarse_now;
use crate::datapath::pins::Pins;

/// One flow table.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: &'static str,
    pub confirmed: bool,
    /// What it can hold.
    pub capacity: u32,
    /// What it holds: a table is left to fill, and the oldest entries make room.
    pub entries: usize,
    /// Those that are not too old to count.
    pub live: usize,
}

/// Of a table that has to make room, in percent. The kernel keeps up to 128 entries per processor free: 6 %
/// of the smallest tables.
const FULL: usize = 90;

impl Table {
    /// It makes room for new flows by forgetting old ones.
    pub fn is_full(&self) -> bool {
        self.is_filled(FULL)
    }

    /// So many percent of it are live flows.
    pub(crate) fn is_filled(&self, percent: usize) -> bool {
        let capacity = usize::try_from(self.capacity).unwrap_or(usize::MAX);
        self.live.saturating_mul(100) >= capacity.saturating_mul(percent)
    }

    /// So many more flows, and it is full.
    pub(crate) fn room(&self) -> u64 {
        let full = u64::from(self.capacity) * FULL as u64 / 100;
        full.saturating_sub(self.live as u64)
    }
}

/// All flow tables.
#[derive(Clone, Debug)]
pub struct Occupancy {
    pub tables: Vec<Table>,
    /// Entries that made room for others, of both families. The kernel does not count them: so
    /// many were recorded and are not there any more, some of them under the same key again. What the
    /// host's own unanswered datagrams have displaced is not among them.
    pub evicted_confirmed_at_most: u64,
    pub evicted_unconfirmed_at_most: u64,
}

impl Occupancy {
    /// Counts the entries of every table.
    ///
    /// # Errors
    ///
    /// When a map is not pinned or cannot be read.
    pub fn read(pins: &Pins) -> Result<Self> {
        let tables = vec![
            table(pins, names::FLOWS4, true, |key: &FlowKey4| key.protocol)?,
            table(pins, names::FLOWS6, true, |key: &FlowKey6| key.protocol)?,
            table(pins, names::DATAGRAMS4, true, |key: &FlowKey4| key.protocol)?,
            table(pins, names::DATAGRAMS6, true, |key: &FlowKey6| key.protocol)?,
            table(pins, names::NEW4, false, |key: &FlowKey4| key.protocol)?,
            table(pins, names::NEW6, false, |key: &FlowKey6| key.protocol)?,
        ];
        let counters = Counters::open(pins)?;
        let present = |confirmed| -> u64 {
            let of_kind = tables.iter().filter(|table| table.confirmed == confirmed);
            of_kind.map(|table| table.entries as u64).sum()
        };
        let openings = [Reason::OpenedInbound, Reason::OpenedByHost, Reason::Adopted];
        Ok(Self {
            evicted_confirmed_at_most: counters
                .sum(&[Reason::Confirmed])?
                .saturating_sub(present(true)),
            evicted_unconfirmed_at_most: counters.sum(&openings)?.saturating_sub(present(false)),
            tables,
        })
    }
}

fn table<K: aya::Pod>(
    pins: &Pins,
    name: &'static str,
    confirmed: bool,
    protocol: fn(&K) -> u8,
) -> Result<Table> {
    let now = coarse_now();
    let (mut entries, mut live) = (0, 0);
    let capacity = batch::visit(pins, name, |key: K, flow: Flow| {
        entries += 1;
        live += usize::from(!is_over(&flow, confirmed, protocol(&key), now));
    })?;
    Ok(Table { name, confirmed, capacity, entries, live })
}
