//! `prroute try`: what is not confirmed is undone.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use prroute_tests::command::{self, Output};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::process::Process;
use prroute_tests::prroute::{Instance, START, STOP};
use prroute_tests::{probe, wait};

const TWO: Topology = Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT };

/// `try` with this on its standard input, to its end.
fn tried(prroute: &Instance<'_>, time: &str, input: &str) -> Result<Output> {
    command::output_within(&mut prroute.command(&["try", time])?, START, input)
}

/// `try` that has asked, and hears nothing.
fn asking(prroute: &Instance<'_>, time: &str) -> Result<Process> {
    let mut trial = Process::spawn_with_open_input(&mut prroute.command(&["try", time])?)?;
    trial.wait_log("the question", START, |log| log.contains("to keep it").then_some(()))?;
    Ok(trial)
}

/// Waits for the end of a trial, which must have undone everything.
fn expect_undone(mut trial: Process, why: &str) -> Result<()> {
    let status = trial.wait_end(STOP)?;
    let log = trial.finished_log(STOP)?;
    ensure!(status.code() == Some(1), "{status}:\n{log}");
    ensure!(log.contains(&format!("{why}; everything is undone")), "{log}");
    Ok(())
}

#[test]
fn what_is_confirmed_is_kept() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    let Output { status, stderr, .. } = tried(&prroute, "60s", "\n")?;
    ensure!(status.success(), "{status}: {stderr}");
    ensure!(stderr.contains("2 uplinks (up1, up2)"), "{stderr}");
    ensure!(stderr.contains("kept: it works on as it is now, and nobody follows"), "{stderr}");
    probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)?;
    let status = prroute.output(&["status"])?;
    ensure!(status.status.code() == Some(3), "{status:?}");
    ensure!(status.stdout.contains("UNWATCHED"), "{}", status.stdout);
    // There is something in force that another trial would not give back.
    let again = tried(&prroute, "60s", "\n")?;
    ensure!(again.stderr.contains("`prroute down` removes it"), "{}", again.stderr);
    // A daemon goes on with it.
    let daemon = prroute.run(&[])?;
    ensure!(prroute.output(&["status"])?.status.success(), "a daemon");
    daemon.terminate()?;
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

#[test]
fn what_nobody_confirms_in_time_is_undone() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    let trial = asking(&prroute, "2s")?;
    // Ctrl-Z: who is stopped would undo nothing.
    trial.signal(Signal::SIGTSTP)?;
    expect_undone(trial, "nobody confirmed within 2 s")?;
    lab.expect_unchanged_since(&before)
}

#[test]
fn a_session_that_breaks_undoes_what_is_in_force_until_then() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    for (signal, why) in [(Signal::SIGHUP, "SIGHUP: the session ended"), (Signal::SIGINT, "SIGINT")]
    {
        let trial = asking(&prroute, "600s")?;
        probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)?;
        trial.signal(signal)?;
        expect_undone(trial, why)?;
        lab.expect_unchanged_since(&before)?;
    }
    // Neither is the end of the input an answer, nor a line that does not end.
    for input in ["", "yes"] {
        let Output { status, stderr, .. } = tried(&prroute, "600s", input)?;
        ensure!(status.code() == Some(1), "{status}: {stderr}");
        ensure!(stderr.contains("ended without a line; everything is undone"), "{stderr}");
        lab.expect_unchanged_since(&before)?;
    }
    Ok(())
}

/// What a daemon is told to read again a trial would take for the end of its session.
#[test]
fn a_reload_beside_a_trial_is_refused_and_undoes_nothing() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    let before = lab.snapshot()?;
    let mut prroute = lab.prroute()?;
    prroute.configure("")?;
    let mut trial = asking(&prroute, "600s")?;
    prroute.configure("# changed meanwhile\n")?;
    let Output { status, stderr, .. } = prroute.output(&["reload"])?;
    let pid = trial.pid();
    let words = format!("`prroute try` (pid {pid}) is running: end it first");
    ensure!(status.code() == Some(1) && stderr.contains(&words), "{status}: {stderr}");
    // Neither is it what `doctor` does about a configuration that was changed.
    let doctor = prroute.output(&["doctor", "--fix"])?;
    ensure!(doctor.stdout.contains("configuration-changed"), "{doctor:?}");
    ensure!(!doctor.stdout.contains("prroute reload"), "{doctor:?}");
    probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)?;
    trial.write_input("\n")?;
    let ended = trial.wait_end(STOP)?;
    let log = trial.finished_log(STOP)?;
    ensure!(ended.success() && log.contains("kept: it works on"), "{ended}:\n{log}");
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

#[test]
fn a_trial_that_is_killed_is_seen() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    let mut trial = asking(&prroute, "600s")?;
    trial.kill()?;
    let status = prroute.output(&["status"])?;
    ensure!(status.stdout.contains("UNWATCHED"), "{}", status.stdout);
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

#[test]
fn beside_a_daemon_it_says_what_to_do() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let mut prroute = lab.prroute()?;
    for (configuration, words) in [
        ("", "enforces: there is nothing to try"),
        ("mode = \"observe\"\n", "only observes: `prroute down` ends it"),
    ] {
        prroute.configure(configuration)?;
        let daemon = prroute.run(&[])?;
        let Output { status, stderr, .. } = tried(&prroute, "60s", "\n")?;
        let pid = daemon.process.pid();
        ensure!(status.code() == Some(1) && stderr.contains(words), "{status}: {stderr}");
        ensure!(stderr.contains(&format!("(pid {pid})")), "{stderr}");
        daemon.terminate()?;
        prroute.down()?;
    }
    Ok(())
}

#[test]
fn with_one_uplink_there_is_nothing_to_try() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 1, ..TWO })?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    let Output { status, stderr, .. } = tried(&prroute, "60s", "\n")?;
    ensure!(status.code() == Some(1) && stderr.contains("two are needed"), "{status}: {stderr}");
    wait::until("nothing is left", Duration::from_secs(5), || {
        Ok(lab.expect_unchanged_since(&before).is_ok().then_some(()))
    })
    .context("with one uplink")
}
