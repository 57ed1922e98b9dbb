//! Without a daemon, without programs, where packets are only observed; and nothing is changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::Lab;
use prroute_tests::probe::Question;
use prroute_tests::prroute::pins;
use prroute_tests::{command, probe, wait};

use super::{Explained, TWO, expect_agreement, probes, to_own, to_shared};

const TCP: Question = Question::Tcp(80);
const SOON: Duration = Duration::from_secs(30);

/// What every pinned map has, as bpftool shows it.
fn maps(directory: &Path) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(maps(&path)?);
            continue;
        }
        let text = path.display().to_string();
        // A link is no map, and a ring buffer cannot be dumped.
        let dump = command::output(&mut command::command(&[
            "bpftool", "-j", "map", "dump", "pinned", &text,
        ])?)?;
        if dump.status.success() {
            all.insert(text, dump.stdout);
        }
    }
    Ok(all)
}

#[test]
fn it_works_without_a_daemon_and_changes_no_map() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)?;
    daemon.terminate()?;
    let pins = pins(prroute.name());
    let host = lab.snapshot()?;
    let mut before = maps(&pins)?;
    // The last segments of what was asked.
    wait::until("the maps hold still", SOON, || {
        let now = maps(&pins)?;
        let is_still = now == before;
        before = now;
        Ok(is_still.then_some(()))
    })?;
    ensure!(before.len() > 10, "{:?}", before.keys());
    let mut asked = probes(addressing::host, &Question::ALL);
    asked.extend(probes(|_, family| addressing::shared(family), &Question::ALL));
    for probe in &asked {
        Explained::of(&prroute, probe)?.expect("answered", None)?;
    }
    let after = maps(&pins)?;
    for (name, dump) in &before {
        ensure!(after.get(name) == Some(dump), "{name} has changed");
    }
    ensure!(before.len() == after.len(), "{:?}", after.keys());
    lab.expect_unchanged_since(&host)?;
    expect_agreement(&lab, &prroute, &asked)?;
    prroute.down().map(drop)
}

#[test]
fn before_prroute_was_started_it_says_what_routing_does() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.meet_default_gateway()?;
    let prroute = lab.prroute()?;
    let right = to_own(1, TCP, Family::V4);
    Explained::of(&prroute, &right)?.expect("answered", None)?;
    for wrong in [to_own(2, TCP, Family::V4), to_shared(2, TCP, Family::V6)] {
        let explained = Explained::of(&prroute, &wrong)?;
        ensure!(explained.verdict() == "wrong-uplink", "{explained:#?}");
        ensure!(explained.code == Some(3), "{explained:#?}");
        let remedy = explained.way["remedy"].as_str().unwrap_or_default();
        ensure!(remedy.contains("`prroute run`"), "{explained:#?}");
        expect_agreement(&lab, &prroute, &[wrong, right])?;
    }
    Ok(())
}

#[test]
fn programs_that_only_observe_move_nothing() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.meet_default_gateway()?;
    lab.with_configuration("mode = \"observe\"\n", |prroute| {
        let asked = [to_shared(2, TCP, Family::V4), to_own(2, TCP, Family::V4)];
        for explained in expect_agreement(&lab, prroute, &asked)? {
            explained.expect("wrong-uplink", Some("program out"))?;
        }
        Ok(())
    })
}
