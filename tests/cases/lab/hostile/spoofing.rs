//! Everything in a client's name: while its flows are in use, after they were silent, and before
//! the host's own attempt is answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::frame::Flags;
use prroute_tests::{socket, wait};

use super::attacker::Attacker;
use super::{PATIENCE, expect_no_leak, lab, leak, victims};

/// Attacks while the flows are in use.
fn active_flows_stay(syncookies: u8) -> Result<()> {
    let (lab, _echoes) = lab(syncookies)?;
    lab.with_prroute(|prroute| {
        let attacker = Attacker::new(&lab)?;
        let mut victims = victims(&lab)?;
        let capture = leak(&lab)?;
        for salt in 1..=20 {
            for victim in &mut victims {
                attacker.attack(victim, salt)?;
                victim.is_alive()?;
            }
        }
        expect_no_leak(capture)?;
        assert!(prroute.count("rebind_refused")? > 0, "the attack did not even arrive");
        Ok(())
    })
}

#[test]
fn active_flows_stay_where_they_are() -> Result<()> {
    active_flows_stay(1)
}

#[test]
fn active_flows_stay_where_they_are_with_syn_cookies() -> Result<()> {
    active_flows_stay(2)
}

/// Attacks after ten times `rebind-idle` of TCP without a packet: no handshake, no
/// acknowledgement that is not guessed, no byte.
fn silent_flows_stay(syncookies: u8) -> Result<()> {
    let (lab, _echoes) = lab(syncookies)?;
    lab.with_prroute(|_| {
        let attacker = Attacker::new(&lab)?;
        let mut victims = victims(&lab)?;
        for victim in &mut victims {
            // A datagram proves nothing: after 30 s silence its sender may be anywhere.
            victim.udp = None;
            victim.tcp_is_alive()?;
        }
        let silent_until = Instant::now() + Duration::from_secs(30);
        wait::until("ten times rebind-idle", Duration::from_secs(60), || {
            Ok((Instant::now() >= silent_until).then_some(()))
        })?;
        let capture = leak(&lab)?;
        for salt in 1..=20 {
            for victim in &victims {
                attacker.attack(victim, salt)?;
            }
        }
        for victim in &mut victims {
            victim.tcp_is_alive()?;
        }
        expect_no_leak(capture)?;
        Ok(())
    })
}

#[test]
fn silent_flows_stay_where_they_are() -> Result<()> {
    silent_flows_stay(1)
}

#[test]
fn silent_flows_stay_where_they_are_with_syn_cookies() -> Result<()> {
    silent_flows_stay(2)
}

/// The host's own attempt to connect is not answered for seconds; the attacker's SYN comes first.
#[test]
fn an_attempt_of_the_host_leaks_nothing() -> Result<()> {
    let (lab, _echoes) = lab(1)?;
    lab.with_prroute(|prroute| {
        let attacker = Attacker::new(&lab)?;
        lab.host.run(&["sysctl", "-qew", "net.ipv4.tcp_syn_linear_timeouts=0"])?;
        for family in Family::BOTH {
            let (local, remote) = (
                SocketAddr::new(addressing::shared(family), 40_000),
                SocketAddr::new(addressing::client(1, family), 7_070),
            );
            // Nobody is there, and nobody says so.
            lab.client.nft(
                "table inet nobody {
                chain in {
                    type filter hook input priority 0;
                    tcp dport 7070 drop
                }
            }",
            )?;
            let syns = || lab.router(1).arrived(local.ip(), remote.ip());
            let capture = std::thread::scope(|scope| -> Result<Capture> {
                scope.spawn(|| socket::tcp_from(&lab.host, local, remote, PATIENCE));
                // After one, three and seven seconds the host tries again: there is a time in which
                // the flow was silent for longer than `rebind-idle`.
                wait::until("an attempt that waits", PATIENCE, || {
                    let waits = prroute.flows(|flow| {
                        flow["local_port"] == 40_000
                            && flow["local"] == local.ip().to_string()
                            && flow["idle_seconds"].as_f64().is_some_and(|idle| idle > 3.2)
                    })?;
                    Ok((!waits.is_empty()).then_some(()))
                })?;
                let capture = leak(&lab)?;
                let way = Attacker::way(remote.ip(), local.ip())?;
                let mut number = 0;
                wait::until("more attempts", PATIENCE, || {
                    number += 1_000;
                    let syn = Flags { syn: true, ..Flags::default() };
                    let ports = (remote.port(), local.port());
                    attacker.wire.send(&way.tcp(ports, syn, (number, 0), &[])?)?;
                    Ok((syns()? >= 4).then_some(()))
                })?;
                Ok(capture)
            })?;
            expect_no_leak(capture).with_context(|| family.to_string())?;
        }
        Ok(())
    })
}
