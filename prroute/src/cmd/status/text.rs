//! The report for people: health first, then what is wrong, then one row per uplink. At most 80 columns,
//! where names and addresses allow it.

use std::fmt;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::cmd::status::{Form, age, details};
use crate::json::{
    FindingJson, GatewayJson, HealedJson, HealthJson, RatesJson, SeverityJson, StatusJson,
    UplinkStatusJson,
};

const COLUMNS: u16 = 80;

/// Behind the name of an uplink.
const DEFAULT_ROUTE: &str = "*";

/// So many of a list are named in one line.
const NAMED: usize = 6;

/// What is shown beside the ordinary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) statistics: bool,
    pub(super) details: bool,
    pub(super) reasons: bool,
}

impl Shown {
    pub(super) const fn of(form: &Form) -> Self {
        let Form { statistics, details, all, .. } = *form;
        Self { statistics: statistics || all, details: details || all, reasons: all }
    }
}

pub(super) struct Text<'a> {
    pub(super) report: &'a StatusJson,
    pub(super) shown: Shown,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, shown } = self;
        health(f, report)?;
        for finding in &report.findings {
            problem(f, finding, shown.details)?;
        }
        if !report.uplinks.is_empty() {
            writeln!(f, "{}", uplinks(&report.uplinks, shown.details).trim_fmt())?;
        }
        let rest = rest(report, *shown);
        if !rest.is_empty() {
            writeln!(f, "{}", rest.trim_fmt())?;
        }
        if shown.details {
            details::write(f, report)?;
        }
        if shown.statistics {
            details::statistics(f, report)?;
        }
        if shown.reasons && !report.skipped.is_empty() {
            writeln!(f, "\nnot managed:")?;
            for skipped in &report.skipped {
                writeln!(f, "  {}: {}", skipped.name, skipped.reason)?;
            }
        }
        Ok(())
    }
}

/// A table without lines, that breaks what is longer than a line.
fn table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(COLUMNS);
    table
}

fn health(f: &mut fmt::Formatter<'_>, report: &StatusJson) -> fmt::Result {
    let StatusJson { version, instance, health, uplinks, .. } = report;
    write!(f, "prroute {version} {instance}: {health}")?;
    let seconds = |seconds: u64| age::short(Duration::from_secs(seconds));
    if *health == HealthJson::Unwatched {
        if let Some(time) = report.unwatched_seconds {
            write!(f, " for {}", seconds(time))?;
        }
        if let Some(pid) = report.last_pid {
            write!(f, " (pid {pid} ended)")?;
        }
    }
    let answering = uplinks.iter().filter(|it| it.is_answering()).count();
    write!(f, ", {answering} of {} uplinks answer", uplinks.len())?;
    if let Some(pid) = report.pid {
        write!(f, ", pid {pid}")?;
    }
    if let Some(time) = report.uptime_seconds {
        write!(f, ", up {}", seconds(time))?;
    }
    writeln!(f)?;
    // With fewer than two there is nothing to decide.
    if report.pid.is_some() && uplinks.len() < 2 && !report.summary.is_empty() {
        writeln!(f, "  {}", report.summary)?;
    }
    Ok(())
}

/// The sentence may be broken; the command is to be copied whole.
fn problem(f: &mut fmt::Formatter<'_>, finding: &FindingJson, details: bool) -> fmt::Result {
    let mark = if finding.severity == SeverityJson::Notice { "-" } else { "!" };
    let mut table = table();
    table.add_row([mark.to_owned(), finding.to_string()]);
    pad_first(&mut table, (2, 0));
    writeln!(f, "{}", table.trim_fmt())?;
    if let Some(fix) = &finding.fix {
        writeln!(f, "    -> {fix}")?;
    }
    if details {
        finding.evidence.iter().try_for_each(|seen| writeln!(f, "       {seen}"))?;
    }
    Ok(())
}

