//! Another program deletes our rules: they come back, and it does not become a fight.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{probe, wait};

/// Longer than the first few pauses.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn rules_that_are_flushed_again_and_again_come_back_each_time() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
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

    // From the eleventh time on it has to wait, at first for a second, which a busy machine may
    // have let pass by itself.
    let refused = || daemon.process.log().contains("deleted again and again");
    for _ in 0..6 {
        lab.host.ip("rule flush protocol 213")?;
        wait::until("they are back, or it is said that they wait", SOON, || {
            Ok((refused() || lab.host.ip("rule show")? == installed).then_some(()))
        })
        .with_context(|| daemon.process.log())?;
        if refused() {
            break;
        }
    }
    ensure!(refused(), "never a pause:\n{}", daemon.process.log());
    // Everything else goes on meanwhile.
    lab.host.ip("address add 10.0.2.77/24 dev up2")?;
    healed().with_context(|| daemon.process.log())?;

    // A line for each time, that says who it was: nobody that is known runs here. A flush that
    // takes its time is answered twice.
    let log = daemon.process.log();
    let lines: Vec<&str> =
        log.lines().filter(|line| line.contains("that were deleted, ")).collect();
    let names = |line: &&str| line.contains("by another program") || line.contains("likely by");
    ensure!(lines.len() >= 11 && lines.iter().all(names), "{log}");
    let status = prroute.status()?;
    ensure!(status["healed"]["times"] == lines.len(), "{status:#}");
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}
