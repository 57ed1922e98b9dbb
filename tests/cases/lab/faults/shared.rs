//! An address on the loopback interface that is gone.

use std::time::Duration;

use anyhow::Result;
use prroute_tests::lab::Lab;
use prroute_tests::probe::{self, Question};

use super::{DOCTOR, TWO, expect_clean, expect_named};

#[test]
fn a_shared_address_that_was_answered_and_is_gone_is_named() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    lab.with_prroute(|prroute| {
        let probes = probe::to_shared_address(2, &Question::ALL);
        lab.expect_answered_within(Duration::from_secs(10), &probes)?;
        expect_clean(prroute, DOCTOR)?;
        lab.host.ip("address del 203.0.113.1/32 dev lo")?;
        let id = "shared-address-nowhere:203.0.113.1";
        let finding = expect_named(prroute, DOCTOR, id, 5)?;
        let remedy = finding["remedy"].as_str().unwrap_or_default();
        let add = remedy.strip_prefix("if no other host has taken it over: ").unwrap_or_default();
        lab.host.run(&["sh", "-c", add])?;
        expect_clean(prroute, DOCTOR)
    })
}
