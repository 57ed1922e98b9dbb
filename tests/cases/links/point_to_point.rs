//! Uplinks without a link layer that the kernel itself makes: WireGuard and PPP.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::command;
use prroute_tests::lab::Lab;
use prroute_tests::netns::Namespace;
use prroute_tests::point_to_point::is_answered_beside_ethernet;
use prroute_tests::process::Process;
use prroute_tests::wait;

const WIREGUARD_PORT: u16 = 51820;

/// One end of a WireGuard link: its own key, and the other end's.
fn wireguard_end(namespace: &Namespace, key: &Path, other: (&str, String)) -> Result<()> {
    let (public, address) = other;
    let (key, port) = (key.display().to_string(), WIREGUARD_PORT.to_string());
    namespace.ip("link add name wg0 type wireguard")?;
    let own = ["wg", "set", "wg0", "listen-port", &port, "private-key", &key];
    let endpoint = format!("{address}:{WIREGUARD_PORT}");
    let peer = ["peer", public, "allowed-ips", "0.0.0.0/0,::/0", "endpoint", &endpoint];
    namespace.run(&[&own[..], &peer].concat())?;
    namespace.ip("link set wg0 up").map(drop)
}

fn wireguard(lab: &Lab, peer: &Namespace) -> Result<()> {
    let (host, other) = (addressing::host(1, Family::V4), addressing::neighbour(1, Family::V4));
    peer.ip(&format!("address add {other}/24 dev eth0"))?;
    let mut ends = Vec::new();
    for name in ["host", "peer"] {
        let private = command::run(&["wg", "genkey"])?;
        let mut pubkey = command::command(&["wg", "pubkey"])?;
        let public = command::output_within(&mut pubkey, command::DEADLINE, &private)?.success()?;
        ends.push((lab.scratch.write(name, &private)?, public.trim().to_owned()));
    }
    wireguard_end(&lab.host, &ends[0].0, (&ends[1].1, other.to_string()))?;
    wireguard_end(peer, &ends[1].0, (&ends[0].1, host.to_string()))
}

#[test]
fn wireguard_is_answered_while_the_default_goes_by_ethernet() -> Result<()> {
    is_answered_beside_ethernet("wg0", false, wireguard)
}

#[test]
fn ethernet_is_answered_while_the_default_goes_by_wireguard() -> Result<()> {
    is_answered_beside_ethernet("wg0", true, wireguard)
}

/// Two daemons at the ends of a terminal of their own.
fn ppp(lab: &Lab, peer: &Namespace) -> Result<Process> {
    let options = "nodetach noauth local nodefaultroute nodeflate nobsdcomp +ipv6";
    let far = format!(
        "nsenter --net={} -- pppd {options} notty 10.9.1.2:10.9.1.1",
        peer.path().display()
    );
    let words = options.split_whitespace().chain(["10.9.1.1:10.9.1.2", "pty", &far]);
    let argv: Vec<&str> = ["pppd"].into_iter().chain(words).collect();
    let mut pppd = lab.host.spawn(&argv)?;
    for namespace in [&lab.host, peer] {
        wait::until("ppp0 is up", Duration::from_secs(30), || {
            pppd.check_running()?;
            let addresses =
                namespace.output(&["ip", "-brief", "address", "show", "dev", "ppp0"])?;
            let is_up = addresses.stdout.contains("10.9.1.") && addresses.stdout.contains("fe80:");
            Ok(is_up.then_some(()))
        })
        .with_context(|| pppd.log())?;
    }
    Ok(pppd)
}

#[test]
fn ppp_is_answered_while_the_default_goes_by_ethernet() -> Result<()> {
    is_answered_beside_ethernet("ppp0", false, ppp)
}

#[test]
fn ethernet_is_answered_while_the_default_goes_by_ppp() -> Result<()> {
    is_answered_beside_ethernet("ppp0", true, ppp)
}
