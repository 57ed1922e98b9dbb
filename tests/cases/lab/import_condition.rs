//! What is there is removed only where the daemon works with the configuration that replaces it.

use anyhow::{Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Defaults, Lab, Topology};

use crate::import::run_script;

/// Over the second uplink only a table of the administrator's leads: discovery alone does not know its gateway.
#[test]
fn a_removal_without_the_imported_configuration_removes_nothing() -> Result<()> {
    let topology =
        Topology { uplinks: 2, shared: false, defaults: Defaults::FirstOnly, ..Topology::DEFAULT };
    let lab = Lab::build(topology)?;
    let (address, gateway) = (addressing::host(2, Family::V4), addressing::gateway(2, Family::V4));
    lab.host.ip(&format!("route add default via {gateway} dev up2 table 55"))?;
    lab.host.ip(&format!("rule add from {address} lookup 55"))?;
    let mut prroute = lab.prroute()?;
    let configuration = prroute.output(&["import"])?.success()?;
    let removal = prroute.output(&["import", "--removal"])?.success()?;
    let untouched = |lab: &Lab| -> Result<()> {
        let rules = lab.host.ip("rule show")?;
        ensure!(rules.contains(&format!("from {address} lookup 55")), "{rules}\n{removal}");
        let table = lab.host.ip("route show table 55")?;
        ensure!(table.contains(&format!("via {gateway} dev up2")), "{table}\n{removal}");
        Ok(())
    };
    let refused = |lab: &Lab, name: &str| -> Result<String> {
        let Err(error) = run_script(lab, name, &removal) else {
            anyhow::bail!("the script went on:\n{removal}");
        };
        untouched(lab)?;
        Ok(format!("{error:#}"))
    };

    // As after a redirection into a folder that is not there, which leaves no file.
    let file = prroute.configure("")?;
    let daemon = prroute.run(&[])?;
    let said = refused(&lab, "without.sh")?;
    ensure!(said.contains("lacks: an [[uplink]] for up2"), "{said}");

    // It is in force, and nothing is enforced.
    std::fs::write(&file, format!("mode = \"observe\"\n{configuration}"))?;
    let said = refused(&lab, "observing.sh")?;
    ensure!(said.contains("lacks: mode = \"enforce\""), "{said}");

    // A key more does no harm.
    // The lab's service manager hears READY, and no more than a few reloads of one daemon.
    daemon.terminate()?;
    std::fs::write(&file, format!("gateway-probe = 1\n{configuration}"))?;
    let daemon = prroute.run(&[])?;
    run_script(&lab, "remove.sh", &removal)?;
    let rules = lab.host.ip("rule show")?;
    ensure!(!rules.contains("lookup 55"), "{rules}");
    daemon.terminate()?;
    prroute.down().map(drop)
}