fn uplinks(uplinks: &[UplinkStatusJson], details: bool) -> Table {
    let mut table = table();
    let mut header = vec!["UPLINK", "STATE", "PROGRAMS", "GATEWAY (LAST ANSWER)", "ADDRESSES"];
    let has_rates = uplinks.iter().any(|it| it.rates.is_some());
    if has_rates {
        header.extend(["IN/s", "MOVED/s"]);
    }
    table.set_header(header);
    for it in uplinks {
        let gateways: Vec<String> = it.answers.iter().map(gateway).collect();
        let mut row = vec![
            format!("{}{}", it.uplink.name, if it.default_route { DEFAULT_ROUTE } else { "" }),
            it.state.name().to_owned(),
            it.hook.map_or("MISSING".to_owned(), |hook| hook.to_string()),
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
    pad_first(&mut table, (0, 1));
    table
}

/// Packets per second, in few digits.
fn rate(per_second: f64) -> String {
    match per_second {
        few if few > 0.0 && few < 10.0 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    }
}

/// The spaces before and after the first column.
fn pad_first(table: &mut Table, padding: (u16, u16)) {
    if let Some(first) = table.column_mut(0) {
        first.set_padding(padding);
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

/// One line each of what concerns the host.
fn rest(report: &StatusJson, shown: Shown) -> Table {
    let mut table = table();
    let mut row = |name: &str, text: String| {
        table.add_row([name.to_owned(), text]);
    };
    if report.uplinks.iter().any(|it| it.default_route) {
        row(DEFAULT_ROUTE, "main's default route".to_owned());
    }
    if !report.shared.is_empty() {
        row("shared", some_of(report.shared.iter().map(ToString::to_string)));
    }
    if !report.skipped.is_empty() && !shown.reasons {
        let names = some_of(report.skipped.iter().map(|it| it.name.clone()));
        row("unmanaged", format!("{names} (status -a says why)"));
    }
    if let Some(tables) = &report.flow_tables {
        row("flows", tables.to_string());
    }
    row("config", configuration(report));
    if let Some(HealedJson { times, by, what, last }) = &report.healed {
        let ago = last.and_then(age::since).map(|time| format!(" {} ago", age::short(time)));
        let ago = ago.unwrap_or_default();
        let often = if *times == 1 { "once;".to_owned() } else { format!("{times} times; last") };
        row("healed", format!("{often}{ago}: {what} deleted, {by}"));
    }
    pad_first(&mut table, (0, 1));
    table
}

fn configuration(report: &StatusJson) -> String {
    let files = &report.configuration.files;
    let files = match files.as_slice() {
        [] => "no file: all is default".to_owned(),
        [one] => one.display().to_string(),
        [first, more @ ..] => format!("{} +{}", first.display(), more.len()),
    };
    match report.configuration.read_seconds_ago {
        Some(seconds) => format!("{files}, read {} ago", age::short(Duration::from_secs(seconds))),
        None => files,
    }
}

fn some_of(all: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    if more > 0 {
        all.push(format!("+{more}"));
    }
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tests::a_status;

    fn of(report: &StatusJson) -> String {
        let shown = Shown { statistics: false, details: false, reasons: false };
        Text { report, shown }.to_string()
    }

    /// The words of each line, one space apart.
    fn words(report: &StatusJson) -> String {
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n";
        of(report).lines().map(line).collect()
    }

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
    fn the_uplink_of_the_default_route_has_a_mark_and_the_mark_a_legend() {
        let mut report = a_status();
        let text = words(&report);
        assert!(text.contains("\neth0* ") && text.contains("\n* main's default route"), "{text}");
        report.uplinks[0].default_route = false;
        assert!(!of(&report).contains('*'), "{}", of(&report));
    }

    #[test]
    fn rates_have_columns_when_there_are_any() {
        let mut report = a_status();
        assert!(words(&report).contains("IN/s MOVED/s"), "{}", of(&report));
        report.uplinks[0].rates = None;
        assert!(!of(&report).contains("/s"), "{}", of(&report));
        assert_eq!([0.0, 0.25, 9.0, 402.4].map(rate), ["0", "0.2", "9.0", "402"]);
    }

    #[test]
    fn the_ordinary_output_fits_eighty_columns() {
        let mut report = a_status();
        let long = "2001:db8:1234:5678:9abc:def0:1234:5678";
        report.shared = vec![long.parse().unwrap(); 9];
        report.findings[0].what = "eth0: something is the matter with it. ".repeat(5);
        let text = of(&report);
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= usize::from(COLUMNS), "{longest}: {text}");
    }

    #[test]
    fn the_first_line_is_the_health() {
        let mut report = a_status();
        let shown = Shown { statistics: true, details: true, reasons: true };
        let first = |report: &StatusJson| {
            Text { report, shown }.to_string().lines().next().unwrap().to_owned()
        };
        report.version = "1.2.3";
        assert_eq!(
            first(&report),
            "prroute 1.2.3 default: DEGRADED, 0 of 1 uplinks answer, pid 42, up 3d4h"
        );
        (report.health, report.pid, report.uptime_seconds) = (HealthJson::Unwatched, None, None);
        assert_eq!(
            first(&report),
            "prroute 1.2.3 default: UNWATCHED for 12m (pid 42 ended), 0 of 1 uplinks answer"
        );
    }
}
