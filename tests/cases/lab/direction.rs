//! Who opened a flow decides: what the host opened is never moved, whatever arrives late, and
//! wherever.

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::frame::{self, Flags, Way, Wire};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{socket, wait};

const PORT: u16 = 7007;

fn arrived(lab: &Lab, source: IpAddr, target: IpAddr) -> Result<Vec<u64>> {
    lab.routers.iter().map(|router| router.arrived(source, target)).collect()
}

/// With a service beyond the uplinks, for the host to ask.
fn lab_with_echo() -> Result<(Lab, Echo)> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let addresses = Family::BOTH.map(addressing::stateless_client);
    let echo = Echo::start(&lab.client, &addresses, PORT)?;
    Ok((lab, echo))
}

/// A connection and a socket from `source` to that service, after `rounds` of each.
fn asked(lab: &Lab, source: IpAddr, rounds: u32) -> Result<(TcpStream, UdpSocket)> {
    let target = addressing::stateless_client(Family::of(source));
    let mut tcp = socket::tcp(&lab.host, source, target, PORT)?;
    let udp = socket::udp(&lab.host, source, 0)?;
    for _ in 0..rounds {
        echo::tcp_round(&mut tcp, 500)?;
        ensure!(echo::udp_round(&udp, SocketAddr::new(target, PORT), 500)?, "no answer");
    }
    Ok((tcp, udp))
}

/// Does it without prroute, and then with it, which must take none of it for a request that came in.
fn with_and_without_prroute(lab: &Lab, ask: impl Fn() -> Result<()>) -> Result<()> {
    ask().context("without prroute")?;
    lab.with_prroute(|prroute| {
        ask().with_context(|| format!("{:#?}", prroute.flows(|_| true)))?;
        prroute.expect_none_inbound()
    })
}

/// The host asks from `source`, and answers come in over uplink 2: everything it sends leaves by
/// uplink 1, where routing sends it.
fn is_never_moved(lab: &Lab, source: IpAddr) -> Result<()> {
    drop(asked(lab, source, 20)?);
    let seen = arrived(lab, source, addressing::stateless_client(Family::of(source)))?;
    assert!(seen[0] >= 42, "over uplink 1: {seen:?}");
    assert_eq!(seen[1..], [0, 0], "from {source}, over the others: {seen:?}");
    Ok(())
}

#[test]
fn a_shared_source_is_never_moved_by_answers_over_another_uplink() -> Result<()> {
    let (lab, _echo) = lab_with_echo()?;
    lab.steer_both(2)?;
    with_and_without_prroute(&lab, || {
        Family::BOTH.into_iter().try_for_each(|f| is_never_moved(&lab, addressing::shared(f)))
    })
}

/// The provider of uplink 2 brings packets for uplink 1's address too.
#[test]
fn an_own_source_is_never_moved_by_answers_over_another_uplink() -> Result<()> {
    let (lab, _echo) = lab_with_echo()?;
    for family in Family::BOTH {
        let (prefix, router) = (addressing::prefix(1, family), addressing::router_wan(2, family));
        lab.client.ip(&format!("route replace {prefix} via {router}"))?;
        let via = addressing::host(2, family);
        lab.router(2).namespace.ip(&format!("route add {prefix} via {via}"))?;
    }
    with_and_without_prroute(&lab, || {
        Family::BOTH.into_iter().try_for_each(|f| is_never_moved(&lab, addressing::host(1, f)))
    })
}

/// An application bound to uplink 2's address, with a specific route of main over uplink 3: its
/// packets follow the route, also after answers came in over uplink 2.
#[test]
fn a_specific_route_wins_over_a_bound_source() -> Result<()> {
    let (lab, _echo) = lab_with_echo()?;
    for family in Family::BOTH {
        let (client, gateway) =
            (addressing::stateless_client(family), addressing::gateway(3, family));
        lab.host.ip(&format!("route add {client} via {gateway} dev up3"))?;
        // Router 3 passes the foreign source on.
        let (prefix, word) = match family {
            Family::V4 => (addressing::prefix(2, family), "ip"),
            Family::V6 => (addressing::prefix(2, family), "ip6"),
        };
        let router = &lab.router(3).namespace;
        let rule = ["nft", "insert", "rule", "inet", "firewall", "forward"];
        router.run(&[&rule[..], &["iifname", "lan", word, "saddr", &prefix, "accept"]].concat())?;
        router.sysctl(&["net.ipv4.conf.lan.rp_filter=0", "net.ipv4.conf.all.rp_filter=0"])?;
    }
    lab.with_prroute(|prroute| {
        for family in Family::BOTH {
            let source = addressing::host(2, family);
            drop(asked(&lab, source, 10)?);
            let seen = arrived(&lab, source, addressing::stateless_client(family))?;
            assert!(seen[2] >= 22 && seen[..2] == [0, 0], "{family}: {seen:?}");
        }
        prroute.expect_none_inbound()
    })
}

/// What comes late from the far end of a connection that the host opened, over any uplink, is
/// taken for what it is.
#[test]
fn late_packets_open_nothing() -> Result<()> {
    let (lab, _echo) = lab_with_echo()?;
    lab.steer_both(1)?;
    lab.with_prroute(|prroute| {
        for family in Family::BOTH {
            let (source, target) =
                (addressing::shared(family), addressing::stateless_client(family));
            let (tcp, udp) = asked(&lab, source, 1)?;
            let tcp_port = tcp.local_addr()?.port();
            let udp_port = udp.local_addr()?.port();
            // Both are over on the host's side.
            drop((tcp, udp));
            for n in 1..=3 {
                let wire = Wire::open(&lab.router(n).namespace, "lan")?;
                let way = Way {
                    source_mac: frame::mac(&addressing::gateway_mac(n))?,
                    target_mac: frame::mac(&addressing::host_mac(n))?,
                    source: target,
                    target: source,
                };
                let ports = (PORT, tcp_port);
                for flags in [
                    Flags { ack: true, ..Flags::default() },
                    Flags { ack: true, fin: true, ..Flags::default() },
                    Flags { ack: true, rst: true, ..Flags::default() },
                    Flags { ack: true, syn: true, ..Flags::default() },
                    Flags { rst: true, ..Flags::default() },
                ] {
                    wire.send(&way.tcp(ports, flags, (1_000, 1_000), b"late")?)?;
                }
                wire.send(&way.udp((PORT, udp_port), b"late")?)?;
                wire.send(&way.unreachable(6, (tcp_port, PORT))?)?;
                wire.send(&way.unreachable(17, (udp_port, PORT))?)?;
                // The host has taken all of them in once it answers the last frame.
                let marker = socket::udp(&lab.client, addressing::client(n, family), 0)?;
                marker.set_read_timeout(Some(wait::patience(Duration::from_secs(3))))?;
                marker.connect(SocketAddr::new(addressing::host(n, family), 9))?;
                marker.send(b"marker")?;
                let answer = socket::uninterrupted(|| marker.recv(&mut [0; 8]));
                assert!(answer.is_err(), "the discard port is closed");
            }
            // Nothing but the host's own flows is known between these two.
            let mut flows = Vec::new();
            wait::until("the host's flows are known", Duration::from_secs(3), || {
                flows = prroute.flows(|flow| flow["remote"] == target.to_string())?;
                Ok((flows.len() >= 2).then_some(()))
            })?;
            let inbound: Vec<_> =
                flows.iter().filter(|flow| flow["opened_inbound"] == true).collect();
            assert!(inbound.is_empty(), "{inbound:#?}");
        }
        assert_eq!(prroute.count("adopted")?, 0);
        Ok(())
    })
}
