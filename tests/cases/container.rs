//! A container that the real Docker engine publishes is reached over every uplink, also with a
//! strict reverse path filter on all interfaces.

use anyhow::Result;
use prroute_tests::docker::{self, Docker, Engine, Iptables};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{self, Question};

fn is_reached(engine: Engine, rp_filter: u8, questions: &[Question]) -> Result<()> {
    let topology = Topology { rp_filter, ..Topology::DEFAULT };
    let lab = Lab::build(topology)?;
    let docker = Docker::start(&lab.host, &lab.scratch, lab.name(), engine, false)?;
    docker.publish_servers(&lab.host, &lab.scratch)?;
    let mut probes = probe::to_own_addresses(topology.uplinks, questions);
    probes.extend(probe::to_shared_address(topology.uplinks, questions));

    lab.meet_default_gateway()?;
    probe::expect_answered(&lab.ask(&probes)?, |probe| probe.uplink() == 1)?;

    let prroute = lab.prroute()?;
    lab.forget_neighbours()?;
    let daemon = prroute.run(&[])?;
    probe::expect_all_answered(&lab.ask(&probes)?)?;
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// TCP and UDP.
const PUBLISHED: [Question; 2] = [Question::Tcp(docker::TCP_PORT), Question::Udp(docker::UDP_PORT)];

#[test]
fn iptables_legacy_with_userland_proxy() -> Result<()> {
    let engine = Engine { iptables: Iptables::Legacy, userland_proxy: true };
    is_reached(engine, 1, &PUBLISHED)
}

#[test]
fn iptables_legacy_without_userland_proxy() -> Result<()> {
    let engine = Engine { iptables: Iptables::Legacy, userland_proxy: false };
    is_reached(engine, 0, &PUBLISHED)
}

#[test]
fn iptables_nft_with_userland_proxy() -> Result<()> {
    let engine = Engine { iptables: Iptables::Nft, userland_proxy: true };
    is_reached(engine, 0, &PUBLISHED)
}

#[test]
fn iptables_nft_without_userland_proxy() -> Result<()> {
    let engine = Engine { iptables: Iptables::Nft, userland_proxy: false };
    is_reached(engine, 1, &PUBLISHED)
}

/// With the rules above the proxy never sees a packet from outside. Without them every
/// connection is its own. Its UDP socket is a wildcard one, which answers from whatever address
/// routing prefers.
#[test]
fn userland_proxy_alone() -> Result<()> {
    let engine = Engine { iptables: Iptables::Unused, userland_proxy: true };
    is_reached(engine, 1, &[Question::Tcp(docker::TCP_PORT)])
}
