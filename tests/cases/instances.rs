//! Several instances, one per network namespace, run side by side.

use anyhow::Result;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{probe, prroute};

#[test]
fn two_namespaces_know_nothing_of_each_other() -> Result<()> {
    let topology = Topology { uplinks: 2, ..Topology::DEFAULT };
    let (left, right) = (Lab::with_services(topology)?, Lab::with_services(topology)?);
    let (left_prroute, right_prroute) = (left.prroute()?, right.prroute()?);
    let before = right.snapshot()?;
    let left_daemon = left_prroute.run(&[])?;
    let changes = right.snapshot()?.changes_since(&before);
    assert!(changes.is_empty(), "another namespace's prroute changed:\n{changes}");

    let right_daemon = right_prroute.run(&[])?;
    let probes = probe::to_everything(topology.uplinks);
    for (lab, instance) in [(&left, &left_prroute), (&right, &right_prroute)] {
        probe::expect_all_answered(&lab.ask(&probes)?)?;
        let status = instance.status()?;
        assert_eq!(status["instance"], instance.name(), "{status}");
        assert_eq!(status["uplinks"].as_array().map(Vec::len), Some(2), "{status}");
    }

    left_daemon.terminate()?;
    left_prroute.down()?;
    assert!(!prroute::pins(left.name()).exists());
    assert!(prroute::pins(right.name()).exists());
    probe::expect_all_answered(&right.ask(&probes)?)?;
    right_daemon.terminate()?;
    right_prroute.down()?;
    Ok(())
}
