//! A daemon that hangs, a mistake in the configuration, and one that cannot start.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use prroute_tests::lab::Lab;
use prroute_tests::{command, wait};

use crate::configuration::Configuration;
use crate::network::{TWO_UPLINKS, expect_answers, serve};
use crate::service::{JOB, Service, UNIT, property, systemctl};

const DROP_INS: &str = "/run/systemd/system/prroute.service.d";

/// The unit's `RestartSec=`.
const PAUSE: Duration = Duration::from_secs(3);

/// More than systemd's default limit of starts, and the unit's former one.
const RESTARTS: u32 = 12;

/// A setting of the unit, taken back when dropped.
struct DropIn;

impl DropIn {
    fn set(text: &str) -> Result<Self> {
        fs::create_dir_all(DROP_INS).with_context(|| format!("create {DROP_INS}"))?;
        fs::write(Path::new(DROP_INS).join("test.conf"), text).context("write the drop-in")?;
        Ok(Self)
    }
}

impl Drop for DropIn {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(DROP_INS) {
            eprintln!("remove {DROP_INS}: {error}");
        }
    }
}

fn rules() -> Result<String> {
    command::run(&["ip", "rule", "show"])
}

fn restarts() -> Result<u32> {
    property("NRestarts")?.parse().context("parse the number of restarts")
}

#[test]
fn a_daemon_that_hangs_is_replaced_and_everything_is_answered_meanwhile() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    // Sooner than with the packaged setting; emulated, a second is not enough to answer in.
    let _soon = DropIn::set("[Service]\nWatchdogSec=10\n")?;
    let service = Service::start()?;
    let hangs = property("MainPID")?;
    command::run(&["kill", "-STOP", &hangs])?;
    expect_answers(&lab)?;
    wait::until("another daemon is ready", 2 * JOB, || {
        let is_ready = property("ActiveState")? == "active" && property("MainPID")? != hangs;
        Ok(is_ready.then_some(()))
    })
    .with_context(|| service.journal(&[]).unwrap_or_default())?;
    let journal = service.journal(&[])?;
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    expect_answers(&lab)
}

#[test]
fn a_mistake_is_an_error_of_the_reload_and_changes_nothing() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    let service = Service::start()?;
    let (daemon, before) = (property("MainPID")?, rules()?);
    let mistake = Configuration::write("rule-priority = 5000\ngatway = []\n")?;
    let refused = systemctl(&["reload", UNIT]);
    assert!(refused.is_err(), "the reload succeeded");
    let journal = service.journal(&["--priority=err"])?;
    assert!(journal.contains("prroute.toml:2: gatway: unknown key"), "{journal}");
    assert_eq!((property("ActiveState")?, property("MainPID")?), ("active".to_owned(), daemon));
    assert_eq!(rules()?, before);
    expect_answers(&lab)?;

    // A stop keeps everything; with the mistake there is no start, nor another one.
    systemctl(&["stop", UNIT])?;
    assert_eq!(rules()?, before);
    expect_answers(&lab)?;
    assert!(systemctl(&["start", UNIT]).is_err(), "it started with a mistake");
    assert_eq!((property("ActiveState")?, restarts()?), ("failed".to_owned(), 0));
    expect_answers(&lab)?;
    drop(mistake);
    systemctl(&["start", UNIT])?;
    assert_eq!(rules()?, before);
    expect_answers(&lab)
}

/// Whatever keeps it from starting, it is tried again, and not more often than the unit says.
#[test]
fn a_daemon_that_ends_again_and_again_is_started_at_a_limited_rate_until_it_works() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    let service = Service::install()?;
    // Somebody else's rule where prroute's would be.
    let foreign = "rule add priority 21500 from 10.77.0.0/16 lookup main";
    lab.host.ip(foreign)?;
    let begin = Instant::now();
    systemctl(&["start", "--no-block", UNIT])?;
    let looped = wait::until("it was restarted often", 2 * JOB, || {
        Ok((restarts()? >= RESTARTS).then_some(()))
    });
    let took = begin.elapsed();
    lab.host.ip(&foreign.replace("add", "del"))?;
    looped.with_context(|| service.journal(&[]).unwrap_or_default())?;
    assert!(took >= PAUSE * RESTARTS, "{RESTARTS} restarts within {took:?}");
    service.wait_for(&["active"])?;
    expect_answers(&lab)
}
