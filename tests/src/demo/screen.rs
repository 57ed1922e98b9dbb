//! What the demo prints: at most forty lines of a hundred columns.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::addressing::{self, Family};
use crate::netns::Namespace;

use super::Verdict;

/// Whether words are coloured.
#[derive(Clone, Copy)]
pub(super) enum Colours {
    On,
    Off,
}

impl Colours {
    /// On a terminal, unless NO_COLOR says otherwise (no-color.org: set and not empty).
    pub(super) fn detect() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stdout().is_terminal() && !refused { Self::On } else { Self::Off }
    }
}

/// One line of the table: who is asked over which uplink.
pub(super) struct Row {
    pub(super) asked: &'static str,
    pub(super) uplink: u8,
    /// Family, question, answered without and with prroute.
    pub(super) cells: Vec<(Family, &'static str, bool, bool)>,
}

pub(super) struct Screen {
    colours: Colours,
}

const GREEN: &str = "32";
const RED: &str = "31";
const BOLD: &str = "1";

/// The columns of each half of the table.
const COLUMNS: [(Family, &str); 6] = [
    (Family::V4, "TCP"),
    (Family::V4, "UDP"),
    (Family::V4, "ping"),
    (Family::V6, "TCP"),
    (Family::V6, "UDP"),
    (Family::V6, "ping"),
];

impl Screen {
    pub(super) fn new(colours: Colours) -> Self {
        Self { colours }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        match self.colours {
            Colours::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Colours::Off => text.to_owned(),
        }
    }

    pub(super) fn topology(&self, uplinks: u8) {
        let spread = |word: &dyn Fn(u8) -> String| -> String {
            (1..=uplinks).map(|n| format!("{:^22}", word(n))).collect()
        };
        let (v4, v6) = (Family::V4, Family::V6);
        let rule = "-".repeat(22 * usize::from(uplinks) - 22);
        println!("{}", self.paint(BOLD, "A host with an uplink to each of three providers"));
        println!();
        println!("{:^66}", "client, one source address per provider");
        println!("{:11}+{rule}+", "");
        println!("{}  stateful firewalls: no answer", spread(&|n| format!("router {n}")));
        println!(
            "{}  without its request, no",
            spread(&|n| format!("{}", addressing::gateway(n, v4)))
        );
        println!("{}  foreign source", spread(&|n| format!("up{n}")));
        println!("{}", spread(&|n| format!("{}", addressing::host(n, v4))));
        println!("{}", spread(&|n| format!("{}", addressing::host(n, v6))));
        println!("{:11}+{rule}+", "");
        println!("{:^66}", "host: default route by up1, forwarding to a Docker container");
        let shared =
            format!("shared, on lo: {} {}", addressing::shared(v4), addressing::shared(v6));
        println!("{shared:^66}");
        println!();
    }

    pub(super) fn table(&self, rows: &[Row]) {
        const WIDTH: usize = 34;
        println!("{:26} {:^WIDTH$}  {:^WIDTH$}", "", "without prroute", "with prroute");
        let families = format!("{:^15}    {:^15}", Family::V4, Family::V6);
        println!("{:26} {families}  {families}", "");
        let questions = Self::half(|_, question| format!("{question:>5}"));
        println!("{:26} {questions}  {questions}", "asked");
        for row in rows {
            let name = format!("{} over up{}", row.asked, row.uplink);
            let half = |with: bool| {
                Self::half(|family, question| {
                    let cell = row.cells.iter().find(|cell| cell.0 == family && cell.1 == question);
                    match cell.map(|cell| if with { cell.3 } else { cell.2 }) {
                        Some(true) => self.paint(GREEN, "   ok"),
                        Some(false) => self.paint(RED, "   --"),
                        None => "     ".to_owned(),
                    }
                })
            };
            println!("{name:26} {}  {}", half(false), half(true));
        }
        println!();
    }

    /// The six columns of one half of the table, with a gap between the families.
    fn half(cell: impl Fn(Family, &'static str) -> String) -> String {
        let of = |wanted: Family| -> String {
            let columns = COLUMNS.iter().filter(|(family, _)| *family == wanted);
            columns.map(|&(family, question)| cell(family, question)).collect()
        };
        format!("{}    {}", of(Family::V4), of(Family::V6))
    }

    /// What prroute put into the kernel, by example of the second uplink.
    pub(super) fn installed(&self, host: &Namespace, uplinks: u8) -> Result<()> {
        let ours = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.contains("proto 213"));
            lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
        };
        let rules4 = ours(&host.ip("-4 -details rule show")?);
        let rules6 = ours(&host.ip("-6 -details rule show")?);
        let routes4 = ours(&host.ip("-4 route show table all")?);
        let routes6 = ours(&host.ip("-6 route show table all")?);
        println!(
            "installed: {} + {} rules, {} + {} routes (IPv4 + IPv6), two tc programs on each of {uplinks} uplinks; for up2:",
            rules4.len(),
            rules6.len(),
            routes4.len(),
            routes6.len(),
        );
        let prefix = format!("from {}", addressing::host(2, Family::V4));
        let network = addressing::prefix(2, Family::V4);
        let source = format!("from {network}");
        let rules = rules4.iter().filter(|rule| rule.contains(&prefix) || rule.contains(&source));
        for rule in rules.take(3) {
            println!("  rule  {}", rule.split(" proto 213").next().unwrap_or(rule));
        }
        for route in routes4.iter().filter(|route| route.contains("dev up2")).take(2) {
            println!("  route {route}");
        }
        Ok(())
    }

    /// The counters that are not zero, one line per uplink.
    pub(super) fn counters(&self, status: &Value) -> Result<()> {
        let uplinks = status["uplinks"].as_array().context("no uplinks in the status")?;
        for uplink in uplinks {
            let name = uplink["name"].as_str().context("an uplink without a name")?;
            let counters = uplink["counters"].as_object().context("an uplink without counters")?;
            let counters: Vec<String> = counters
                .iter()
                .filter(|(_, count)| count.as_u64() != Some(0))
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            println!("counted on {name}: {}", counters.join(", "));
        }
        println!();
        Ok(())
    }

    pub(super) fn verdict(&self, verdict: &Verdict) {
        let Verdict { asked, answered_without, answered_by_luck, silent } = verdict;
        let line = format!(
            "{answered_without} of {asked} answered without prroute, {} of {asked} with it",
            asked - silent.len(),
        );
        let code = if verdict.is_good() { GREEN } else { RED };
        println!("{}", self.paint(code, &line));
        for outcome in answered_by_luck {
            println!("answered without prroute, which must not be: {outcome}");
        }
        for outcome in silent {
            println!("not answered with prroute: {outcome}");
        }
    }
}
