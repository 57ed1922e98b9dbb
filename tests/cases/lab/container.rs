//! A container that the real Docker engine publishes is reached over every uplink, also with a
//! strict reverse path filter on all interfaces.

use anyhow::Result;
use prroute_tests::addressing::{self, Family};
use prroute_tests::docker::{self, Docker, Engine, Iptables};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::in_both_modes;
use prroute_tests::probe::{self, Probe, Question};

fn is_reached(engine: Engine, rp_filter: u8, before: fn(&Probe) -> bool) -> Result<()> {
    in_both_modes(|own_source| {
        let topology = Topology { rp_filter, ..Topology::DEFAULT };
        let lab = Lab::build(topology)?;
        let docker = Docker::start(&lab.host, &lab.scratch, lab.name(), engine, false)?;
        docker.publish_servers(&lab.host, &lab.scratch)?;
        let mut probes = probe::to_own_addresses(topology.uplinks, &PUBLISHED);
        probes.extend(probe::to_shared_address(topology.uplinks, &PUBLISHED));

        lab.meet_default_gateway()?;
        probe::expect_answered(&lab.ask(&probes)?, before)?;

        lab.forget_neighbours()?;
        lab.with_own_source(own_source, |_| {
            probe::expect_all_answered(&lab.ask(&probes)?)?;
            Ok(())
        })
    })
}

/// Without prroute only the default route's uplink works.
fn by_the_first(probe: &Probe) -> bool {
    probe.uplink() == 1
}

/// TCP and UDP.
const PUBLISHED: [Question; 2] = [Question::Tcp(docker::TCP_PORT), Question::Udp(docker::UDP_PORT)];

#[test]
fn iptables_legacy_with_userland_proxy() -> Result<()> {
    let engine = Engine { iptables: Iptables::Legacy, userland_proxy: true };
    is_reached(engine, 1, by_the_first)
}

#[test]
fn iptables_legacy_without_userland_proxy() -> Result<()> {
    let engine = Engine { iptables: Iptables::Legacy, userland_proxy: false };
    is_reached(engine, 0, by_the_first)
}

#[test]
fn iptables_nft_with_userland_proxy() -> Result<()> {
    let engine = Engine { iptables: Iptables::Nft, userland_proxy: true };
    is_reached(engine, 0, by_the_first)
}

#[test]
fn iptables_nft_without_userland_proxy() -> Result<()> {
    let engine = Engine { iptables: Iptables::Nft, userland_proxy: false };
    is_reached(engine, 1, by_the_first)
}

/// With the rules above the proxy never sees a packet from outside. Without them every
/// connection is its own. Its UDP socket is a wildcard one: without help it answers from the
/// address that routing prefers.
#[test]
fn userland_proxy_alone() -> Result<()> {
    let engine = Engine { iptables: Iptables::Unused, userland_proxy: true };
    is_reached(engine, 1, |probe| {
        let is_shared = addressing::shared(Family::of(probe.target)) == probe.target;
        let is_udp = probe.question == Question::Udp(docker::UDP_PORT);
        by_the_first(probe) && !(is_udp && is_shared)
    })
}
