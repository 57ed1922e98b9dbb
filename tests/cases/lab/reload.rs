//! Another configuration for a running daemon: all or nothing, and who asks hears the outcome.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use prroute_tests::addressing::{self, Family};
use prroute_tests::bpf::{self, Direction};
use prroute_tests::command::{self, Output};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::Instance;
use prroute_tests::{probe, wait};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

/// Where the host sends a packet without a source address.
fn way(lab: &Lab, destination: &str) -> Result<String> {
    let route = lab.host.ip(&format!("route get {destination}"))?;
    let mut words = route.split_whitespace().skip_while(|word| *word != "dev");
    Ok(words.nth(1).context("no device in the route")?.to_owned())
}

fn refused(prroute: &Instance<'_>, code: i32, words: &[&str]) -> Result<()> {
    let Output { status, stdout, stderr, .. } = prroute.output(&["reload"])?;
    ensure!(status.code() == Some(code), "{status}, not {code}:\n{stdout}{stderr}");
    for word in words {
        ensure!(stderr.contains(word), "nothing about {word:?} in:\n{stderr}");
    }
    Ok(())
}

/// The third seed: chosen destinations over the other uplink, and more of them while it runs.
#[test]
fn destinations_can_be_added_while_it_runs() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let before = lab.snapshot()?;
    let mut prroute = lab.prroute()?;
    let entry = "[[uplink]]\nname = \"up2\"\n";
    prroute.configure(&format!("{entry}to = [\"192.0.2.1\"]\n"))?;
    let mut daemon = prroute.run(&[])?;
    ensure!(way(&lab, "192.0.2.1")? == "up2" && way(&lab, "192.0.2.9")? == "up1");

    prroute.configure(&format!("{entry}to = [\"192.0.2.1\", \"192.0.2.9\"]\n"))?;
    let told = prroute.output(&["reload"])?.success()?;
    ensure!(told.contains("managing 3 uplinks"), "{told}");
    // In force when the command returns, not later.
    ensure!(way(&lab, "192.0.2.1")? == "up2" && way(&lab, "192.0.2.9")? == "up2");
    let said = daemon.said()?;
    let (_, reload) = said.split_once("RELOADING=1").context("the manager is told")?;
    ensure!(reload.contains("MONOTONIC_USEC=") && reload.contains("READY=1"), "{said}");
    // Replies win.
    probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)?;

    // Without the command: the signal alone.
    prroute.configure("")?;
    daemon.process.signal(Signal::SIGHUP)?;
    wait::until("the destinations are main's again", SOON, || {
        Ok((way(&lab, "192.0.2.1")? == "up1").then_some(()))
    })?;
    daemon.terminate()?;
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

#[test]
fn a_configuration_that_cannot_be_leaves_the_one_in_force() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let mut prroute = lab.prroute()?;
    let good = "[[uplink]]\nname = \"up2\"\nto = [\"192.0.2.1\"]\n";
    prroute.configure(good)?;
    let daemon = prroute.run(&[])?;
    let installed = lab.snapshot()?;
    let unchanged = || -> Result<()> { lab.expect_unchanged_since(&installed) };

    // The first key is good.
    prroute.configure(&format!("rp-filter = \"leave\"\n{good}gatway = []\n"))?;
    refused(&prroute, 78, &[":5: gatway: unknown key", "`gateway`", "stays in force"])?;
    unchanged()?;

    // Nothing wrong with it but the host it is for.
    lab.host.ip("rule add priority 5500 from 10.77.0.0/16 lookup main")?;
    prroute.configure(&format!("rule-priority = 5000\n{good}"))?;
    refused(&prroute, 1, &["priority 5500 from 10.77.0.0/16", "stays in force"])?;
    lab.host.ip("rule del priority 5500")?;
    unchanged()?;

    let refusal =
        |prroute: &Instance<'_>| Ok::<_, anyhow::Error>(prroute.status()?["refused"].clone());
    ensure!(refusal(&prroute)?["message"].is_string(), "{}", refusal(&prroute)?);
    // A start reads what is there now: what was refused before is past.
    prroute.configure(good)?;
    daemon.terminate()?;
    let daemon = prroute.run(&[])?;
    ensure!(refusal(&prroute)?.is_null(), "{}", refusal(&prroute)?);
    prroute.configure(&format!("rule-priority = 5000\n{good}"))?;

    // A good one still is taken, and moves everything.
    prroute.output(&["reload"])?.success()?;
    let rules = lab.host.ip("rule show")?;
    ensure!(rules.contains("5030:") && !rules.contains("21030:"), "{rules}");
    probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)?;
    let log = daemon.terminate()?;
    ensure!(log.contains("is in force"), "{log}");
    prroute.down()?;
    let rules = lab.host.ip("rule show")?;
    ensure!(rules.lines().count() == 3, "{rules}");
    refused(&prroute, 3, &["is not running"])
}

