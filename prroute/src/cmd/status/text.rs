//! The report for people: health first, then what is wrong, then one row per uplink. At most 80 columns,
//! where names and addresses allow it.

use std::fmt;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use crate::cmd::status::{Form, age, details, observed, rows};
use crate::config::Mode;
use crate::json::{
    Answering, FindingJson, HealedJson, HealthJson, SeverityJson, SkippedJson, StatusJson,
};

const COLUMNS: u16 = 80;

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
            writeln!(f, "{}", rows::table(report, shown.details).trim_fmt())?;
        }
        if let Some(observed) = &report.observed {
            observed::write(f, observed, *shown)?;
        }
        let rest = rest(report, *shown);
        if !rest.is_empty() {
            writeln!(f, "{}", rest.trim_fmt())?;
        }
        if shown.details {
            let sentences = sentences(report);
            if !sentences.is_empty() {
                writeln!(f, "{}", sentences.trim_fmt())?;
            }
        }
        if shown.statistics {
            details::statistics(f, report)?;
        }
        if shown.reasons && !report.skipped.is_empty() {
            writeln!(f, "\nnot managed:\n{}", skipped(&report.skipped).trim_fmt())?;
        }
        Ok(())
    }
}

/// Each in lines of its own.
fn sentences(report: &StatusJson) -> Table {
    let mut table = table();
    for sentence in details::sentences(report) {
        table.add_row([sentence]);
    }
    pad_first(&mut table, (0, 0));
    table
}

/// Each with its reason.
fn skipped(all: &[SkippedJson]) -> Table {
    let mut table = table();
    for SkippedJson { name, reason, .. } in all {
        table.add_row([format!("{name}:"), reason.clone()]);
    }
    pad_first(&mut table, (2, 0));
    table
}

/// A table without lines, that breaks what is longer than a line.
pub(super) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(COLUMNS);
    table
}

/// The health, and whether packets are only observed.
pub(super) fn in_words(report: &StatusJson) -> String {
    match (report.mode, report.health) {
        (Mode::Enforce, health) => health.to_string(),
        (Mode::Observe, HealthJson::Ok) => "observing".to_owned(),
        (Mode::Observe, health) => format!("{health} (observing)"),
    }
}

fn health(f: &mut fmt::Formatter<'_>, report: &StatusJson) -> fmt::Result {
    let StatusJson { version, instance, health, .. } = report;
    write!(f, "prroute {version} {instance}: {}", in_words(report))?;
    let seconds = |seconds: u64| age::short(Duration::from_secs(seconds));
    if *health == HealthJson::Unwatched {
        if let Some(time) = report.unwatched_seconds {
            write!(f, " for {}", seconds(time))?;
        }
        if let Some(pid) = report.last_pid {
            write!(f, " (pid {pid} ended)")?;
        }
    }
    let Answering { answering, uplinks } = report.answering();
    write!(f, ", {answering} of {uplinks} uplinks answer")?;
    if let Some(pid) = report.pid {
        write!(f, ", pid {pid}")?;
    }
    if let Some(time) = report.uptime_seconds {
        write!(f, ", up {}", seconds(time))?;
    }
    writeln!(f)?;
    // With fewer than two there is nothing to decide.
    if report.pid.is_some() && uplinks < 2 && !report.summary.is_empty() {
        writeln!(f, "  {}", report.summary)?;
    }
    Ok(())
}

/// The sentence may be broken; the command is to be copied whole.
fn problem(f: &mut fmt::Formatter<'_>, finding: &FindingJson, details: bool) -> fmt::Result {
    let mark = if finding.severity == SeverityJson::Notice { "-" } else { "!" };
    let mut table = table();
    table.add_row([mark.to_owned(), format!("{finding} [{}]", finding.kind())]);
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

/// The spaces before and after the first column.
pub(super) fn pad_first(table: &mut Table, padding: (u16, u16)) {
    if let Some(first) = table.column_mut(0) {
        first.set_padding(padding);
    }
}

/// One line each of what concerns the host.
fn rest(report: &StatusJson, shown: Shown) -> Table {
    let mut table = table();
    let mut row = |name: &str, text: String| {
        table.add_row([name.to_owned(), text]);
    };
    if report.uplinks.iter().any(|it| it.default_route) {
        row(rows::DEFAULT_ROUTE, "main's default route".to_owned());
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
    use prroute_common::reason::Reason;
    use prroute_common::udp_origin::SocketReason;

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
    fn the_uplink_of_the_default_route_has_a_mark_and_the_mark_a_legend() {
        let mut report = a_status();
        let text = words(&report);
        assert!(text.contains("\neth0* ") && text.contains("\n* main's default route"), "{text}");
        report.uplinks[0].default_route = false;
        assert!(!of(&report).contains('*'), "{}", of(&report));
    }

    #[test]
    fn programs_are_missing_where_there_should_be_some() {
        let mut report = a_status();
        (report.uplinks[0].hook, report.health) = (None, HealthJson::Ok);
        assert!(!of(&report).contains("MISSING"), "prroute waits: {}", of(&report));
        report.health = HealthJson::Degraded;
        assert!(of(&report).contains("MISSING"), "one uplink shown of several: {}", of(&report));
        report.uplinks.push(report.uplinks[0].clone());
        assert!(of(&report).contains("MISSING"), "{}", of(&report));
    }

    #[test]
    fn rates_have_columns_when_there_are_any() {
        let mut report = a_status();
        assert!(words(&report).contains("IN/s MOVED/s"), "{}", of(&report));
        report.uplinks[0].rates = None;
        assert!(!of(&report).contains("/s"), "{}", of(&report));
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
    fn counters_and_reasons_fit_eighty_columns_and_no_number_is_broken() {
        let mut report = a_status();
        for reason in Reason::ALL {
            report.uplinks[0].counters.insert(reason.name().to_owned(), 1_234_567_890.into());
        }
        report.uplinks = vec![report.uplinks[0].clone(); 2];
        if let Some(udp) = &mut report.udp_source {
            for reason in SocketReason::ALL {
                udp.counters.insert(reason.name().to_owned(), 1_234_567_890.into());
            }
        }
        report.skipped[0].reason = "for a reason of many words. ".repeat(5);
        let shown = Shown { statistics: true, details: false, reasons: true };
        let text = Text { report: &report, shown }.to_string();
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= usize::from(COLUMNS), "{longest}: {text}");
        let counted = 2 * Reason::ALL.len() + SocketReason::ALL.len();
        assert_eq!(text.matches("1234567890").count(), counted, "{text}");
        for reason in Reason::ALL {
            assert!(text.contains(reason.name()), "{}: {text}", reason.name());
        }
        // Where there is no room for all the figures, they are still whole.
        report.uplinks = vec![report.uplinks[0].clone(); 12];
        let text = Text { report: &report, shown }.to_string();
        let counted = 12 * Reason::ALL.len() + SocketReason::ALL.len();
        assert_eq!(text.matches("1234567890").count(), counted, "{text}");
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
