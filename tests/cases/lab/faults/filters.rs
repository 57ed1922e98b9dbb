//! Strict reverse-path filtering of an uplink.

use std::time::Duration;

use anyhow::{Result, ensure};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::wait;

use super::{DOCTOR, STATUS, TWO, expect_clean, expect_named, expect_named_and_mended, run_fix};

/// More than the longest pause.
const PATIENCE: Duration = Duration::from_secs(90);

const STRICT: &str = "net.ipv4.conf.up2.rp_filter=1";

#[test]
fn a_filter_that_somebody_set_back_is_named() -> Result<()> {
    let lab = Lab::build(Topology { rp_filter: 1, ..TWO })?;
    lab.with_prroute(|prroute| {
        expect_clean(prroute, DOCTOR)?;
        lab.host.sysctl(&[STRICT])?;
        expect_named_and_mended(&lab.host, prroute, DOCTOR, ("rp-filter:up2", 1))?;
        expect_clean(prroute, STATUS)?;
        lab.host.sysctl(&[STRICT])?;
        let finding = expect_named(prroute, STATUS, "rp-filter:up2", 1)?;
        // Nobody is blamed who may have had a reason.
        let what = finding["what"].as_str().unwrap_or_default();
        ensure!(what.contains("or somebody on purpose"), "{finding:#}");
        run_fix(&lab.host, prroute, &finding)?;
        expect_clean(prroute, STATUS)
    })
}

/// A program that sets it on each event would else fight with prroute as fast as both can.
#[test]
fn a_filter_that_is_set_back_again_and_again_is_made_loose_with_pauses() -> Result<()> {
    let lab = Lab::build(Topology { rp_filter: 1, ..TWO })?;
    let before = lab.snapshot()?;
    let mut prroute = lab.prroute()?;
    prroute.configure("rp-filter = \"enforce\"\n")?;
    let mut daemon = prroute.run(&[])?;
    let is_loose = || -> Result<Option<()>> {
        let value = lab.host.run(&["cat", "/proc/sys/net/ipv4/conf/up2/rp_filter"])?;
        Ok((value.trim() == "2").then_some(()))
    };
    daemon.process.wait_log("that it is set again, with a pause", PATIENCE, |log| {
        drop(lab.host.sysctl(&[STRICT]));
        log.contains("prroute sets it to 2 again in ").then_some(())
    })?;
    let said = daemon.process.log().matches("prroute sets it to 2 again\n").count();
    ensure!((1..=20).contains(&said), "{said} times:\n{}", daemon.process.log());
    wait::until("it is loose after the pause", PATIENCE, is_loose)?;
    expect_clean(&prroute, STATUS)?;
    daemon.terminate()?;
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

#[test]
fn a_strict_filter_that_the_configuration_leaves_is_named() -> Result<()> {
    let lab = Lab::build(TWO)?;
    lab.host.sysctl(&[STRICT])?;
    lab.with_configuration("rp-filter = \"leave\"\n", |prroute| {
        expect_named_and_mended(&lab.host, prroute, DOCTOR, ("rp-filter:up2", 5))
    })
}
