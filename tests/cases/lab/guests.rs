//! Guests behind the host, on prefixes that the routers route to it: what comes in for them over
//! an uplink is answered over it, and what they open themselves goes where routing sends it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::probe::{self, Probe, Question};
use prroute_tests::{services, socket, wait};

const ECHO: u16 = 7007;

/// A forwarding host, and a guest that serves.
fn lab_with_guest(rp_filter: u8) -> Result<(Lab, Namespace)> {
    let mut lab = Lab::build(Topology { ip_forward: true, rp_filter, ..Topology::DEFAULT })?;
    let guest = lab.guest()?;
    let nginx = services::nginx(&guest, &lab.scratch, 80)?;
    let dnsmasq = services::dnsmasq(&guest, &Family::BOTH.map(addressing::guest), 53)?;
    lab.keep_running(nginx);
    lab.keep_running(dnsmasq);
    Ok((lab, guest))
}

fn questions() -> Vec<Probe> {
    let mut probes = Vec::new();
    for n in 1..=3 {
        for family in Family::BOTH {
            for question in Question::ALL {
                let (source, target) = (addressing::client(n, family), addressing::guest(family));
                probes.push(Probe { question, source, target });
            }
        }
    }
    probes
}

fn are_answered_over_the_uplink_they_were_asked_on(rp_filter: u8) -> Result<()> {
    let (lab, _guest) = lab_with_guest(rp_filter)?;
    lab.meet_default_gateway()?;
    probe::expect_answered(&lab.ask(&questions())?, |probe| probe.uplink() == 1)
        .context("without prroute")?;
    lab.with_prroute(|_| {
        probe::expect_all_answered(&lab.ask(&questions())?)?;
        // And in fragments.
        for n in 1..=3 {
            for family in Family::BOTH {
                let (from, to) = (
                    addressing::client(n, family).to_string(),
                    addressing::guest(family).to_string(),
                );
                let ping =
                    ["ping", family.option(), "-n", "-q", "-c", "3", "-i", "0.1", "-W", "10"];
                lab.client.run(&[&ping[..], &["-s", "4000", "-I", &from, &to]].concat())?;
            }
        }
        Ok(())
    })
}

#[test]
fn guests_are_answered_over_the_uplink_they_were_asked_on() -> Result<()> {
    are_answered_over_the_uplink_they_were_asked_on(0)
}

#[test]
fn guests_behind_strict_rp_filters_are_answered_too() -> Result<()> {
    are_answered_over_the_uplink_they_were_asked_on(1)
}

/// The answers come in over uplink 2; what the guest sends keeps to uplink 1, where main's
/// default route goes.
#[test]
fn what_a_guest_opens_is_not_moved() -> Result<()> {
    let (lab, guest) = lab_with_guest(0)?;
    for family in Family::BOTH {
        let (prefix, router) = (addressing::guests(family), addressing::router_wan(2, family));
        lab.client.ip(&format!("route add {prefix} via {router}"))?;
    }
    let clients = Family::BOTH.map(addressing::stateless_client);
    let _echo = Echo::start(&lab.client, &clients, ECHO)?;
    lab.with_prroute(|prroute| {
        for family in Family::BOTH {
            let (source, target) =
                (addressing::guest(family), addressing::stateless_client(family));
            let mut tcp = socket::tcp(&guest, source, target, ECHO)?;
            let udp = socket::udp(&guest, source, 0)?;
            for _ in 0..10 {
                echo::tcp_round(&mut tcp, 100)?;
                assert!(echo::udp_round(&udp, SocketAddr::new(target, ECHO), 100)?, "no answer");
            }
            drop(tcp);
            let (from, to) = (source.to_string(), target.to_string());
            let ping = ["ping", family.option(), "-n", "-q", "-c", "5", "-i", "0.05", "-W", "5"];
            guest.run(&[&ping[..], &["-I", &from, &to]].concat())?;
            let arrived: Vec<u64> = lab
                .routers
                .iter()
                .map(|router| router.arrived(source, target))
                .collect::<Result<_>>()?;
            // Ten datagrams, five echo requests, a handshake and ten segments.
            assert!(arrived[0] >= 27, "{family}, over uplink 1: {arrived:?}");
            assert_eq!(arrived[1..], [0, 0], "{family}, over the others");
        }
        prroute.expect_none_inbound()
    })
}

