//! The host's own datagrams that nobody asked for: a log, figures, traps, to a collector that never
//! answers. The attacker asks in the collector's name, at every port that a sender may have.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, Map, MapData};
use prroute::datapath::Pins;
use prroute_common::names;
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::lab::Lab;
use prroute_tests::{socket, wait};

use super::attacker::Attacker;
use super::{PATIENCE, expect_no_leak, lab, pass, wildcard};

const COLLECTOR: u16 = 5140;

/// To where the attacker's datagrams go: addresses of his segment's uplink, of another, and of none.
fn targets(family: Family) -> [IpAddr; 3] {
    [addressing::host(2, family), addressing::host(1, family), addressing::shared(family)]
}

fn collector(family: Family) -> SocketAddr {
    SocketAddr::new(addressing::client(1, family), COLLECTOR)
}

/// What arrives at the collector's router from the address that the host chooses by itself.
fn arrived(lab: &Lab, from: IpAddr, family: Family) -> Result<u64> {
    lab.router(1).arrived(from, collector(family).ip())
}

/// Sends ten datagrams, and waits until all have left by uplink 1 with the source `from`.
fn send(lab: &Lab, sender: &UdpSocket, from: IpAddr, family: Family) -> Result<()> {
    const MESSAGES: u64 = 10;
    let before = arrived(lab, from, family)?;
    for _ in 0..MESSAGES {
        match sender.peer_addr() {
            Ok(_) => sender.send(b"message"),
            Err(_) => sender.send_to(b"message", collector(family)),
        }
        .context("send a message")?;
    }
    wait::until("the messages at the collector's router", PATIENCE, || {
        Ok((arrived(lab, from, family)? >= before + MESSAGES).then_some(()))
    })
    .with_context(|| format!("from {from}"))
}

fn spray(attacker: &Attacker, family: Family) -> Result<()> {
    targets(family)
        .into_iter()
        .try_for_each(|target| attacker.ask_every_client_port(collector(family), target))
}

/// What leaves on the attacker's segment for the collector. A report that nobody listens at a port he
/// asked is his to have.
fn messages(lab: &Lab) -> Result<Capture> {
    let collectors = Family::BOTH.map(|family| format!("dst host {}", collector(family).ip()));
    Capture::start(&lab.host, "up2", "out", &format!("udp and ({})", collectors.join(" or ")))
}

/// How a sender gets its socket.
type Open = fn(&Lab, Family) -> Result<(UdpSocket, IpAddr)>;

/// Bound to no address, as most senders are.
fn unbound(lab: &Lab, family: Family) -> Result<(UdpSocket, IpAddr)> {
    Ok((socket::udp(&lab.host, wildcard(family), 0)?, addressing::host(1, family)))
}

fn connected(lab: &Lab, family: Family) -> Result<(UdpSocket, IpAddr)> {
    let (sender, from) = unbound(lab, family)?;
    lab.host.inside(|| sender.connect(collector(family)).context("connect to the collector"))?;
    Ok((sender, from))
}

/// Bound to the address that all uplinks share.
fn bound(lab: &Lab, family: Family) -> Result<(UdpSocket, IpAddr)> {
    let shared = addressing::shared(family);
    Ok((socket::udp(&lab.host, shared, 0)?, shared))
}

const SENDERS: [(&str, Open); 3] =
    [("unbound", unbound), ("connected", connected), ("bound", bound)];

/// A sender that has sent before goes on, also after a silence longer than any flow's.
#[test]
fn senders_that_have_sent_are_not_captured() -> Result<()> {
    let (lab, _echoes) = lab(1)?;
    lab.with_prroute(|_| {
        let attacker = Attacker::new(&lab)?;
        for family in Family::BOTH {
            for (kind, open) in SENDERS {
                let told = || format!("{kind}, {family}");
                let (sender, from) = open(&lab, family)?;
                send(&lab, &sender, from, family).with_context(told)?;
                let capture = messages(&lab)?;
                for silence in [0, 200, 7200] {
                    pass(&lab, Duration::from_secs(silence))?;
                    spray(&attacker, family)?;
                    send(&lab, &sender, from, family)
                        .with_context(|| format!("{} after {silence} s", told()))?;
                }
                expect_no_leak(capture).with_context(told)?;
            }
        }
        Ok(())
    })
}

