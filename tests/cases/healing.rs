//! Another program deletes our rules: they come back, and it does not become a fight.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{probe, wait};

const SOON: Duration = Duration::from_secs(3);

#[test]
fn rules_that_are_flushed_again_and_again_come_back_each_time() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    let mut daemon = prroute.run(&[])?;
    let installed = lab.host.ip("rule show")?;
    let healed = || {
        wait::until("the rules are back", SOON, || {
            Ok((lab.host.ip("rule show")? == installed).then_some(()))
        })
    };
    for round in 1..=10 {
        lab.host.ip("rule flush protocol 213")?;
        healed().with_context(|| format!("round {round}:\n{}", daemon.process.log()))?;
    }
    probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)?;
    let said = |log: &str, text: &str| log.matches(text).count();
    let log = daemon.process.log();
    // One line each, that says who it was: nobody that is known runs here.
    ensure!(said(&log, "that were deleted, ") == 10, "{log}");
    ensure!(said(&log, "by another program") + said(&log, "likely by") == 10, "{log}");

    // The eleventh time has to wait; everything else goes on meanwhile.
    lab.host.ip("rule flush protocol 213")?;
    daemon
        .process
        .wait_log("a pause", SOON, |log| log.contains("deleted again and again").then_some(()))?;
    lab.host.ip("address add 10.0.2.77/24 dev up2")?;
    healed().with_context(|| daemon.process.log())?;
    let status = prroute.status()?;
    ensure!(status["healed"]["times"] == 11, "{status:#}");
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}
