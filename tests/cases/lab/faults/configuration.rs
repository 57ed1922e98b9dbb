//! The configuration that is not in force.

use anyhow::Result;
use prroute_tests::lab::Lab;

use super::{STATUS, TWO, expect_named_and_mended};

#[test]
fn a_configuration_that_was_changed_is_named_until_it_is_reloaded() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let mut prroute = lab.prroute()?.configured("")?;
    let daemon = prroute.run(&[])?;
    prroute.configure("# a comment\n")?;
    expect_named_and_mended(&lab.host, &prroute, STATUS, ("configuration-changed", 0))?;
    daemon.terminate()?;
    prroute.down().map(drop)
}
