//! An uplink fails, in each way it can: connections to the shared address move with their
//! client's packets and come back, nothing is killed, and what must not leave elsewhere is held.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::Instance;
use prroute_tests::{socket, wait};

const PORT: u16 = 7007;

/// Longer than `rebind-idle` of TCP (3 s) and a retransmission.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    AdminDown,
    CarrierLost,
    Deleted,
    /// The link is up, but nobody answers: neither to ARP or neighbour solicitations.
    GatewaySilent,
}

impl Failure {
    /// Uplink 2 fails.
    fn begin(self, lab: &Lab) -> Result<()> {
        let router = &lab.router(2).namespace;
        match self {
            Self::AdminDown => lab.host.ip("link set up2 down").map(drop),
            Self::CarrierLost => router.ip("link set host down").map(drop),
            Self::Deleted => lab.host.ip("link del up2").map(drop),
            Self::GatewaySilent => router.nft(
                "table netdev silence {
                    chain in { type filter hook ingress device host priority 0; policy drop; }
                    chain out { type filter hook egress device host priority 0; policy drop; }
                }",
            ),
        }
    }

    /// Waits until the daemon knows.
    fn wait_known(self, prroute: &Instance<'_>) -> Result<()> {
        wait::until("the failure is known", PATIENCE, || {
            let status = prroute.status()?;
            let uplinks = status["uplinks"].as_array().context("no uplinks")?;
            let up2 = uplinks.iter().find(|uplink| uplink["name"] == "up2");
            let known = match self {
                Self::Deleted => up2.is_none(),
                Self::GatewaySilent => up2.is_some_and(|up2| {
                    up2["gateway4_usable"] == false && up2["gateway6_usable"] == false
                }),
                // A veth without a default route is no uplink any more.
                Self::AdminDown | Self::CarrierLost => up2.is_none_or(|up2| up2["up"] == false),
            };
            Ok(known.then_some(()))
        })
        .with_context(|| format!("{:#}", prroute.status().unwrap_or_default()))
    }

    /// And works again.
    fn end(self, lab: &Lab) -> Result<()> {
        let router = &lab.router(2).namespace;
        match self {
            Self::AdminDown => lab.host.ip("link set up2 up")?,
            Self::CarrierLost => router.ip("link set host up")?,
            Self::Deleted => {
                let (mac, namespace) = (addressing::host_mac(2), router.name());
                lab.host.ip(&format!(
                    "link add name up2 address {mac} type veth peer name host netns {namespace}"
                ))?;
                router.ip("link set host master lan up")?;
                lab.host.ip("link set up2 up")?
            }
            Self::GatewaySilent => router.run(&["nft", "delete", "table", "netdev", "silence"])?,
        };
        if self != Self::GatewaySilent {
            for family in Family::BOTH {
                let (host, gateway) = (addressing::host(2, family), addressing::gateway(2, family));
                let length = addressing::prefix_length(family);
                lab.host.ip(&format!("address replace {host}/{length} dev up2"))?;
                let option = family.option();
                let route = format!("default via {gateway} dev up2 metric 200");
                lab.host.ip(&format!("{option} route replace {route}"))?;
            }
        }
        Ok(())
    }
}

fn steer(lab: &Lab, number: u8) -> Result<()> {
    Family::BOTH.into_iter().try_for_each(|family| lab.steer(number, family))
}

