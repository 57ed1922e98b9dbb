//! While a daemon runs, what was removed comes back.

use anyhow::{Context as _, Result, ensure};
use prroute_tests::wait;
use serde_json::Value;

use super::removal::{ANY, CLSACT, Removal, TCX};
use super::traffic::{self, HEALED, Talk};

fn everything_comes_back(hook: &str, removals: &[Removal]) -> Result<()> {
    let lab = traffic::lab()?;
    let echo = Talk::prepare(&lab)?;
    let before = lab.snapshot()?;
    let mut prroute = lab.prroute()?;
    prroute.configure(&format!("attach = \"{hook}\"\n"))?;
    let daemon = prroute.run(&[])?;
    let mut talk = Talk::begin(&lab, echo)?;
    let log = || daemon.process.log();
    let mut times = 0;
    for Removal { name, said, remove } in removals.iter().chain(&ANY) {
        let said_before = log().matches(said).count();
        remove(&lab, &prroute).with_context(|| format!("remove {name}"))?;
        let mut last = Value::Null;
        wait::until("it is said to be back, and nothing is missing", HEALED, || {
            // It fails as long as something is.
            let Ok(status) = prroute.status() else { return Ok(None) };
            last = status;
            let healed = last["healed"]["times"].as_u64().unwrap_or_default();
            Ok((healed > times && log().matches(said).count() > said_before).then_some(()))
        })
        .with_context(|| format!("{name}: {}\n{last:#}", log()))?;
        times = last["healed"]["times"].as_u64().unwrap_or_default();
        let uplinks = last["uplinks"].as_array().context("no uplinks")?;
        ensure!(uplinks.iter().all(|uplink| uplink["hook"] == hook), "{name}: {last:#}");
        ensure!(last["udp_source"]["state"] == "attached", "{name}: {last:#}");
        talk.expect(&lab).with_context(|| format!("after {name}: {}", log()))?;
    }
    // Nothing goes on changing: everything was put back for good.
    Talk::expect_now(&lab)?;
    daemon.kill()?;
    for Removal { name, remove, .. } in removals.iter().chain(&ANY) {
        // One may have taken another one's object with it.
        if let Err(error) = remove(&lab, &prroute) {
            eprintln!("{name}: {error:#}");
        }
    }
    prroute.down()?;
    drop(talk);
    lab.expect_unchanged_since(&before)
}

#[test]
fn tcx_links_pins_and_rules_come_back() -> Result<()> {
    everything_comes_back("tcx", &TCX)
}

#[test]
fn filters_pins_and_rules_come_back() -> Result<()> {
    everything_comes_back("clsact", &CLSACT)
}
