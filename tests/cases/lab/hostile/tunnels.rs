//! Tunnels of the kernel (VXLAN, Geneve, FOU): what they send has no socket that could have been asked, but
//! the one of the packet inside. The attacker asks in the name of the other end, at every port that a
//! tunnel may send from.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::{socket, wait};

use super::attacker::Attacker;
use super::{PATIENCE, expect_no_leak};

/// To which the tunnel sends.
const TUNNEL: u16 = 4789;
/// Inside; nobody is there.
const DISCARD: u16 = 9;
/// Each of a flow of its own, and so from a port of its own.
const MESSAGES: u16 = 40;

/// The addresses inside of this end and of the other one.
fn inside(family: Family) -> [IpAddr; 2] {
    let third = if family == Family::V4 { 4 } else { 6 };
    [1, 2].map(|last| Ipv4Addr::new(172, 31, third, last).into())
}

/// A tunnel by VXLAN over uplink 1, whose other end stays silent.
fn tunnel(lab: &Lab, family: Family) -> Result<()> {
    let (from, to) = (addressing::host(1, family), addressing::client(1, family));
    let [near, far] = inside(family);
    let (name, id) = if family == Family::V4 { ("vx4", 4) } else { ("vx6", 6) };
    lab.host.ip_batch(&format!(
        "link add {name} type vxlan id {id} local {from} remote {to} dstport {TUNNEL}\n\
         link set {name} up\n\
         address add {near}/24 dev {name}\n\
         neigh add {far} lladdr 02:00:00:00:00:99 dev {name} nud permanent\n"
    ))
}

/// Sends datagrams of the host and of its guest, and segments, through the tunnel; tells how many at least.
fn send(lab: &Lab, guest: &Namespace, family: Family) -> Result<u64> {
    let [near, far] = inside(family);
    let to = SocketAddr::new(far, DISCARD);
    let mut sockets = Vec::new();
    for _ in 0..MESSAGES {
        for (namespace, from) in [(&lab.host, near), (guest, addressing::guest(Family::V4))] {
            let udp = socket::udp(namespace, from, 0)?;
            udp.connect(to).context("connect inside")?;
            udp.send(b"message").context("send inside")?;
            sockets.push(udp);
        }
    }
    for _ in 0..3 {
        lab.host.inside(|| {
            // Nobody answers.
            drop(TcpStream::connect_timeout(&to, Duration::from_millis(50)));
            Ok(())
        })?;
    }
    Ok(u64::from(2 * MESSAGES + 3))
}

#[test]
fn tunnels_of_the_kernel_are_not_captured() -> Result<()> {
    let lab = Lab::build(Topology { ip_forward: true, ..Topology::DEFAULT })?;
    let guest = lab.guest()?;
    for family in Family::BOTH {
        tunnel(&lab, family)?;
    }
    lab.with_prroute(|_| {
        let attacker = Attacker::new(&lab)?;
        for family in Family::BOTH {
            let (from, to) = (addressing::host(1, family), addressing::client(1, family));
            let leak = Capture::start(&lab.host, "up2", "out", &format!("udp and dst host {to}"))?;
            for _ in 0..2 {
                attacker.ask_every_client_port(SocketAddr::new(to, TUNNEL), from)?;
                let before = lab.router(1).arrived(from, to)?;
                let sent = send(&lab, &guest, family)?;
                wait::until("what the tunnel sends, at its router", PATIENCE, || {
                    Ok((lab.router(1).arrived(from, to)? >= before + sent).then_some(()))
                })
                .with_context(|| family.to_string())?;
            }
            expect_no_leak(leak).with_context(|| family.to_string())?;
        }
        Ok(())
    })
}
