//! Connections and datagrams over uplink 2, and where they leave.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{socket, wait};

pub(crate) const PORT: u16 = 7007;

/// Longer than `rebind-idle` of TCP (3 s) and a retransmission.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A connection per family from the stateless client to the shared address.
pub(crate) fn connections(lab: &Lab) -> Result<Vec<TcpStream>> {
    let mut connections = Vec::new();
    for family in Family::BOTH {
        let (source, target) = (addressing::stateless_client(family), addressing::shared(family));
        let mut tcp = socket::tcp(&lab.client, source, target, PORT)?;
        tcp.set_read_timeout(Some(wait::patience(PATIENCE)))?;
        echo::tcp_round(&mut tcp, 100)?;
        connections.push(tcp);
    }
    Ok(connections)
}

fn rounds(connections: &mut [TcpStream]) -> Result<()> {
    for tcp in connections {
        let peer = tcp.peer_addr()?;
        for _ in 0..3 {
            echo::tcp_round(tcp, 100).with_context(|| peer.to_string())?;
        }
    }
    Ok(())
}

/// The uplink that the host's packets of these connections leave by, once all leave by one.
pub(crate) fn expect_on(lab: &Lab, connections: &mut [TcpStream], number: u8) -> Result<()> {
    let mut last = Vec::new();
    wait::until("all leave by one uplink", PATIENCE, || {
        let before = arrived(lab)?;
        rounds(connections)?;
        let after = arrived(lab)?;
        last = after.iter().zip(before).map(|(after, before)| after - before).collect();
        let others = last.iter().zip(1..).filter(|(_, n)| *n != number);
        Ok((others.map(|(count, _)| *count).sum::<u64>() == 0).then_some(()))
    })
    .with_context(|| format!("over uplink {number}, packets per uplink: {last:?}"))
}

fn arrived(lab: &Lab) -> Result<Vec<u64>> {
    let mut arrived = Vec::new();
    for router in &lab.routers {
        let mut sum = 0;
        for family in Family::BOTH {
            let (from, to) = (addressing::shared(family), addressing::stateless_client(family));
            sum += router.arrived(from, to)?;
        }
        arrived.push(sum);
    }
    Ok(arrived)
}

/// Neighbours are found dead in seconds, not in the better part of a minute.
pub(crate) fn impatient_lab() -> Result<Lab> {
    let lab = Lab::build(Topology::DEFAULT)?;
    lab.host.sysctl(&[
        "net.ipv4.neigh.up2.base_reachable_time_ms=1000",
        "net.ipv6.neigh.up2.base_reachable_time_ms=1000",
        "net.ipv4.neigh.up2.delay_first_probe_time=1",
        "net.ipv6.neigh.up2.delay_first_probe_time=1",
        "net.ipv4.neigh.up2.interval_probe_time_ms=1000",
        "net.ipv6.neigh.up2.interval_probe_time_ms=1000",
    ])?;
    Ok(lab)
}

pub(crate) fn lab_with_echo() -> Result<(Lab, Echo)> {
    let lab = impatient_lab()?;
    let echo = Echo::start(&lab.host, &Family::BOTH.map(addressing::shared), PORT)?;
    Ok((lab, echo))
}

/// A socket per family, of a datagram flow that is confirmed on uplink 2.
pub(crate) fn datagrams(lab: &Lab) -> Result<Vec<(UdpSocket, SocketAddr)>> {
    let mut datagrams = Vec::new();
    for family in Family::BOTH {
        let udp = socket::udp(&lab.client, addressing::stateless_client(family), 0)?;
        let target = SocketAddr::new(addressing::shared(family), PORT);
        for _ in 0..3 {
            ensure!(echo::udp_round(&udp, target, 100)?, "no answer over uplink 2");
        }
        datagrams.push((udp, target));
    }
    Ok(datagrams)
}

pub(crate) fn expect_answered(datagrams: &[(UdpSocket, SocketAddr)]) -> Result<()> {
    for (udp, target) in datagrams {
        ensure!(echo::udp_round(udp, *target, 100)?, "no answer from {target}");
    }
    Ok(())
}
