//! The unit under systemd.

use anyhow::{Context as _, Result};
use prroute_tests::command;
use prroute_tests::lab::Lab;
use prroute_tests::wait;

use crate::network::{TWO_UPLINKS, expect_answers, serve};
use crate::service::{JOB, Service, UNIT, property, systemctl};

#[test]
fn a_start_complains_of_nothing_and_a_killed_daemon_comes_back() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    let service = Service::start()?;
    assert_eq!(property("ActiveState")?, "active");
    assert_eq!(property("StatusText")?, "managing 2 uplinks: up1, up2");
    let status = service.prroute(&["status"])?.success()?;
    assert!(status.contains("ok, 2 of 2 uplinks answer"), "{status}");
    expect_answers(&lab)?;
    let warnings = service.journal(&["--priority=warning"])?;
    assert!(warnings.is_empty(), "{warnings}");

    systemctl(&["reload", UNIT])?;
    let killed = property("MainPID")?;
    command::run(&["kill", "-KILL", &killed])?;
    // The programs and the rules work on meanwhile.
    expect_answers(&lab)?;
    wait::until("another daemon is ready", JOB, || {
        let is_ready = property("ActiveState")? == "active" && property("MainPID")? != killed;
        Ok(is_ready.then_some(()))
    })
    .with_context(|| service.journal(&[]).unwrap_or_default())?;
    assert_eq!(property("NRestarts")?, "1");
    expect_answers(&lab)
}

#[test]
fn down_ends_a_daemon_that_hangs_and_it_stays_down() -> Result<()> {
    let _lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let service = Service::start()?;
    let hangs = property("MainPID")?;
    command::run(&["kill", "-STOP", &hangs])?;
    let said = service.prroute(&["down"])?.success()?;
    service.wait_for(&["inactive", "failed"])?;
    assert_eq!(property("MainPID")?, "0", "{said}");
    // Longer than RestartSec: a restart would have come.
    std::thread::sleep(wait::patience(std::time::Duration::from_secs(3)));
    assert_eq!(property("MainPID")?, "0", "{said}\n{}", service.journal(&[])?);
    expect_no_rules()
}

/// The unit waits for RestartSec, or has not even noticed yet: both times it would start the daemon again.
#[test]
fn down_in_the_pause_before_a_restart_stays_down() -> Result<()> {
    let _lab = Lab::around_this_machine(TWO_UPLINKS)?;
    for waits in [true, false] {
        let service = Service::start()?;
        command::run(&["kill", "-KILL", &property("MainPID")?])?;
        if waits {
            wait::until("the unit waits for its restart", JOB, || {
                Ok((property("SubState")? == "auto-restart").then_some(()))
            })?;
        }
        let said = service.prroute(&["down"])?.success()?;
        // Longer than RestartSec: a restart would have come.
        std::thread::sleep(wait::patience(std::time::Duration::from_secs(5)));
        let state = property("ActiveState")?;
        let is_down = ["inactive", "failed"].contains(&state.as_str());
        assert!(is_down, "{state}: {said}\n{}", service.journal(&[])?);
        assert_eq!(property("MainPID")?, "0", "{said}");
        expect_no_rules()?;
    }
    Ok(())
}

fn expect_no_rules() -> Result<()> {
    // By number: the package gives it a name.
    let rules = command::run(&["ip", "-N", "rule", "show"])?;
    assert!(!rules.contains("proto 213"), "{rules}");
    Ok(())
}
