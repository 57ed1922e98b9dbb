//! A host whose main table has no default route at all: without help the kernel answers "network
//! is unreachable" before anything could move the reply.

use anyhow::Result;
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Defaults, Lab, Topology};
use prroute_tests::probe;

fn defaults_in_main(lab: &Lab) -> Result<String> {
    Ok(lab.host.ip("-4 route show default")? + &lab.host.ip("-6 route show default")?)
}

#[test]
fn gateways_are_found_in_other_tables() -> Result<()> {
    let lab = Lab::with_services(Topology {
        defaults: Defaults::OwnTables,
        rp_filter: 1,
        ..Topology::DEFAULT
    })?;
    assert_eq!(defaults_in_main(&lab)?, "");
    let probes = probe::to_everything(3);
    probe::expect_answered(&lab.ask(&probes)?, |_| false)?;

    lab.with_prroute(|_| {
        probe::expect_all_answered(&lab.ask(&probes)?)?;
        assert_eq!(defaults_in_main(&lab)?, "", "main is not ours");
        Ok(())
    })
}

/// Nothing in the kernel tells the gateways: the administrator does.
#[test]
fn gateways_are_configured() -> Result<()> {
    let lab = Lab::with_services(Topology { defaults: Defaults::Nowhere, ..Topology::DEFAULT })?;
    assert_eq!(defaults_in_main(&lab)?, "");
    let probes = probe::to_everything(3);
    probe::expect_answered(&lab.ask(&probes)?, |_| false)?;

    let mut configuration = String::new();
    for n in 1..=3 {
        let [v4, v6] = Family::BOTH.map(|family| addressing::gateway(n, family));
        let name = addressing::device(n);
        configuration +=
            &format!("[[uplink]]\nname = \"{name}\"\ngateway = [\"{v4}\", \"{v6}\"]\n");
    }
    lab.with_configuration(&configuration, |_| probe::expect_all_answered(&lab.ask(&probes)?))
}
