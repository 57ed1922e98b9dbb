//! Last hop: the attacker is on the link of the flow's own uplink, and would be its router.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::echo::{self, Echo};
use prroute_tests::frame::{self, Flags, Way};
use prroute_tests::socket;
use prroute_tests::wait;

use super::attacker::{ATTACKER_MAC, Attacker};
use super::{PATIENCE, PORT, lab};

/// Link-layer addresses that are nobody's, everybody's, a group's, and the host's own.
const NO_NEIGHBOURS: [&str; 4] =
    ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "02:00:00:00:02:10"];

/// A packet of each kind in the client's name, from a device with this address.
fn forge(
    attacker: &Attacker,
    mac: &str,
    remote: SocketAddr,
    udp: u16,
    local: SocketAddr,
) -> Result<()> {
    let way = Way { source_mac: frame::mac(mac)?, ..Attacker::way(remote.ip(), local.ip())? };
    let none = Flags::default();
    for flags in [
        Flags { rst: true, ..none },
        Flags { rst: true, ack: true, ..none },
        Flags { syn: true, ..none },
        Flags { ack: true, ..none },
        Flags { fin: true, ack: true, ..none },
    ] {
        let ports = (remote.port(), local.port());
        attacker.wire.send(&way.tcp(ports, flags, (0x1234_5678, 0x0bad_cafe), &[])?)?;
    }
    attacker.wire.send(&way.udp((udp, local.port()), b"spoofed")?)
}

/// An own address of the uplink and a shared one.
fn addresses() -> Vec<(Family, IpAddr)> {
    let of = |family| [addressing::host(2, family), addressing::shared(family)];
    Family::BOTH.into_iter().flat_map(|f| of(f).map(|address| (f, address))).collect()
}

/// Every answer goes to the router that the client's packets come from.
#[test]
fn a_flow_keeps_its_router_while_others_claim_to_be_it() -> Result<()> {
    let (lab, echoes) = lab(1)?;
    drop(echoes);
    let _echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    let mut prroute = lab.prroute()?;
    prroute.configure("[[uplink]]\nname = \"up2\"\nreply = \"last-hop\"\n")?;
    let daemon = prroute.run(&[])?;
    let attacker = Attacker::new(&lab)?;
    let router = addressing::gateway_mac(2);
    for (family, target) in addresses() {
        let client = addressing::client(2, family);
        let local = SocketAddr::new(target, PORT);
        let mut tcp = socket::tcp(&lab.client, client, target, PORT)?;
        tcp.set_read_timeout(Some(wait::patience(PATIENCE)))?;
        let udp = socket::udp(&lab.client, client, 0)?;
        let (remote, udp_port) = (tcp.local_addr()?, udp.local_addr()?.port());
        let mut go_on = || -> Result<()> {
            echo::tcp_round(&mut tcp, 100)?;
            ensure!(echo::udp_round(&udp, local, 100)?, "no answer by UDP");
            Ok(())
        };
        for _ in 0..3 {
            go_on()?;
        }
        // Neither to the attacker nor to anything that is no router. The host's own questions for
        // its neighbours go to all.
        let filter = format!("(tcp or udp) and dst host {client} and not ether dst {router}");
        let astray = Capture::start(&lab.host, "up2", "out", &filter)?;
        for mac in [ATTACKER_MAC].into_iter().chain(NO_NEIGHBOURS) {
            for _ in 0..5 {
                forge(&attacker, mac, remote, udp_port, local)?;
                go_on().with_context(|| format!("{target} after packets of {mac}"))?;
            }
        }
        let astray = astray.stop()?;
        ensure!(astray.is_empty(), "to others than the router: {astray:#?}");
    }
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}
