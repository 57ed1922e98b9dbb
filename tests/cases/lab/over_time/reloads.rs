//! Reloads, with changes and without.
//!
//! `PRROUTE_RELOADS` says how many.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::{Daemon, Instance};
use prroute_tests::{probe, wait};

use super::holdings::{Holdings, expect_flat, memory};
use super::number_of;

/// Programs may be loaded meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

const ROUTED: &str = "[[uplink]]\nname = \"up2\"\nto = [\"192.0.2.1\", \"192.0.2.64/26\"]\n";
const OBSERVING: &str = "mode = \"observe\"\n";

/// In turn: the same twice is a reload without a change.
const CONFIGURATIONS: [&str; 8] = ["", "", ROUTED, ROUTED, "", ROUTED, "", ""];
/// In every so many turns the programs are replaced, too, and those before put back.
const REPLACED_EVERY: u64 = 5;

/// By the signal alone, and waits until the daemon has told its manager that it is done.
fn reload(prroute: &mut Instance<'_>, daemon: &mut Daemon, text: &str) -> Result<()> {
    prroute.configure(text)?;
    let before = daemon.said()?.matches("RELOADING=1").count();
    daemon.process.signal(Signal::SIGHUP)?;
    wait::until("the reload is done", PATIENCE, || {
        daemon.process.check_running()?;
        let said = daemon.said()?;
        let (_, last) = said.rsplit_once("RELOADING=1").unwrap_or_default();
        let is_done = last.lines().any(|line| line == "READY=1");
        Ok((said.matches("RELOADING=1").count() > before && is_done).then_some(()))
    })
    .with_context(|| daemon.process.log())
}

fn turn(prroute: &mut Instance<'_>, daemon: &mut Daemon, number: u64) -> Result<u64> {
    let mut configurations = CONFIGURATIONS;
    if number.is_multiple_of(REPLACED_EVERY) {
        configurations[5] = OBSERVING;
    }
    for text in configurations {
        reload(prroute, daemon, text)?;
    }
    Ok(configurations.len() as u64)
}

#[test]
fn two_hundred_reloads_leave_what_one_leaves() -> Result<()> {
    let wanted = number_of("PRROUTE_RELOADS", 200)?;
    let lab = Lab::with_services(Topology::DEFAULT)?;
    let mut prroute = lab.prroute()?;
    prroute.configure("")?;
    let mut daemon = prroute.run(&[])?;
    // What is made once has been made.
    let mut done = turn(&mut prroute, &mut daemon, 0)?;
    lab.expect_answered_within(PATIENCE, &probe::to_everything(3))?;
    let before = Holdings::of(&lab, &daemon.process)?;
    let memory_before = memory(&daemon.process)?;
    let mut number = 0;
    while done < wanted {
        number += 1;
        done += turn(&mut prroute, &mut daemon, number)?;
    }
    println!("{done} reloads");
    before.expect_again(&lab, &daemon.process)?;
    expect_flat(&daemon.process, memory_before)?;
    probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)?;
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}