/// Nobody writes to the FIFO, and /dev/zero has no end.
#[test]
fn a_configuration_that_cannot_be_read_to_its_end_holds_nobody_up() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let mut prroute = lab.prroute()?;
    let file = prroute.configure("")?;
    let name = file.display().to_string();
    let daemon = prroute.run(&[])?;
    std::fs::remove_file(&file).context("remove the configuration")?;
    let endless: [(&[&str], &str); 2] = [
        (&["mkfifo", &name], "a FIFO, not a regular file"),
        (&["ln", "-sf", "/dev/zero", &name], "a device, not a regular file"),
    ];
    for (make, complaint) in endless {
        command::run(make)?;
        refused(&prroute, 78, &[complaint, "stays in force"])?;
        for words in [&["check", "--offline", &name][..], &["plan", "--config", &name], &["run"]] {
            let Output { status, stderr, .. } = prroute.output(words)?;
            ensure!(status.code() == Some(78) && stderr.contains(complaint), "{status}: {stderr}");
        }
    }
    ensure!(prroute.status()?["uplinks"][1].is_object(), "{}", daemon.process.log());
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// Ranges that overlap: what stays must not go with what is left.
#[test]
fn ranges_can_be_moved_by_a_little() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let before = lab.snapshot()?;
    let mut prroute = lab.prroute()?;
    prroute.configure("")?;
    let daemon = prroute.run(&[])?;
    for ranges in ["table = 21001", "rule-priority = 21010\ntable = 21003", ""] {
        prroute.configure(ranges)?;
        prroute.output(&["reload"])?.success()?;
        let plan = prroute.output(&["plan"])?.success()?;
        ensure!(plan.contains("# nothing to change"), "after {ranges:?}:\n{plan}");
        let address = addressing::host(2, Family::V4);
        let route = lab.host.ip(&format!("route get 192.0.2.1 from {address}"))?;
        ensure!(route.contains("dev up2"), "after {ranges:?}: {route}");
    }
    daemon.kill()?;
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

/// How many tcx programs and clsact filters are on the uplinks, both ways.
fn attachments(lab: &Lab) -> Result<(u32, usize)> {
    let (mut tcx, mut clsact) = (0, 0);
    for device in (1..=3).map(addressing::device) {
        for (direction, word) in [(Direction::Ingress, "ingress"), (Direction::Egress, "egress")] {
            tcx += bpf::tcx_programs(&lab.host, &device, direction)?;
            let filters = lab.host.run(&["tc", "filter", "show", "dev", &device, word])?;
            clsact += filters.matches("direct-action").count();
        }
    }
    Ok((tcx, clsact))
}

#[test]
fn the_hook_can_be_changed_while_it_runs() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let before = lab.snapshot()?;
    let mut prroute = lab.prroute()?;
    prroute.configure("")?;
    let daemon = prroute.run(&[])?;
    assert_eq!(attachments(&lab)?, (6, 0));
    for (attach, expected) in [("clsact", (0, 6)), ("tcx", (6, 0)), ("clsact", (0, 6))] {
        prroute.configure(&format!("attach = \"{attach}\"\n"))?;
        prroute.output(&["reload"])?.success()?;
        assert_eq!(attachments(&lab)?, expected, "{attach}:\n{}", daemon.process.log());
        // A probe's own patience is short for a busy machine.
        lab.expect_answered_within(Duration::from_secs(60), &probe::to_everything(3))?;
    }
    // A start with another hook is no different.
    daemon.terminate()?;
    prroute.configure("attach = \"tcx\"\n")?;
    let daemon = prroute.run(&[])?;
    assert_eq!(attachments(&lab)?, (6, 0));
    daemon.terminate()?;
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

#[test]
fn a_key_that_does_not_follow_a_reload_is_named() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let mut prroute = lab.prroute()?;
    prroute.configure("")?;
    let daemon = prroute.run(&[])?;
    // Also when it is read once more.
    prroute.configure("flows = 8192\n")?;
    for _ in 0..2 {
        let told = prroute.output(&["reload"])?;
        ensure!(told.status.success(), "{told:?}");
        ensure!(told.stderr.contains("flows = 8192 is not in force"), "{}", told.stderr);
    }
    // What the tables in use were made for is in force.
    prroute.configure("")?;
    let told = prroute.output(&["reload"])?;
    ensure!(told.status.success() && !told.stderr.contains("flows"), "{told:?}");
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// More rules than one round takes.
#[test]
fn what_a_reload_leaves_to_later_rounds_is_said() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let mut prroute = lab.prroute()?;
    prroute.configure("")?;
    let daemon = prroute.run(&[])?;
    let to = |count: u8| -> Vec<String> {
        let all = (0..count).flat_map(|high| (0..250).map(move |low| (high, low)));
        all.map(|(high, low)| format!("\"192.{high}.{low}.1\"")).collect()
    };
    let entry = |count| format!("[[uplink]]\nname = \"up2\"\nto = [{}]\n", to(count).join(", "));
    prroute.configure(&entry(3))?;
    let told = prroute.output(&["reload"])?;
    ensure!(told.status.success(), "{told:?}");
    ensure!(told.stderr.contains("not all rules and routes are in place yet"), "{told:?}");
    wait::until("the rest follows", Duration::from_secs(30), || {
        Ok(prroute.output(&["plan"])?.success()?.contains("# nothing to change").then_some(()))
    })?;
    // One round is enough for what is there.
    prroute.configure(&entry(3))?;
    let told = prroute.output(&["reload"])?;
    ensure!(told.status.success() && told.stderr.is_empty(), "{told:?}");
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}