/// A connection per family from the stateless client to the shared address.
fn connections(lab: &Lab) -> Result<Vec<TcpStream>> {
    let mut connections = Vec::new();
    for family in Family::BOTH {
        let (source, target) = (addressing::stateless_client(family), addressing::shared(family));
        let mut tcp = socket::tcp(&lab.client, source, target, PORT)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
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
fn expect_on(lab: &Lab, connections: &mut [TcpStream], number: u8) -> Result<()> {
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
fn impatient_lab() -> Result<Lab> {
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

fn lab_with_echo() -> Result<(Lab, Echo)> {
    let lab = impatient_lab()?;
    let echo = Echo::start(&lab.host, &Family::BOTH.map(addressing::shared), PORT)?;
    Ok((lab, echo))
}

/// A socket per family, of a datagram flow that is confirmed on uplink 2.
fn datagrams(lab: &Lab) -> Result<Vec<(UdpSocket, SocketAddr)>> {
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

fn expect_answered(datagrams: &[(UdpSocket, SocketAddr)]) -> Result<()> {
    for (udp, target) in datagrams {
        ensure!(echo::udp_round(udp, *target, 100)?, "no answer from {target}");
    }
    Ok(())
}

/// Connections over uplink 2 go on over uplink 1 when the client's packets arrive there, and
/// return.
fn moves_and_returns(failure: Failure, with_daemon: bool) -> Result<()> {
    let (lab, _echo) = lab_with_echo()?;
    steer(&lab, 2)?;
    let prroute = lab.prroute()?;
    let mut daemon = Some(prroute.run(&[])?);
    let mut connections = connections(&lab)?;
    let datagrams = datagrams(&lab)?;
    expect_on(&lab, &mut connections, 2)?;
    if !with_daemon && let Some(daemon) = daemon.take() {
        daemon.kill()?;
    }
    failure.begin(&lab)?;
    steer(&lab, 1)?;
    expect_on(&lab, &mut connections, 1).context("while uplink 2 is down")?;
    // Without a daemon, datagrams have to wait for their `rebind-idle` of 30 s.
    if with_daemon {
        failure.wait_known(&prroute)?;
        expect_answered(&datagrams).context("while uplink 2 is down")?;
    }
    // Without a daemon a device that is made anew is not known.
    failure.end(&lab)?;
    if !with_daemon {
        daemon = Some(prroute.run(&[])?);
    }
    steer(&lab, 2)?;
    expect_on(&lab, &mut connections, 2).context("after uplink 2 came back")?;
    if let Some(daemon) = daemon {
        daemon.terminate()?;
    }
    prroute.down()?;
    Ok(())
}

#[test]
fn admin_down() -> Result<()> {
    moves_and_returns(Failure::AdminDown, true)
}

#[test]
fn admin_down_without_daemon() -> Result<()> {
    moves_and_returns(Failure::AdminDown, false)
}

#[test]
fn carrier_lost() -> Result<()> {
    moves_and_returns(Failure::CarrierLost, true)
}

#[test]
fn carrier_lost_without_daemon() -> Result<()> {
    moves_and_returns(Failure::CarrierLost, false)
}

#[test]
fn device_deleted() -> Result<()> {
    moves_and_returns(Failure::Deleted, true)
}

#[test]
fn device_deleted_without_daemon() -> Result<()> {
    moves_and_returns(Failure::Deleted, false)
}

#[test]
fn gateway_silent() -> Result<()> {
    moves_and_returns(Failure::GatewaySilent, true)
}

#[test]
fn gateway_silent_without_daemon() -> Result<()> {
    moves_and_returns(Failure::GatewaySilent, false)
}

/// The host speaks into a connection of uplink 2 while that is down.
fn speaks_into_failed_uplink(failure: Failure, hold: bool) -> Result<()> {
    let lab = impatient_lab()?;
    steer(&lab, 2)?;
    let mut prroute = lab.prroute()?;
    let on_down = if hold { "hold" } else { "route" };
    prroute.configure(&format!("[[uplink]]\nname = \"up2\"\non-down = \"{on_down}\"\n"))?;
    let daemon = prroute.run(&[])?;
    let mut pairs = Vec::new();
    for family in Family::BOTH {
        let (source, target) = (addressing::stateless_client(family), addressing::shared(family));
        let listener = socket::listen(&lab.host, target, PORT)?;
        let client = socket::tcp(&lab.client, source, target, PORT)?;
        client.set_read_timeout(Some(PATIENCE))?;
        let (server, _) = listener.accept()?;
        server.set_read_timeout(Some(PATIENCE))?;
        let mut pair = [client, server];
        exchange(&mut pair)?;
        pairs.push(pair);
    }
    let known_down = match failure {
        Failure::GatewaySilent => "no_next_hop",
        Failure::Deleted => "uplink_gone",
        _ => "uplink_down",
    };
    failure.begin(&lab)?;
    let filter = format!(
        "tcp port {PORT} and (src host {} or src host {})",
        addressing::shared(Family::V4),
        addressing::shared(Family::V6)
    );
    failure.wait_known(&prroute)?;
    let before = [prroute.count("held")?, prroute.count(known_down)?];
    let elsewhere = Capture::start(&lab.host, "up1", "out", &filter)?;
    for pair in &mut pairs {
        pair[1].write_all(b"news").context("the host speaks")?;
    }
    if hold {
        wait::until("the packets are held", PATIENCE, || {
            Ok((prroute.count("held")? >= before[0] + 2).then_some(()))
        })?;
        assert_eq!(elsewhere.stop()?, Vec::<String>::new(), "held packets left by uplink 1");
    } else {
        ensure!(elsewhere.wait_for(2, PATIENCE)?, "nothing left by uplink 1");
        elsewhere.stop()?;
        assert!(failure == Failure::Deleted || prroute.count(known_down)? > before[1]);
        assert_eq!(prroute.count("held")?, before[0]);
    }
    // Nothing is killed: the news arrives when the uplink is back, at the latest.
    failure.end(&lab)?;
    for pair in &mut pairs {
        let mut news = [0; 4];
        std::io::Read::read_exact(&mut pair[0], &mut news).context("the client hears")?;
        assert_eq!(&news, b"news");
        exchange(pair)?;
    }
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// Both ends speak and hear.
fn exchange(pair: &mut [TcpStream; 2]) -> Result<()> {
    for (from, to) in [(0, 1), (1, 0)] {
        pair[from].write_all(b"word").context("speak")?;
        let mut word = [0; 4];
        std::io::Read::read_exact(&mut pair[to], &mut word).context("hear")?;
    }
    Ok(())
}

#[test]
fn on_down_route_admin_down() -> Result<()> {
    speaks_into_failed_uplink(Failure::AdminDown, false)
}

#[test]
fn on_down_route_carrier_lost() -> Result<()> {
    speaks_into_failed_uplink(Failure::CarrierLost, false)
}

#[test]
fn on_down_route_gateway_silent() -> Result<()> {
    speaks_into_failed_uplink(Failure::GatewaySilent, false)
}

#[test]
fn on_down_route_device_deleted() -> Result<()> {
    speaks_into_failed_uplink(Failure::Deleted, false)
}

#[test]
fn on_down_hold_admin_down() -> Result<()> {
    speaks_into_failed_uplink(Failure::AdminDown, true)
}

#[test]
fn on_down_hold_carrier_lost() -> Result<()> {
    speaks_into_failed_uplink(Failure::CarrierLost, true)
}

#[test]
fn on_down_hold_gateway_silent() -> Result<()> {
    speaks_into_failed_uplink(Failure::GatewaySilent, true)
}

/// Another device gets the index of a deleted uplink: nothing of the old flows leaves by it.
fn a_reused_index_inherits_nothing(with_daemon: bool) -> Result<()> {
    let (lab, _echo) = lab_with_echo()?;
    steer(&lab, 2)?;
    let prroute = lab.prroute()?;
    let mut daemon = Some(prroute.run(&[])?);
    let mut connections = connections(&lab)?;
    let datagrams = datagrams(&lab)?;
    let links = lab.host.ip("-oneline link show dev up2")?;
    let index = links.split(':').next().context("an index")?.to_owned();
    if !with_daemon && let Some(daemon) = daemon.take() {
        daemon.kill()?;
    }
    lab.host.ip("link del up2")?;
    // A device of quite another kind of use, up, with carrier and an address.
    lab.host.ip(&format!("link add name other index {index} type veth peer name otherend"))?;
    lab.host.ip("link set other up")?;
    lab.host.ip("link set otherend up")?;
    lab.host.ip("address add 172.31.0.1/24 dev other")?;
    let capture = Capture::start(&lab.host, "other", "out", &format!("port {PORT}"))?;
    steer(&lab, 1)?;
    expect_on(&lab, &mut connections, 1)?;
    expect_answered(&datagrams).context("over uplink 1")?;
    assert_eq!(capture.stop()?, Vec::<String>::new(), "left by the device with the old index");
    if let Some(daemon) = daemon {
        daemon.terminate()?;
    }
    prroute.down()?;
    Ok(())
}

#[test]
fn an_index_that_is_reused_inherits_nothing() -> Result<()> {
    a_reused_index_inherits_nothing(true)
}

/// Nobody follows the network: the kernel itself forgets the device.
#[test]
fn an_index_that_is_reused_without_daemon_inherits_nothing() -> Result<()> {
    a_reused_index_inherits_nothing(false)
}

/// Also without a daemon a device that is gone is found to be gone.
#[test]
fn a_vanished_device_does_not_swallow_datagrams() -> Result<()> {
    let (lab, _echo) = lab_with_echo()?;
    steer(&lab, 2)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let datagrams = datagrams(&lab)?;
    daemon.kill()?;
    lab.host.ip("link del up2")?;
    steer(&lab, 1)?;
    expect_answered(&datagrams)?;
    prroute.down()?;
    Ok(())
}