/// A sender that opens a socket for each message: the attacker has asked at its port before it is there.
#[test]
fn senders_that_come_after_the_attacker_are_not_captured() -> Result<()> {
    let (lab, _echoes) = lab(1)?;
    lab.with_prroute(|_| {
        let attacker = Attacker::new(&lab)?;
        for family in Family::BOTH {
            let capture = messages(&lab)?;
            spray(&attacker, family)?;
            for (kind, open) in SENDERS {
                let (sender, from) = open(&lab, family)?;
                send(&lab, &sender, from, family).with_context(|| format!("{kind}, {family}"))?;
            }
            expect_no_leak(capture)?;
        }
        Ok(())
    })
}

/// A sender from a service's port that goes on for minutes: the collector's questions come too late.
#[test]
fn senders_from_a_services_port_are_not_captured_once_they_go_on() -> Result<()> {
    let (lab, _echoes) = lab(1)?;
    lab.with_prroute(|_| {
        let attacker = Attacker::new(&lab)?;
        for family in Family::BOTH {
            for (local, from) in [
                (wildcard(family), addressing::host(1, family)),
                (addressing::shared(family), addressing::shared(family)),
            ] {
                let sender = socket::udp(&lab.host, local, 514)?;
                for _ in 0..3 {
                    send(&lab, &sender, from, family)?;
                    pass(&lab, Duration::from_secs(90))?;
                }
                send(&lab, &sender, from, family)?;
                let capture = messages(&lab)?;
                for target in targets(family) {
                    let way = Attacker::way(collector(family).ip(), target)?;
                    for _ in 0..3 {
                        attacker.wire.send(&way.udp((COLLECTOR, 514), b"?")?)?;
                        send(&lab, &sender, from, family).with_context(|| format!("{target}"))?;
                    }
                }
                expect_no_leak(capture)?;
            }
        }
        Ok(())
    })
}

/// A bit for a port costs every datagram that comes in at it a lookup. It takes a question from outside,
/// and an answer.
#[test]
fn a_local_user_alone_marks_no_port() -> Result<()> {
    let (lab, _echoes) = lab(1)?;
    lab.with_prroute(|_| {
        for family in Family::BOTH {
            for port in 40_000..40_200 {
                let sender = socket::udp(&lab.host, wildcard(family), port)?;
                sender.send_to(b"message", collector(family)).context("send")?;
            }
        }
        let instance = lab.name().parse().map_err(anyhow::Error::msg)?;
        let pin = Pins::of(&instance).map(names::WILDCARD_PORTS);
        let ports: Array<MapData, u64> = Map::Array(MapData::from_pin(pin)?).try_into()?;
        for word in 0..ports.len() {
            assert_eq!(ports.get(&word, 0)?, 0, "ports from {}", word * 64);
        }
        Ok(())
    })
}

/// A server at a client's port (games, telephony, mosh) answers where it is asked, all the same.
#[test]
fn servers_at_a_clients_port_answer_where_they_are_asked() -> Result<()> {
    const PORT: u16 = 50_001;
    let (lab, _echoes) = lab(1)?;
    lab.with_prroute(|_| {
        for family in Family::BOTH {
            for (number, target) in [
                (2, addressing::host(2, family)),
                (2, addressing::shared(family)),
                (3, addressing::shared(family)),
            ] {
                let server = socket::udp(&lab.host, wildcard(family), PORT)?;
                answers(&lab, &server, number, target, |from| {
                    server.send_to(b"answer", from).context("answer").map(drop)
                })?;
                // One that talks to its client on the socket it got the first question at.
                let server = socket::udp(&lab.host, target, PORT + 1)?;
                answers(&lab, &server, number, target, |from| {
                    lab.host.inside(|| server.connect(from).context("connect to the client"))?;
                    server.send(b"answer").context("answer").map(drop)
                })?;
            }
        }
        Ok(())
    })
}

/// Three rounds of question and answer over uplink `number`.
fn answers(
    lab: &Lab,
    server: &UdpSocket,
    number: u8,
    target: IpAddr,
    answer: impl Fn(SocketAddr) -> Result<()>,
) -> Result<()> {
    let target = SocketAddr::new(target, server.local_addr()?.port());
    let family = if target.is_ipv4() { Family::V4 } else { Family::V6 };
    let client = socket::udp(&lab.client, addressing::client(number, family), 0)?;
    for _ in 0..3 {
        client.send_to(b"question", target).context("ask")?;
        let mut text = [0; 16];
        let (_, from) = socket::uninterrupted(|| server.recv_from(&mut text)).context("hear")?;
        answer(from)?;
        let (_, from) = socket::uninterrupted(|| client.recv_from(&mut text))
            .with_context(|| target.to_string())?;
        ensure!(from == target, "an answer from {from}");
    }
    Ok(())
}
