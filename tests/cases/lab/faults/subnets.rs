//! Two NICs in one subnet.

use anyhow::Result;
use prroute_tests::lab::{Lab, Topology};

use super::{DOCTOR, TWO, expect_clean, expect_named_and_mended};

#[test]
fn two_uplinks_in_one_subnet_that_answer_for_each_other_are_named() -> Result<()> {
    let lab = Lab::build(Topology { shared: false, ..TWO })?;
    lab.with_prroute(|prroute| {
        expect_clean(prroute, DOCTOR)?;
        lab.host.ip("address add 10.0.1.20/24 dev up2")?;
        expect_named_and_mended(&lab.host, prroute, DOCTOR, ("same-subnet:up1:up2", 5))
    })
}
