//! What is removed while no daemon runs: `status` names it, and the next daemon starts from what is
//! left, or from nothing, but from no mixture.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use prroute_common::names;
use prroute_tests::lab::Lab;
use prroute_tests::prroute::Instance;
use serde_json::Value;

use super::removal::{pin, unpin, unpin_all};
use super::traffic::{self, Talk};

/// The report, whatever the exit code.
fn status(prroute: &Instance<'_>) -> Result<(Value, Option<i32>)> {
    let output = prroute.output(&["status", "--json"])?;
    let report = serde_json::from_str(&output.stdout)
        .with_context(|| format!("parse {}{}", output.stdout, output.stderr))?;
    Ok((report, output.status.code()))
}

/// What is missing, one sentence each.
fn faults(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().map_or(&[][..], Vec::as_slice);
    let faults = findings.iter().filter(|finding| finding["severity"] == "fault");
    faults.filter_map(|fault| fault["what"].as_str()).collect()
}

/// The next daemon's log.
fn next_daemon(
    hook: &str,
    remove: impl FnOnce(&Lab, &Instance<'_>) -> Result<()>,
    is_kept: bool,
) -> Result<String> {
    let lab = traffic::lab()?;
    let echo = Talk::prepare(&lab)?;
    let before = lab.snapshot()?;
    let mut prroute = lab.prroute()?;
    prroute.configure(&format!("attach = \"{hook}\"\n"))?;
    let daemon = prroute.run(&[])?;
    let mut talk = Talk::begin(&lab, echo)?;
    daemon.kill()?;
    remove(&lab, &prroute)?;
    let daemon = prroute.run(&[])?;
    Talk::expect_now(&lab)?;
    if is_kept {
        talk.expect(&lab).context("what was known before")?;
    }
    let (report, code) = status(&prroute)?;
    ensure!(code == Some(0) && faults(&report).is_empty(), "{report:#}");
    let log = daemon.kill()?;
    prroute.down()?;
    drop(talk);
    lab.expect_unchanged_since(&before)?;
    Ok(log)
}

const ANEW: &str = "starting with empty tables";

#[test]
fn a_daemon_without_a_links_pin_goes_on_with_the_flows() -> Result<()> {
    let log = next_daemon("tcx", |_, prroute| unpin(prroute, "link-2-egress"), true)?;
    ensure!(!log.contains(ANEW), "{log}");
    Ok(())
}

#[test]
fn a_daemon_without_a_filter_goes_on_with_the_flows() -> Result<()> {
    let remove = |lab: &Lab, _: &Instance<'_>| {
        lab.host.run(&["tc", "qdisc", "del", "dev", "up2", "clsact"]).map(drop)
    };
    let log = next_daemon("clsact", remove, true)?;
    ensure!(!log.contains(ANEW), "{log}");
    Ok(())
}

#[test]
fn a_daemon_with_some_of_the_maps_starts_anew() -> Result<()> {
    for hook in ["tcx", "clsact"] {
        let remove = |_: &Lab, prroute: &Instance<'_>| {
            unpin(prroute, names::UPLINK_FACTS)?;
            unpin(prroute, names::FLOWS4)
        };
        let log = next_daemon(hook, remove, false)?;
        ensure!(log.matches(ANEW).count() == 1, "{hook}: {log}");
    }
    Ok(())
}

#[test]
fn a_daemon_without_any_pin_starts_anew() -> Result<()> {
    for hook in ["tcx", "clsact"] {
        let log = next_daemon(hook, |_, prroute| unpin_all(prroute), false)?;
        ensure!(log.matches(ANEW).count() == 1, "{hook}: {log}");
    }
    Ok(())
}

#[test]
fn status_does_not_show_what_is_gone() -> Result<()> {
    let lab = traffic::lab()?;
    let mut prroute = lab.prroute()?;
    prroute.configure("attach = \"clsact\"\n")?;
    prroute.run(&[])?.kill()?;
    lab.host.run(&["tc", "qdisc", "del", "dev", "up2", "clsact"])?;
    let (report, code) = status(&prroute)?;
    ensure!(report["uplinks"][0]["hook"] == "clsact", "{report:#}");
    ensure!(report["uplinks"][1]["hook"].is_null(), "{report:#}");
    let missing = "up2: the programs are not attached";
    ensure!(faults(&report).iter().any(|fault| fault.contains(missing)), "{report:#}");
    ensure!(report["health"] == "unwatched", "{report:#}");
    ensure!(code == Some(3), "{code:?}");
    // Half of the pins make no error of it either.
    fs::remove_file(pin(&prroute, names::COUNTERS)).context("remove a pin")?;
    let (report, _) = status(&prroute)?;
    let missing = "pinned maps are missing";
    ensure!(faults(&report).iter().any(|fault| fault.contains(missing)), "{report:#}");
    prroute.down()?;
    Ok(())
}
