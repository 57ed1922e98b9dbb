//! A lab with an Ethernet uplink and one without a link layer, which leads to a peer of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};

use crate::addressing::{self, Family};
use crate::echo::{self, Echo};
use crate::lab::{Lab, Topology};
use crate::netns::Namespace;

const PORT: u16 = 7007;

/// The host's end of the link, and the peer's.
fn ends(family: Family) -> (IpAddr, IpAddr) {
    let end = |last: u8| -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(10, 9, 0, last).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, last.into()).into(),
        }
    };
    (end(10), end(1))
}

/// A client beyond the link, whom no route of main but a default one reaches.
fn far(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(198, 18, 0, 1).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0x1800, 0, 0, 0, 0, 1).into(),
    }
}

/// Shows that both uplinks are answered with prroute, and only main's default route without it.
/// `make` makes the link, with a device of this name at both ends, between the host and the peer,
/// who is on the first uplink's segment; main's default route goes by the link or by Ethernet.
pub fn is_answered_beside_ethernet<Link>(
    device: &str,
    default_by_link: bool,
    make: impl FnOnce(&Lab, &Namespace) -> Result<Link>,
) -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 1, ..Topology::DEFAULT })?;
    let peer = lab.stranger(1, "peer")?;
    let _link = make(&lab, &peer).with_context(|| format!("make {device}"))?;
    for family in Family::BOTH {
        let (host, other) = ends(family);
        let (far, option) = (far(family), family.option());
        let (length, full) = (addressing::prefix_length(family), addressing::full_length(family));
        let at_once = addressing::at_once(family);
        lab.host.ip(&format!("address add {host}/{length} dev {device} {at_once}"))?;
        peer.ip(&format!("address add {other}/{length} dev {device} {at_once}"))?;
        peer.ip(&format!("address add {far}/{full} dev lo {at_once}"))?;
        peer.ip(&format!("route add {} dev {device}", addressing::shared(family)))?;
        let metric = if default_by_link { 50 } else { 500 };
        lab.host.ip(&format!("{option} route add default dev {device} metric {metric}"))?;
    }
    let mut addresses = lab.host_addresses();
    addresses.extend(Family::BOTH.map(|family| ends(family).0));
    let _echo = Echo::start(&lab.host, &addresses, PORT)?;

    lab.meet_default_gateway().context("the way to the router")?;
    let before = answers(&lab, &peer)?;
    for (way, silent) in &before {
        let by_default = way.starts_with("link") == default_by_link;
        ensure!(silent.is_empty() == by_default, "without prroute: {before:#?}");
    }
    let mut prroute = lab.prroute()?;
    prroute.configure(&format!("[[uplink]]\nname = \"{device}\"\n"))?;
    let daemon = prroute.run(&[])?;
    let after = answers(&lab, &peer)?;
    ensure!(
        after.iter().all(|(_, silent)| silent.is_empty()),
        "not answered: {after:#?}\n{:#}",
        prroute.status()?
    );
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// Over the link and over Ethernet, to each one's own and to the shared address.
fn answers(lab: &Lab, peer: &Namespace) -> Result<Vec<(String, Vec<&'static str>)>> {
    let mut answers = Vec::new();
    for family in Family::BOTH {
        let shared = addressing::shared(family);
        for target in [ends(family).0, shared] {
            let silent = echo::silent(peer, far(family), target, PORT)?;
            answers.push((format!("link, {target}"), silent));
        }
        for target in [addressing::host(1, family), shared] {
            let client = addressing::client(1, family);
            let silent = echo::silent(&lab.client, client, target, PORT)?;
            answers.push((format!("ethernet, {target}"), silent));
        }
    }
    Ok(answers)
}
