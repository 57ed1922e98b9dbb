//! What left by the wrong uplink, for people.

use std::fmt;
use std::time::Duration;

use comfy_table::CellAlignment;

use crate::cmd::status::age;
use crate::cmd::status::text::{Shown, pad_first, table};
use crate::json::{ObservedJson, WrongUplinkJson};

/// Services that the ordinary output names.
const FEW: usize = 3;

pub(super) fn write(
    f: &mut fmt::Formatter<'_>,
    observed: &ObservedJson,
    shown: Shown,
) -> fmt::Result {
    let ObservedJson { seconds, packets, at_least, services } = observed;
    let time = seconds.map(|seconds| format!(" in {}", age::short(Duration::from_secs(seconds))));
    let time = time.unwrap_or_default();
    let least = if *at_least { "at least " } else { "" };
    match packets {
        0 if *at_least => {
            return writeln!(f, "no reply that is counted left by the wrong uplink{time}");
        }
        0 => return writeln!(f, "no reply left by the wrong uplink{time}"),
        1 => writeln!(f, "{least}1 reply left by the wrong uplink{time}:")?,
        many => writeln!(f, "{least}{many} replies left by the wrong uplink{time}:")?,
    }
    let named = if shown.details { services.len() } else { FEW };
    let mut table = table();
    for service in services.iter().take(named) {
        let WrongUplinkJson { protocol, left_by, belongs_on, packets, .. } = service;
        let endpoint = service.endpoint();
        let ways = format!("by {left_by} instead of {belongs_on}");
        table.add_row([packets.to_string(), format!("{protocol} {endpoint}"), ways]);
    }
    pad_first(&mut table, (2, 1));
    if let Some(packets) = table.column_mut(0) {
        packets.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(f, "{}", table.trim_fmt())?;
    match services.len().saturating_sub(named) {
        0 => Ok(()),
        more => writeln!(f, "  and {more} more (status -d)"),
    }
}
