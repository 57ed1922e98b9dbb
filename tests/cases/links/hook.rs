//! How programs get onto an uplink where the kernel has no tcx (before Linux 6.6, some vendors'
//! kernels aside).

use anyhow::{Context as _, Result, ensure};
use prroute_tests::command;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::STOP;

const TOPOLOGY: Topology = Topology { uplinks: 2, ..Topology::DEFAULT };

#[test]
fn clsact_only_kernels_get_filters_without_being_asked() -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    lab.with_prroute(|prroute| {
        let status = prroute.status()?;
        let uplinks = status["uplinks"].as_array().context("no uplinks")?;
        ensure!(uplinks.len() == 2, "{uplinks:#?}");
        for uplink in uplinks {
            ensure!(uplink["hook"] == "clsact", "{uplink:#}");
        }
        Ok(())
    })
}

#[test]
fn clsact_only_kernels_refuse_the_newer_hook_and_say_what_they_lack() -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    let mut prroute = lab.prroute()?;
    prroute.configure("attach = \"tcx\"\n")?;
    let run = command::output_within(&mut prroute.command(&["run"])?, STOP, "")?;
    ensure!(!run.status.success(), "{}", run.stdout);
    for words in ["tcx", "Linux 6.6", "clsact"] {
        ensure!(run.stderr.contains(words), "nothing about {words:?} in: {}", run.stderr);
    }
    prroute.down()?;
    Ok(())
}
