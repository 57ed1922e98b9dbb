//! The main job: every request is answered over the uplink it came in on, with no configuration.

use std::time::Duration;

use anyhow::{Context as _, Result};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::in_both_modes;
use prroute_tests::{probe, wait};

/// All questions without prroute, then with it.
fn conforms(topology: Topology) -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::with_services(topology)?;
        let probes = probe::to_everything(topology.uplinks);
        assert_eq!(probes.len(), 12 * usize::from(topology.uplinks));

        lab.meet_default_gateway()?;
        probe::expect_answered(&lab.ask(&probes)?, |probe| probe.uplink() == 1)
            .context("without prroute")?;

        lab.forget_neighbours()?;
        lab.with_own_source(own_source, |_| {
            probe::expect_all_answered(&lab.ask(&probes)?).context("with prroute")?;

            // An administrator may flush the table: prroute has its gateways resolved again.
            lab.forget_neighbours()?;
            wait::until("everything is answered after a flush", Duration::from_secs(30), || {
                Ok(probe::expect_all_answered(&lab.ask(&probes)?).is_ok().then_some(()))
            })
        })
    })
}

#[test]
fn three_uplinks_answer_36_of_36() -> Result<()> {
    conforms(Topology::DEFAULT)
}

#[test]
fn three_uplinks_with_strict_rp_filter_and_link_local_gateways_answer_36_of_36() -> Result<()> {
    conforms(Topology { rp_filter: 1, link_local_gateways: true, ..Topology::DEFAULT })
}

#[test]
fn routers_that_have_to_ask_for_the_host_get_an_answer() -> Result<()> {
    conforms(Topology { routers_know_host: false, ..Topology::DEFAULT })
}

#[test]
fn two_uplinks_of_a_router_answer_24_of_24() -> Result<()> {
    conforms(Topology { uplinks: 2, ip_forward: true, ..Topology::DEFAULT })
}
