//! Uplinks without a link layer: a tun device, as a VPN's or a modem's, beside Ethernet ones.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::socket;
use prroute_tests::tunnel::Tunnel;

const PORT: u16 = 7007;

/// The host's end of the tunnel, and the client behind it.
fn ends(family: Family) -> Result<(IpAddr, IpAddr)> {
    Ok(match family {
        Family::V4 => ("10.9.0.10".parse()?, "10.9.0.1".parse()?),
        Family::V6 => ("2001:db8:9::10".parse()?, "2001:db8:9::1".parse()?),
    })
}

/// A client beyond the tunnel, whom no route of main but a default one reaches.
fn far(family: Family) -> Result<IpAddr> {
    Ok(match family {
        Family::V4 => "198.18.0.1".parse()?,
        Family::V6 => "2001:db8:1800::1".parse()?,
    })
}

/// One Ethernet uplink, and a tunnel as the second one. Main's default route goes by the one or
/// by the other.
fn lab(default_by_tunnel: bool) -> Result<(Lab, Namespace, Tunnel)> {
    let lab = Lab::build(Topology { uplinks: 1, ..Topology::DEFAULT })?;
    let peer = lab.stranger(1, "peer")?;
    let tunnel = Tunnel::between((&lab.host, "tun0"), (&peer, "tun0"))?;
    for family in Family::BOTH {
        let (host, other) = ends(family)?;
        let (far, option) = (far(family)?, family.option());
        let (length, full) = (addressing::prefix_length(family), addressing::full_length(family));
        let at_once = if family == Family::V6 { "nodad" } else { "" };
        lab.host.ip(&format!("address add {host}/{length} dev tun0 {at_once}"))?;
        peer.ip(&format!("address add {other}/{length} dev tun0 {at_once}"))?;
        peer.ip(&format!("address add {far}/{full} dev lo"))?;
        peer.ip(&format!("route add {} dev tun0", addressing::shared(family)))?;
        let metric = if default_by_tunnel { 50 } else { 500 };
        lab.host.ip(&format!("{option} route add default dev tun0 metric {metric}"))?;
    }
    Ok((lab, peer, tunnel))
}

/// TCP, UDP and ping from `source` to `target`; what is not answered.
fn silent(from: &Namespace, source: IpAddr, target: IpAddr) -> Result<Vec<&'static str>> {
    let mut silent = Vec::new();
    let tcp = socket::tcp_from(
        from,
        SocketAddr::new(source, 0),
        SocketAddr::new(target, PORT),
        Duration::from_secs(2),
    );
    if tcp.and_then(|mut tcp| echo::tcp_round(&mut tcp, 5_000)).is_err() {
        silent.push("TCP");
    }
    let udp = socket::udp(from, source, 0)?;
    udp.set_read_timeout(Some(Duration::from_secs(2)))?;
    if !echo::udp_round(&udp, SocketAddr::new(target, PORT), 1_000)? {
        silent.push("UDP");
    }
    let (option, from_text, to) =
        (Family::of(source).option(), source.to_string(), target.to_string());
    let ping = ["ping", option, "-n", "-q", "-c", "1", "-W", "2", "-I", &from_text, &to];
    if !from.output(&ping)?.status.success() {
        silent.push("ping");
    }
    Ok(silent)
}

/// Over the tunnel and over Ethernet, to each one's own and to the shared address.
fn answers(lab: &Lab, peer: &Namespace) -> Result<Vec<(String, Vec<&'static str>)>> {
    let mut answers = Vec::new();
    for family in Family::BOTH {
        let shared = addressing::shared(family);
        for target in [ends(family)?.0, shared] {
            let silent = silent(peer, far(family)?, target)?;
            answers.push((format!("tunnel, {target}"), silent));
        }
        for target in [addressing::host(1, family), shared] {
            let silent = silent(&lab.client, addressing::client(1, family), target)?;
            answers.push((format!("ethernet, {target}"), silent));
        }
    }
    Ok(answers)
}

fn answers_over_both(default_by_tunnel: bool) -> Result<()> {
    let (lab, peer, _tunnel) = lab(default_by_tunnel)?;
    let mut addresses = lab.host_addresses();
    addresses
        .extend(Family::BOTH.map(|family| ends(family).map(|ends| ends.0)).into_iter().flatten());
    let _echo = Echo::start(&lab.host, &addresses, PORT)?;
    lab.meet_default_gateway().context("the way to the router")?;
    let before = answers(&lab, &peer)?;
    for (way, silent) in &before {
        let by_default = way.starts_with("tunnel") == default_by_tunnel;
        assert_eq!(silent.is_empty(), by_default, "without prroute: {before:#?}");
    }
    let mut prroute = lab.prroute()?;
    prroute.configure("[[uplink]]\nname = \"tun0\"\n")?;
    let daemon = prroute.run(&[])?;
    let after = answers(&lab, &peer)?;
    assert!(
        after.iter().all(|(_, silent)| silent.is_empty()),
        "not answered: {after:#?}\n{:#}",
        prroute.status()?
    );
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

#[test]
fn a_tunnel_is_answered_while_the_default_goes_by_ethernet() -> Result<()> {
    answers_over_both(false)
}

#[test]
fn ethernet_is_answered_while_the_default_goes_by_a_tunnel() -> Result<()> {
    answers_over_both(true)
}
