//! The classic complaint: a client on uplink 1's subnet asks uplink 2's address through its
//! router. The host has a more specific way back, over uplink 1; the reply leaves by uplink 2.

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{self, Probe, Question};

#[test]
fn is_answered_over_the_uplink_it_asked() -> Result<()> {
    let lab = Lab::with_services(Topology {
        uplinks: 2,
        rp_filter: 1,
        neighbour: true,
        ..Topology::DEFAULT
    })?;
    let neighbour = lab.neighbour.as_ref().context("the topology has a neighbour")?;
    let mut probes = Vec::new();
    for family in Family::BOTH {
        for question in Question::ALL {
            let source = addressing::neighbour(1, family);
            probes.push(Probe { question, source, target: addressing::host(2, family) });
        }
    }
    // IPv6 has no reverse path filter that could drop the questions, and nothing on the
    // client's own link checks single answers. TCP fails all the same: router 1 misses the
    // host's half of the handshake.
    // An attempt of this round must not be answered once more in the next one.
    lab.host.sysctl(&["net.ipv4.tcp_synack_retries=0"])?;
    lab.meet_default_gateway()?;
    probe::expect_answered(&probe::ask_all(neighbour, &probes)?, |probe| {
        probe.target.is_ipv6() && probe.question != Question::Tcp(80)
    })
    .context("without prroute")?;

    lab.with_prroute(|_| {
        let filter = format!(
            "(ip or ip6) and (src host {} or src host {})",
            addressing::host(2, Family::V4),
            addressing::host(2, Family::V6)
        );
        let first = Capture::start(&lab.host, "up1", "out", &filter)?;
        let second = Capture::start(&lab.host, "up2", "out", &filter)?;
        probe::expect_all_answered(&probe::ask_all(neighbour, &probes)?)?;
        let (first, second) = (first.stop()?, second.stop()?);
        assert!(first.is_empty(), "left by uplink 1: {first:#?}");
        for family in Family::BOTH {
            let client = format!(" > {}", addressing::neighbour(1, family));
            let replies = second.iter().filter(|line| line.contains(&client)).count();
            // A ping, an answer of the DNS server, and several segments.
            assert!(replies >= 4, "left by uplink 2: {second:#?}");
        }
        Ok(())
    })
}
