//! One row per uplink.

use std::time::Duration;

use comfy_table::{CellAlignment, Table};

use crate::cmd::status::{age, text};
use crate::json::{GatewayJson, HealthJson, RatesJson, StatusJson, UplinkStatusJson};

/// Behind the name of an uplink.
pub(super) const DEFAULT_ROUTE: &str = "*";

/// `details`: with all addresses.
pub(super) fn table(report: &StatusJson, details: bool) -> Table {
    let uplinks = &report.uplinks;
    let mut table = text::table();
    let mut header = vec!["UPLINK", "STATE", "PROGRAMS", "GATEWAY (LAST ANSWER)", "ADDRESSES"];
    let has_rates = uplinks.iter().any(|it| it.rates.is_some());
    if has_rates {
        header.extend(["IN/s", "MOVED/s"]);
    }
    table.set_header(header);
    // All is well without programs while prroute waits for a second uplink. How many are shown says nothing: `dev`.
    let without = if report.health == HealthJson::Ok { "none" } else { "MISSING" };
    for it in uplinks {
        let gateways: Vec<String> = it.answers.iter().map(gateway).collect();
        let mut row = vec![
            format!("{}{}", it.uplink.name, if it.default_route { DEFAULT_ROUTE } else { "" }),
            it.state.name().to_owned(),
            it.hook.map_or(without.to_owned(), |hook| hook.to_string()),
            if gateways.is_empty() { "none".to_owned() } else { gateways.join("\n") },
            addresses(it, details),
        ];
        if has_rates {
            let figures = |it: RatesJson| [it.received_per_second, it.moved_per_second].map(rate);
            row.extend(it.rates.map(figures).unwrap_or_default());
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    text::pad_first(&mut table, (0, 1));
    table
}

/// Packets per second, in few digits.
fn rate(per_second: f64) -> String {
    match per_second {
        few if few > 0.0 && few < 10.0 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    }
}

fn gateway(of: &GatewayJson) -> String {
    let GatewayJson { gateway, only_for, silent, answered_seconds_ago, .. } = of;
    let short = |seconds: f64| age::short(Duration::from_secs_f64(seconds));
    let answer = match (silent, answered_seconds_ago) {
        (true, _) => {
            let longer = if of.silent_at_least { ">" } else { "" };
            let time = of.silent_seconds.map(|time| format!(" {longer}{}", short(time)));
            format!(" (SILENT{})", time.unwrap_or_default())
        }
        (false, Some(seconds)) => format!(" ({})", short(*seconds)),
        (false, None) => String::new(),
    };
    let only_for = only_for.map_or(String::new(), |net| format!(" for {net}"));
    format!("{gateway}{only_for}{answer}")
}

/// The first one of each family, and how many more there are.
fn addresses(it: &UplinkStatusJson, all: bool) -> String {
    let addresses = &it.uplink.addresses;
    let first = |is_v4| addresses.iter().find(|net| net.addr().is_ipv4() == is_v4);
    let shown: Vec<_> = match all {
        true => addresses.iter().collect(),
        false => [first(true), first(false)].into_iter().flatten().collect(),
    };
    let more = addresses.len() - shown.len();
    let mut lines: Vec<String> = shown.iter().map(ToString::to_string).collect();
    if let Some(last) = lines.last_mut().filter(|_| more > 0) {
        *last = format!("{last} +{more}");
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tests::a_status;

    #[test]
    fn a_silent_gateway_is_told_with_what_is_known_of_its_silence() {
        let said = |silent_seconds, silent_at_least| {
            let mut report = a_status();
            let answer = &mut report.uplinks[0].answers[0];
            (answer.silent_seconds, answer.silent_at_least) = (silent_seconds, silent_at_least);
            gateway(answer).split_once(" (").map(|(_, said)| said.to_owned()).unwrap()
        };
        assert_eq!(said(Some(8.2), false), "SILENT 8s)");
        assert_eq!(said(Some(250.0), true), "SILENT >4m)");
        assert_eq!(said(None, false), "SILENT)");
    }

    #[test]
    fn a_rate_has_few_digits() {
        assert_eq!([0.0, 0.25, 9.0, 402.4].map(rate), ["0", "0.2", "9.0", "402"]);
    }
}
