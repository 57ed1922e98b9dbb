//! What `status -d` and `status -s` say beside the ordinary.

use std::fmt;

use comfy_table::{ColumnConstraint, Table, Width};
use prroute_common::reason::Reason;
use prroute_common::udp_origin::SocketReason;
use serde_json::Value;

use crate::cmd::status::text;
use crate::config::Mode;
use crate::json::{OccupancyJson, StatusJson, UdpSourceJson, UdpSourceStateJson, UplinkStatusJson};

/// Columns that a sentence has at least.
const SENTENCE: u16 = 24;

/// Of UDP servers, where packets are only observed.
const OBSERVING: &str = "wildcard UDP servers: answer from the address that routing prefers, while prroute only \
                         observes";

/// Of uplinks, of own sources and of UDP servers.
pub(super) fn sentences(report: &StatusJson) -> Vec<String> {
    let mut all = Vec::new();
    for UplinkStatusJson { uplink, .. } in &report.uplinks {
        let name = &uplink.name;
        all.extend(
            uplink.stacked.iter().map(|device| format!("{}: counts as {name}", device.name)),
        );
    }
    all.extend(report.udp_source.iter().map(|it| match report.mode {
        Mode::Enforce => it.state.to_string(),
        Mode::Observe => OBSERVING.to_owned(),
    }));
    for number in [0, 1] {
        all.extend(report.own_source.iter().filter_map(|it| it.sentences.get(number)).cloned());
    }
    all
}

/// Counters, and how full the tables are.
pub(super) fn statistics(f: &mut fmt::Formatter<'_>, report: &StatusJson) -> fmt::Result {
    if report.datapath {
        writeln!(f, "\n{}", counters(&report.uplinks).trim_fmt())?;
    }
    if let Some(tables) = &report.flow_tables {
        occupancy(f, tables)?;
    }
    let Some(UdpSourceJson { counters, .. }) = &report.udp_source else { return Ok(()) };
    let mut table = text::table();
    for reason in SocketReason::ALL {
        let count = counters.get(reason.name()).and_then(Value::as_u64);
        if let Some(count @ 1..) = count {
            table.add_row([reason.name(), &count.to_string(), reason.describe()]);
        }
    }
    if table.is_empty() {
        return Ok(());
    }
    break_the_last(&mut table);
    writeln!(f, "{}", table.trim_fmt())
}

/// Names and figures stay whole, in lines that are too long if need be.
fn break_the_last(table: &mut Table) {
    let last = table.column_count().saturating_sub(1);
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_constraint(match number == last {
            true => ColumnConstraint::LowerBoundary(Width::Fixed(SENTENCE)),
            false => ColumnConstraint::ContentWidth,
        });
    }
    text::pad_first(table, (0, 1));
}

/// One column per uplink, one line per reason that was counted.
fn counters(uplinks: &[UplinkStatusJson]) -> Table {
    let mut table = text::table();
    let names = uplinks.iter().map(|report| report.uplink.name.clone());
    table.set_header(std::iter::once("PACKETS".to_owned()).chain(names).chain([String::new()]));
    for reason in Reason::ALL {
        let count = |it: &UplinkStatusJson| it.counters.get(reason.name()).and_then(Value::as_u64);
        let counts: Vec<u64> = uplinks.iter().map(|it| count(it).unwrap_or_default()).collect();
        if counts.iter().any(|count| *count > 0) {
            let cells = counts.iter().map(ToString::to_string);
            let said = [reason.describe().trim().to_owned()];
            table.add_row(std::iter::once(reason.name().to_owned()).chain(cells).chain(said));
        }
    }
    break_the_last(&mut table);
    table
}

fn occupancy(f: &mut fmt::Formatter<'_>, tables: &OccupancyJson) -> fmt::Result {
    writeln!(f, "\nflow tables (flows: TCP; datagrams: UDP and others; new: not confirmed yet):")?;
    for table in &tables.tables {
        let name = table.name.to_lowercase();
        let (live, entries, capacity) = (table.live, table.entries, table.capacity);
        writeln!(f, "  {name:<10} {live} live, {entries} of {capacity} entries used")?;
    }
    for (kind, evicted) in [
        ("confirmed", tables.evicted_confirmed_at_most),
        ("unconfirmed", tables.evicted_unconfirmed_at_most),
    ] {
        if evicted > 0 {
            writeln!(f, "  at most {evicted} {kind} entries made room for others")?;
        }
    }
    Ok(())
}

impl fmt::Display for UdpSourceStateJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wildcard UDP servers: ")?;
        match self {
            Self::Off => {
                f.write_str("answer from the address that routing prefers (udp-source = false)")
            }
            Self::Attached { cgroup } => {
                write!(f, "answer from the address asked (hooks on {})", cgroup.display())
            }
            Self::Unavailable { reason } => {
                write!(f, "answer from the address that routing prefers: {reason}")
            }
        }
    }
}
