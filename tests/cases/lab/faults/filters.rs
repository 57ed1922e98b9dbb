//! Strict reverse-path filtering of an uplink.

use anyhow::{Result, ensure};
use prroute_tests::lab::{Lab, Topology};

use super::{DOCTOR, STATUS, TWO, expect_clean, expect_named, expect_named_and_mended, run_fix};

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

#[test]
fn a_strict_filter_that_the_configuration_leaves_is_named() -> Result<()> {
    let lab = Lab::build(TWO)?;
    lab.host.sysctl(&[STRICT])?;
    lab.with_configuration("rp-filter = \"leave\"\n", |prroute| {
        expect_named_and_mended(&lab.host, prroute, DOCTOR, ("rp-filter:up2", 5))
    })
}
