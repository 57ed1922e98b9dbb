//! What flows come to.

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::cmd::flows::listing::append_end;
use crate::json::{FlowsSummaryJson, ServiceJson};

/// Those of which there are some.
pub(super) fn counted<const N: usize>(parts: [(usize, &str); N]) -> Vec<String> {
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    parts.map(|(count, what)| format!("{count} {what}")).collect()
}

pub(super) fn by_state(summary: &FlowsSummaryJson) -> String {
    let FlowsSummaryJson { new, ok, fall, fin, idle, .. } = *summary;
    let parts = [(ok, "ok"), (new, "new"), (fall, "fall"), (fin, "fin"), (idle, "idle")];
    counted(parts).join(", ")
}

pub(super) fn text(summary: &FlowsSummaryJson) -> String {
    let FlowsSummaryJson { total, matching, ipv4, ipv6, uplinks, services, .. } = summary;
    let mut table = Table::new();
    table.load_style(NOTHING);
    let mut row = |name: &str, what: String| {
        table.add_row([name.to_owned(), what]);
    };
    let states = match by_state(summary) {
        parts if parts.is_empty() => parts,
        parts => format!(" ({parts})"),
    };
    row("flows", format!("{matching}{states} of {total} recorded"));
    row("families", format!("IPv4 {ipv4}, IPv6 {ipv6}"));
    for (place, (name, flows)) in uplinks.iter().enumerate() {
        row(if place == 0 { "uplinks" } else { "" }, format!("{name} {flows}"));
    }
    for (place, service) in services.iter().enumerate() {
        let ServiceJson { protocol, local, local_port, flows } = service;
        let mut end = String::new();
        append_end(&mut end, *local, *local_port);
        row(if place == 0 { "services" } else { "" }, format!("{protocol} {end} {flows}"));
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    format!("{}\n", table.trim_fmt())
}
