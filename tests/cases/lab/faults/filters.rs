//! Strict reverse-path filtering of an uplink.

use anyhow::Result;
use prroute_tests::lab::Lab;

use super::{DOCTOR, TWO, expect_clean, expect_named_and_mended};

const STRICT: &str = "net.ipv4.conf.up2.rp_filter=1";

#[test]
fn a_filter_that_somebody_set_back_is_named() -> Result<()> {
    let lab = Lab::build(TWO)?;
    lab.with_prroute(|prroute| {
        expect_clean(prroute, DOCTOR)?;
        lab.host.sysctl(&[STRICT])?;
        expect_named_and_mended(&lab.host, prroute, DOCTOR, ("rp-filter:up2", 1))
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
