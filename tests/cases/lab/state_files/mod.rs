//! The files below /run and /var/lib: damaged, of another time, or without room.

mod damage;
mod full;
mod reboot;

use std::fs;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::{Instance, remove_leftovers, state};
use prroute_tests::{probe, wait};
use serde_json::Value;

use damage::{DAMAGES, Damage};

const STRICT: Topology = Topology { rp_filter: 1, ..Topology::DEFAULT };

const JOURNAL: &str = "journal.json";
const REPORT: &str = "report.json";

fn rp_filter(lab: &Lab, number: u8) -> Result<String> {
    let path = format!("/proc/sys/net/ipv4/conf/up{number}/rp_filter");
    Ok(lab.host.run(&["cat", &path])?.trim().to_owned())
}

/// Both files are what they should be again.
fn expect_whole(prroute: &Instance<'_>) -> Result<()> {
    for (file, schema) in [(JOURNAL, "prroute.journal/1"), (REPORT, "prroute.report/1")] {
        let path = state(prroute.name()).join(file);
        let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let json: Value = serde_json::from_slice(&text).context("parse")?;
        ensure!(json["schema"] == schema, "{file}: {json}");
    }
    Ok(())
}

fn damage_both(prroute: &Instance<'_>, damage: &Damage) -> Result<()> {
    [JOURNAL, REPORT].iter().try_for_each(|file| damage.apply(&state(prroute.name()).join(file)))
}

#[test]
fn whatever_became_of_the_files_status_and_run_do_their_work() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let prroute = lab.prroute()?;
    let mut daemon = prroute.run(&[])?;
    for damage in &DAMAGES {
        let name = damage.name;
        daemon.kill()?;
        damage_both(&prroute, damage).context(name)?;
        let status = prroute.output(&["status", "--json"])?;
        ensure!(status.status.code() == Some(3), "{name}: {}: {}", status.status, status.stderr);
        serde_json::from_str::<Value>(&status.stdout).context(name)?;

        daemon = prroute.run(&[]).context(name)?;
        let log = daemon.process.log();
        let warnings = log.lines().filter(|line| line.contains(JOURNAL)).count();
        ensure!(warnings == 1, "{name}: {warnings} warnings:\n{log}");
        let status = prroute.status().context(name)?;
        ensure!(status["uplinks"].as_array().map(Vec::len) == Some(3), "{name}: {status:#}");
        expect_whole(&prroute).context(name)?;
    }
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// While a daemon runs, `status` says that it does not know, and the next change mends the files.
#[test]
fn a_running_daemon_writes_its_files_anew() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    lab.with_prroute(|prroute| {
        let garbage = DAMAGES.iter().find(|damage| damage.name == "garbage").context("garbage")?;
        damage_both(prroute, garbage)?;
        let status = prroute.output(&["status"])?;
        ensure!(status.status.code() == Some(5), "{}: {}", status.status, status.stderr);
        lab.host.ip("address add 10.0.1.77/24 dev up1")?;
        wait::until("whole files", prroute_tests::prroute::START, || {
            Ok(expect_whole(prroute).is_ok().then_some(()))
        })?;
        prroute.output(&["status"])?.success()?;
        Ok(())
    })
}

#[test]
fn down_finds_what_is_ours_whatever_became_of_the_journal() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let directory = state(prroute.name());
    let journal = fs::read(directory.join(JOURNAL)).context("read the journal")?;
    daemon.terminate()?;
    prroute.down()?;
    let before = lab.snapshot()?;
    for damage in &DAMAGES {
        let name = damage.name;
        fs::create_dir_all(&directory).context("create the directory")?;
        fs::write(directory.join(JOURNAL), &journal).context("write the journal")?;
        damage.apply(&directory.join(JOURNAL)).context(name)?;
        lab.host.ip("rule add priority 21010 from 10.9.9.9 lookup 21001 protocol 213")?;
        lab.host.ip("route add unreachable default table 21001 protocol 213")?;
        if damage.loses_ranges {
            lab.host.ip("rule add priority 9010 from 10.9.9.9 lookup 9001 protocol 213")?;
        }
        prroute.down().context(name)?;
        lab.expect_unchanged_since(&before).context(name)?;
    }
    Ok(())
}

/// Programs as filters, rules where no default says, sysctls: all of it without a journal.
#[test]
fn down_without_a_journal_undoes_all_but_what_only_the_journal_knew() -> Result<()> {
    let lab = Lab::build(STRICT)?;
    let before = lab.snapshot()?;
    let mut prroute = lab.prroute()?;
    prroute.configure("attach = \"clsact\"\nrule-priority = 9000\ntable = 9000\n")?;
    prroute.run(&[])?.kill()?;
    fs::remove_dir_all(state(prroute.name())).context("remove the state")?;
    let said = prroute.output(&["down"])?;
    let log = said.stderr.clone();
    said.success()?;
    ensure!(log.contains("rp_filter of up1, up2, up3 is left at 2"), "{log}");
    ensure!(log.contains("clsact qdisc of up1, up2, up3 is left"), "{log}");
    for number in 1..=3 {
        ensure!(rp_filter(&lab, number)? == "2");
        lab.host.sysctl(&[&format!("net.ipv4.conf.up{number}.rp_filter=1")])?;
        lab.host.run(&["tc", "qdisc", "del", "dev", &format!("up{number}"), "clsact"])?;
    }
    lab.expect_unchanged_since(&before)
}

/// A host that keeps /run over a reboot: its filters are strict again by themselves, not by the
/// administrator's hand.
#[test]
fn a_journal_of_the_boot_before_leaves_no_filter_strict() -> Result<()> {
    for name in ["another boot", "another namespace"] {
        let lab = Lab::with_services(STRICT)?;
        let before = lab.snapshot()?;
        let prroute = lab.prroute()?;
        prroute.run(&[])?.kill()?;
        let path = state(prroute.name()).join(JOURNAL);
        let journal = fs::read(&path).context("read the journal")?;
        // Reboot: nothing is left but the file.
        prroute.down()?;
        remove_leftovers(prroute.name());
        fs::create_dir_all(state(prroute.name())).context("create the directory")?;
        fs::write(&path, journal).context("write the journal")?;
        let damage = DAMAGES.iter().find(|damage| damage.name == name).context(name)?;
        damage.apply(&path)?;

        let daemon = prroute.run(&[])?;
        for number in 1..=3 {
            let value = rp_filter(&lab, number)?;
            ensure!(value == "2", "{name}: up{number}: {value}\n{}", daemon.process.log());
        }
        probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?).context(name)?;
        daemon.terminate()?;
        prroute.down()?;
        lab.expect_unchanged_since(&before).context(name)?;
    }
    Ok(())
}
