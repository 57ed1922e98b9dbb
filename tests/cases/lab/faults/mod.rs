//! Faults made on purpose by the tool that makes them in life: `status` or `doctor` names each in its
//! first lines and by its exit code, the command that it prints mends it, and nothing is left.

mod before;
mod configuration;
mod filters;
mod forwarding;
mod gateways;
mod links;
mod mtu;
mod others;
mod programs;
mod shared;
mod subnets;
pub(crate) mod uplinks;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::command::Output;
use prroute_tests::lab::Topology;
use prroute_tests::netns::Namespace;
use prroute_tests::prroute::{self, Instance};
use prroute_tests::wait;
use serde_json::Value;

/// The commands that name them.
const STATUS: &[&str] = &["status"];
const DOCTOR: &[&str] = &["doctor"];

/// Enough to have something to decide.
const TWO: Topology = Topology { uplinks: 2, ..Topology::DEFAULT };

/// A fault is named, and a mended one is forgotten, within this time.
const SOON: Duration = Duration::from_secs(30);

/// So many lines are read by somebody in a hurry.
const FIRST_LINES: usize = 40;

/// What a command said, as text and as JSON.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    text: Output,
    report: Value,
}

impl Said {
    /// `command` is `&["status"]` or `&["doctor", ..]`.
    fn by(prroute: &Instance<'_>, command: &[&str]) -> Result<Self> {
        let json = prroute.output(&[command, &["--json"]].concat())?;
        let report = serde_json::from_str(&json.stdout).with_context(|| format!("{json:?}"))?;
        let text = prroute.output(command)?;
        Ok(Self { code: text.status.code(), text, report })
    }

    fn listing(&self) -> String {
        format!("{:?}:\n{}{}", self.code, self.text.stdout, self.text.stderr)
    }

    /// The finding with this id.
    fn finding(&self, id: &str) -> Option<&Value> {
        self.report["findings"].as_array()?.iter().find(|finding| finding["id"] == id)
    }

    /// The beginning of the text, its words one space apart.
    fn first_lines(&self) -> String {
        let lines = self.text.stdout.lines().take(FIRST_LINES);
        lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    }
}

/// Waits until `command` names the finding `id` in its first lines, with the exit code `code`.
fn expect_named(prroute: &Instance<'_>, command: &[&str], id: &str, code: i32) -> Result<Value> {
    let mut last = None;
    wait::until(&format!("{command:?} names {id} and exits with {code}"), SOON, || {
        let said = last.insert(Said::by(prroute, command)?);
        let Some(finding) = said.finding(id) else { return Ok(None) };
        let what = finding["what"].as_str().context("what")?;
        let is_named = said.first_lines().contains(what);
        Ok((is_named && said.code == Some(code)).then(|| finding.clone()))
    })
    .with_context(|| last.as_ref().map_or_else(String::new, Said::listing))
}

/// Waits until `command` has nothing to tell: neither a fault nor a warning, and the exit code 0.
fn expect_clean(prroute: &Instance<'_>, command: &[&str]) -> Result<()> {
    let mut last = None;
    wait::until(&format!("{command:?} finds nothing"), SOON, || {
        let said = last.insert(Said::by(prroute, command)?);
        let findings = said.report["findings"].as_array().context("findings")?;
        let is_clean = findings.iter().all(|finding| finding["severity"] == "notice");
        Ok((is_clean && said.code == Some(0)).then_some(()))
    })
    .with_context(|| last.as_ref().map_or_else(String::new, Said::listing))
}

/// Types the command that mends a finding on the host, as it is printed; `prroute` in it is the one
/// under test.
fn run_fix(host: &Namespace, prroute: &Instance<'_>, finding: &Value) -> Result<()> {
    let fix = finding["fix"].as_str().with_context(|| format!("no fix: {finding:#}"))?;
    let binary = prroute::binary()?.display().to_string();
    let is_its_own = !fix.starts_with("prroute ") || fix.contains(prroute.name());
    ensure!(is_its_own, "not for this instance: {fix}");
    let script = format!("prroute() {{ \"$BINARY\" \"$@\"; }}\n{fix}\n");
    host.run(&["env", &format!("BINARY={binary}"), "sh", "-e", "-c", &script])
        .map(drop)
        .with_context(|| format!("the fix {fix:?}"))
}

/// A fault from its beginning to its end: named by `command`, mended by what is printed, clean.
fn expect_named_and_mended(
    host: &Namespace,
    prroute: &Instance<'_>,
    command: &[&str],
    (id, code): (&str, i32),
) -> Result<()> {
    ensure!(!command.is_empty(), "no command");
    let finding = expect_named(prroute, command, id, code)?;
    run_fix(host, prroute, &finding)?;
    expect_clean(prroute, command)
}