/// A guest's connection that came in moves with the client's packets once uplink 2 is down.
#[test]
fn a_guests_connection_moves_when_its_uplink_fails() -> Result<()> {
    let (lab, guest) = lab_with_guest(0)?;
    let _echo = Echo::start(&guest, &Family::BOTH.map(addressing::guest), ECHO)?;
    let steer = |n: u8| -> Result<()> {
        for family in Family::BOTH {
            let (prefix, router) = (addressing::guests(family), addressing::router_wan(n, family));
            lab.client.ip(&format!("route replace {prefix} via {router}"))?;
        }
        Ok(())
    };
    steer(2)?;
    lab.with_prroute(|_| {
        let mut connections = Vec::new();
        for family in Family::BOTH {
            let (source, target) =
                (addressing::stateless_client(family), addressing::guest(family));
            let mut tcp = socket::tcp(&lab.client, source, target, ECHO)?;
            echo::tcp_round(&mut tcp, 100)?;
            assert!(lab.router(2).arrived(target, source)? >= 2, "{family}: not over uplink 2");
            connections.push(tcp);
        }
        lab.host.ip("link set up2 down")?;
        steer(1)?;
        for tcp in &mut connections {
            tcp.set_read_timeout(Some(wait::patience(Duration::from_secs(10))))?;
            echo::tcp_round(tcp, 100).context("after the uplink failed")?;
        }
        Ok(())
    })
}

/// Behind an interface with smaller packets than the uplinks': the first one is divided, or refused in the
/// name of the uplink that it came in over.
#[test]
fn a_first_packet_that_is_too_large_for_the_guests_link_is_answered_too() -> Result<()> {
    const LARGEST: [(Family, &str, &str); 2] =
        [(Family::V4, "1472", "1"), (Family::V6, "1452", "4")];
    /// `SOL_IP`, `IP_MTU_DISCOVER`, `IP_PMTUDISC_DONT`: routers may divide.
    const DIVISIBLE: (i32, i32, i32) = (0, 10, 0);
    let (lab, guest) = lab_with_guest(0)?;
    let _echo = Echo::start(&guest, &[addressing::guest(Family::V4)], ECHO)?;
    guest.ip("link set eth0 mtu 1400")?;
    lab.host.ip("link set guests mtu 1400")?;
    lab.with_prroute(|_| {
        for (family, size, pings) in LARGEST {
            let target = addressing::guest(family);
            // Without a neighbour the kernel does not look at the size.
            let meet = ["ping", family.option(), "-n", "-q", "-c", "1", "-W", "5"];
            lab.host.run(&[&meet[..], &[&target.to_string()]].concat())?;
            for n in [2, 3, 1] {
                let (from, to) = (addressing::client(n, family).to_string(), target.to_string());
                let ping =
                    ["ping", family.option(), "-n", "-q", "-c", pings, "-i", "0.2", "-W", "10"];
                let large = ["-M", "dont", "-s", size, "-I", &from, &to];
                lab.client
                    .run(&[&ping[..], &large].concat())
                    .with_context(|| format!("{family}, uplink {n}"))?;
            }
        }
        let (level, name, value) = DIVISIBLE;
        for n in 1..=3 {
            let udp = socket::udp(&lab.client, addressing::client(n, Family::V4), 0)?;
            socket::set_option(&udp, level, name, &value.to_ne_bytes())?;
            let target = SocketAddr::new(addressing::guest(Family::V4), ECHO);
            assert!(echo::udp_round(&udp, target, 1472)?, "UDP over uplink {n}");
        }
        Ok(())
    })
}
