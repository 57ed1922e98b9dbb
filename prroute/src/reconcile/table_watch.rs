//! Whether the flow tables have room. The kernel evicts the oldest entries without a word: so they are
//! counted, at most once a minute, and only when so much came since that one may be full: what was confirmed, and what
//! the host opened, whose datagrams need no confirmation.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use prroute_common::reason::Reason;
use tracing::Level;

use crate::datapath::counters::Counters;
use crate::datapath::error::Result;
use crate::datapath::occupancy::{Occupancy, Table};
use crate::reconcile::lines::{EventName, Line};
use crate::reconcile::{Reconciler, lines};

const PERIOD: Duration = Duration::from_secs(60);
/// A table that was full has room again below this, in percent.
const ROOM: usize = 80;
/// So long without a refusal there is room again.
const CALM: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct TableWatch {
    due: Instant,
    /// Full when they were counted last.
    full: BTreeSet<&'static str>,
    counted: Option<Counted>,
    /// Flows that found no room, at the last look.
    refused: Option<u64>,
    /// When there was one; `None`: there is room.
    refused_at: Option<Instant>,
}

/// When the tables were counted.
#[derive(Clone, Copy, Debug)]
struct Counted {
    /// So many flows had come.
    came: u64,
    /// So many more fill a table.
    room: u64,
}

impl TableWatch {
    pub(super) fn new(now: Instant) -> Self {
        let full = BTreeSet::new();
        Self { due: now + PERIOD, full, counted: None, refused: None, refused_at: None }
    }

    fn must_count(&self, came: u64) -> bool {
        let may_be_full = |before: Counted| {
            // Counters that begin anew say nothing.
            let more = came.checked_sub(before.came);
            more.is_none_or(|more| more >= before.room)
        };
        !self.full.is_empty() || self.counted.is_none_or(may_be_full)
    }

    /// What is to be said of tables that were counted just now.
    fn tell_full(&mut self, tables: &[Table], came: u64) -> Vec<Line> {
        let tables = || tables.iter().filter(|table| table.confirmed);
        let is_full = |table: &&Table| {
            table.is_full() || (self.full.contains(table.name) && table.is_filled(ROOM))
        };
        let full: BTreeSet<&str> = tables().filter(is_full).map(|table| table.name).collect();
        let begun = tables().filter(|it| full.contains(it.name) && !self.full.contains(it.name));
        let begun = begun.map(|Table { name, live, capacity, .. }| {
            let text = format!(
                "the flow table {} is full ({live} live flows of {capacity}): the oldest are forgotten, \
                 and their replies follow the routing tables; more fit with `flows` in the configuration",
                name.to_lowercase()
            );
            Line::new(Level::WARN, EventName("table-full"), text)
        });
        let ended = self.full.difference(&full).map(|name| {
            let text = format!("the flow table {} has room again", name.to_lowercase());
            Line::new(Level::INFO, EventName("table-room"), text)
        });
        let lines = begun.chain(ended).collect();
        let room = tables().map(Table::room).min().unwrap_or(u64::MAX);
        self.counted = Some(Counted { came, room });
        self.full = full;
        lines
    }

    /// What is to be said when so many flows have found no room since the maps were made.
    fn tell_refused(&mut self, refused: u64, now: Instant) -> Option<Line> {
        let before = self.refused.replace(refused).unwrap_or(refused);
        if refused > before {
            let is_first = self.refused_at.replace(now).is_none();
            let text =
                "flows found no room in the flow tables: their replies follow the routing tables";
            let line = || Line::new(Level::WARN, EventName("table-full"), text.to_owned());
            return is_first.then(line);
        }
        self.refused_at.take_if(|last| now.duration_since(*last) >= CALM)?;
        let text = "no flow was refused room in the flow tables for ten minutes".to_owned();
        Some(Line::new(Level::INFO, EventName("table-room"), text))
    }
}

impl Reconciler {
    /// When to look next; `None`: there are no tables.
    pub(super) fn next_table_look(&self) -> Option<Instant> {
        self.datapath.loaded.as_ref().map(|_| self.tables.due)
    }

    pub(super) fn look_at_tables(&mut self, now: Instant) {
        self.tables.due = now + PERIOD;
        match self.full_tables(now) {
            Ok(said) => said.iter().for_each(lines::write),
            Err(error) => tracing::debug!("look how full the tables are: {error}"),
        }
    }

    fn full_tables(&mut self, now: Instant) -> Result<Vec<Line>> {
        let (pins, watch) = (&self.datapath.pins, &mut self.tables);
        let counters = Counters::open(pins)?;
        let refused = watch.tell_refused(counters.sum(&[Reason::TableFull])?, now);
        let mut said: Vec<Line> = refused.into_iter().collect();
        let came = counters.sum(&[Reason::Confirmed, Reason::OpenedByHost])?;
        if watch.must_count(came) {
            said.extend(watch.tell_full(&Occupancy::read(pins)?.tables, came));
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(live: usize) -> [Table; 2] {
        let table =
            |name, confirmed, live| Table { name, confirmed, capacity: 1_000, entries: live, live };
        [table("FLOWS4", true, live), table("NEW4", false, 1_000)]
    }

    fn kinds(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.kind.0).collect()
    }

    #[test]
    fn a_full_table_is_told_once_and_its_end_too() {
        let mut watch = TableWatch::new(Instant::now());
        assert_eq!(watch.tell_full(&tables(899), 0), []);
        let said = watch.tell_full(&tables(900), 1);
        assert_eq!(kinds(&said), ["table-full"]);
        assert!(said[0].text.contains("flows4 is full (900 live flows of 1000)"), "{said:?}");
        assert_eq!(watch.tell_full(&tables(1_000), 2), []);
        assert_eq!(watch.tell_full(&tables(800), 3), [], "it goes up and down");
        assert_eq!(kinds(&watch.tell_full(&tables(799), 4)), ["table-room"]);
    }

    #[test]
    fn tables_are_counted_when_one_may_be_full() {
        let mut watch = TableWatch::new(Instant::now());
        assert!(watch.must_count(5_000), "nothing is known");
        watch.tell_full(&tables(100), 5_000);
        assert!(!watch.must_count(5_799));
        assert!(watch.must_count(5_800));
        assert!(watch.must_count(4_999), "the counters began anew");
        watch.tell_full(&tables(1_000), 6_000);
        assert!(watch.must_count(6_000), "until there is room");
    }

    #[test]
    fn flows_without_room_are_told_once_until_it_is_quiet() {
        let start = Instant::now();
        let mut watch = TableWatch::new(start);
        assert_eq!(watch.tell_refused(7, start), None, "from before");
        assert_eq!(watch.tell_refused(8, start).map(|it| it.kind), Some(EventName("table-full")));
        assert_eq!(watch.tell_refused(9, start + CALM / 2), None);
        assert_eq!(watch.tell_refused(9, start + CALM), None);
        let said = watch.tell_refused(9, start + CALM * 3 / 2);
        assert_eq!(said.map(|it| it.kind), Some(EventName("table-room")));
        assert_eq!(watch.tell_refused(9, start + CALM * 3), None);
    }
}
