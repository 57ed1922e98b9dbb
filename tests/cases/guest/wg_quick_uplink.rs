//! wg-quick's tunnel as an uplink: what comes in by it is answered by it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::command;
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::Lab;
use prroute_tests::wait;

use crate::configuration::Configuration;
use crate::network::{PORT, TWO_UPLINKS, serve, silent};
use crate::service::{JOB, Service};

const CONFIGURATION: &str = "/etc/wireguard/tunnel.conf";
const DEVICE: &str = "tunnel";

/// Where the other end of the tunnel listens: a port that the routers let through.
const LISTEN: u16 = 7051;

/// The host's address in the tunnel.
fn own(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 9, 0, 10).into(),
        Family::V6 => [0x2001, 0xdb8, 9, 0, 0, 0, 0, 0x10].into(),
    }
}

/// A client beyond the tunnel, whom no route of main but a default one reaches.
fn far(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(198, 18, 0, 1).into(),
        Family::V6 => [0x2001, 0xdb8, 0x1800, 0, 0, 0, 0, 1].into(),
    }
}

fn key() -> Result<(String, String)> {
    let private = command::run(&["wg", "genkey"])?.trim().to_owned();
    let mut public = command::command(&["wg", "pubkey"])?;
    let public = command::output_within(&mut public, JOB, &private)?.success()?;
    Ok((private, public.trim().to_owned()))
}

/// The tunnel, taken down when dropped.
struct Tunnel;

impl Tunnel {
    /// The lab's client is the other end, where [`far`] is. `more` is for the section of the interface.
    fn up(lab: &Lab, more: &str) -> Result<Self> {
        let (host, peer) = (key()?, key()?);
        let listen = LISTEN.to_string();
        let file = lab.scratch.write("peer.key", &peer.0)?.display().to_string();
        let allowed = Family::BOTH.map(|family| own(family).to_string()).join(",");
        lab.client.ip("link add peer type wireguard")?;
        let words = ["wg", "set", "peer", "listen-port", &listen, "private-key", &file];
        lab.client.run(&[&words[..], &["peer", &host.1, "allowed-ips", &allowed]].concat())?;
        lab.client.ip("link set peer up")?;
        for family in Family::BOTH {
            let (far, full) = (far(family), addressing::full_length(family));
            let at_once = addressing::at_once(family);
            lab.client.ip(&format!("address add {far}/{full} dev lo {at_once}"))?;
            lab.client.ip(&format!("route add {} dev peer src {far}", own(family)))?;
        }
        let addresses = Family::BOTH
            .map(|family| format!("{}/{}", own(family), addressing::full_length(family)));
        let text = format!(
            "[Interface]\nPrivateKey = {}\nAddress = {}\n{more}\
             [Peer]\nPublicKey = {}\nAllowedIPs = 0.0.0.0/0, ::/0\n\
             Endpoint = {}:{LISTEN}\nPersistentKeepalive = 1\n",
            host.0,
            addresses.join(", "),
            peer.1,
            addressing::client(1, Family::V4),
        );
        fs::write(CONFIGURATION, text).with_context(|| format!("write {CONFIGURATION}"))?;
        let tunnel = Self;
        wg_quick("up")?;
        Ok(tunnel)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if let Err(error) = wg_quick("down") {
            eprintln!("{error:#}");
        }
    }
}

fn wg_quick(what: &str) -> Result<()> {
    let mut quick = command::command(&["wg-quick", what, DEVICE])?;
    command::output_within(&mut quick, JOB, "")?.success().map(drop)
}

/// What is asked through the tunnel, and not answered.
fn silent_in_tunnel(lab: &Lab) -> Result<Vec<String>> {
    let mut unanswered = Vec::new();
    for family in Family::BOTH {
        let silent = echo::silent(&lab.client, far(family), own(family), PORT)?;
        unanswered.extend(silent.into_iter().map(|what| format!("{what}, {family}, tunnel")));
    }
    Ok(unanswered)
}

/// What is asked over any of the three uplinks, and not answered.
fn silent_anywhere(lab: &Lab) -> Result<Vec<String>> {
    Ok([silent(lab, addressing::host)?, silent_in_tunnel(lab)?].concat())
}

fn wait_for_answers(lab: &Lab, service: &Service, when: &str) -> Result<()> {
    let mut lost = Vec::new();
    wait::until("all three uplinks answer", JOB, || {
        lost = silent_anywhere(lab)?;
        Ok(lost.is_empty().then_some(()))
    })
    .with_context(|| {
        let rules = command::run(&["ip", "rule", "show"]).unwrap_or_default();
        let status = service.prroute(&["status", "-a"]).map(|output| output.stdout);
        let status = status.unwrap_or_default();
        format!("{when}: {lost:?}\n{rules}{status}{}", service.journal(&[]).unwrap_or_default())
    })
}

/// With wg-quick's own rules everything goes into the tunnel; with `Table = off` nothing does.
fn all_three_are_answered(more: &str, without: &str) -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _configuration = Configuration::write(&format!("[[uplink]]\nname = \"{DEVICE}\"\n"))?;
    let _echo = serve(&lab)?;
    let _tunnel = Tunnel::up(&lab, more)?;
    let _inside = Echo::start(&lab.host, &Family::BOTH.map(own), PORT)?;
    let lost = silent_anywhere(&lab)?;
    println!("without prroute: {lost:?}");
    ensure!(lost.iter().any(|what| what.ends_with(without)), "{lost:?}");

    let service = Service::start()?;
    wait_for_answers(&lab, &service, "prroute started")?;
    wg_quick("down")?;
    wait::until("both others answer", JOB, || {
        Ok(silent(&lab, addressing::host)?.is_empty().then_some(()))
    })
    .with_context(|| service.journal(&[]).unwrap_or_default())?;
    wg_quick("up")?;
    wait_for_answers(&lab, &service, "wg-quick down and up")
}

#[test]
fn a_tunnel_for_everything_is_answered_and_so_are_the_others() -> Result<()> {
    all_three_are_answered("", "uplink 1")
}

#[test]
fn a_tunnel_without_routes_is_answered_and_so_are_the_others() -> Result<()> {
    all_three_are_answered("Table = off\n", "tunnel")
}
