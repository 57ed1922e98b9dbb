//! The kernel's verifier accepts every program, in each form it is loaded in, under exactly the
//! unit's three capabilities.

use anyhow::{Result, ensure};
use prroute_tests::lab::{Lab, Topology};

#[test]
fn every_program_is_accepted_under_the_units_capabilities() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    // The log is folded out of the programs where nobody reads it.
    for options in [&[][..], &["--log-packets"]] {
        let daemon = prroute.run(options)?;
        let status = prroute.status()?;
        let uplinks = status["uplinks"].as_array().map_or(0, Vec::len);
        ensure!(uplinks == 2, "{status:#}");
        // Those on sockets are done without where the kernel refuses them.
        ensure!(status["udp_source"]["state"] == "attached", "{status:#}");
        daemon.terminate()?;
        prroute.down()?;
    }
    Ok(())
}
