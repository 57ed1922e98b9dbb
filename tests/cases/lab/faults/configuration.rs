//! The configuration that is not in force.

use anyhow::{Result, ensure};
use prroute_tests::lab::Lab;
use prroute_tests::wait;

use super::{SOON, STATUS, TWO, expect_named_and_mended};

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

/// What is others' stays as it is.
#[test]
fn what_is_prroutes_own_is_mended_on_request_and_nothing_else_is() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let mut prroute = lab.prroute()?.configured("")?;
    let daemon = prroute.run(&[])?;
    prroute.configure("# a comment\n")?;
    lab.host.ip("link set up2 down")?;
    let is_named = |kind: &str| -> Result<bool> {
        let status = prroute.status()?;
        let findings = status["findings"].as_array().into_iter().flatten();
        Ok(findings.filter_map(|it| it["id"].as_str()).any(|id| id.starts_with(kind)))
    };
    wait::until("both are named", SOON, || {
        Ok((is_named("configuration-changed")? && is_named("carrier:up2")?).then_some(()))
    })?;
    let fixed = prroute.output(&["doctor", "--fix"])?;
    let reload = format!("doing: prroute reload --instance {}", prroute.name());
    ensure!(fixed.stderr.contains(&reload), "{fixed:?}");
    ensure!(!fixed.stdout.contains("configuration-changed"), "{fixed:?}");
    ensure!(fixed.stdout.contains("carrier") && fixed.status.code() == Some(1), "{fixed:?}");
    ensure!(!is_named("configuration-changed")? && is_named("carrier:up2")?);
    lab.host.ip("link set up2 up")?;
    let nothing = prroute.output(&["doctor", "--fix"])?;
    ensure!(
        nothing.stderr.contains("nothing was found that prroute mends by itself"),
        "{nothing:?}"
    );
    daemon.terminate()?;
    prroute.down().map(drop)
}
