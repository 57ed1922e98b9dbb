//! An MTU that the other end of the link does not have.

use anyhow::Result;
use prroute_tests::lab::Lab;

use super::{DOCTOR, TWO, expect_clean, expect_named_and_mended};

const PROBE: &[&str] = &["doctor", "--probe"];

#[test]
fn an_mtu_that_the_gateway_does_not_have_is_named_by_a_probe() -> Result<()> {
    let lab = Lab::build(TWO)?;
    // What the daemon may not do: pings, as everybody may send them.
    lab.host.sysctl(&["net.ipv4.ping_group_range=0 2147483647"])?;
    lab.with_prroute(|prroute| {
        expect_clean(prroute, PROBE)?;
        lab.host.ip("link set dev up2 mtu 9000")?;
        expect_clean(prroute, DOCTOR)?;
        expect_named_and_mended(&lab.host, prroute, PROBE, ("mtu:up2", 5))
    })
}
