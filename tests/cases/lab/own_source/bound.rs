//! Sockets that are bound to an interface: what leaves there stays there, and what a tunnel carries for them
//! leaves by the tunnel's own address.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::libc;
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::own_source::in_both_modes;
use prroute_tests::{socket, wait};

const PORT: u16 = 7;
const SOON: Duration = Duration::from_secs(10);

#[test]
fn what_a_socket_bound_to_an_uplink_sends_leaves_there() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
        lab.with_own_source(own_source, |_| {
            for family in Family::BOTH {
                let (source, peer) = (addressing::host(2, family), addressing::client(1, family));
                let filter = format!("src host {source} and dst host {peer}");
                for number in [1, 2] {
                    let heard =
                        Capture::start(&lab.router(number).namespace, "host", "in", &filter)?;
                    let own = socket::udp(&lab.host, source, 0)?;
                    if number == 1 {
                        socket::set_option(&own, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, b"up1")?;
                    }
                    // In one packet, and in three.
                    for length in [100, 4_000] {
                        own.send_to(&vec![0; length], SocketAddr::new(peer, PORT))?;
                    }
                    ensure!(heard.wait_for(4, SOON)?, "{family}, by uplink {number}");
                    heard.stop()?;
                }
            }
            Ok(())
        })
    })
}

/// A packet that a tunnel made has the socket of the packet in it.
#[test]
fn a_tunnel_leaves_by_its_own_address_whatever_the_sockets_in_it_are_bound_to() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
        for family in Family::BOTH {
            let (near, far) = (addressing::host(2, family), addressing::client(2, family));
            vxlan(&lab.host, family, near, far, 1)?;
            vxlan(&lab.client, family, far, near, 2)?;
        }
        lab.with_own_source(own_source, |_| {
            for family in Family::BOTH {
                let (device, peer) = (device(family), inner(family, 2));
                let ping = ["ping", "-n", "-q", "-c", "1", "-W", "2"];
                for bound in [&[][..], &["-I", device]] {
                    let command = [&ping[..], bound, &[&peer]].concat();
                    wait::until("the tunnel's other end answers", SOON, || {
                        Ok(lab.host.output(&command)?.status.success().then_some(()))
                    })
                    .with_context(|| format!("a tunnel over {family}, {command:?}"))?;
                }
            }
            Ok(())
        })
    })
}

fn device(over: Family) -> &'static str {
    match over {
        Family::V4 => "tunnel4",
        Family::V6 => "tunnel6",
    }
}

fn inner(over: Family, end: u8) -> String {
    match over {
        Family::V4 => format!("10.200.4.{end}"),
        Family::V6 => format!("10.200.6.{end}"),
    }
}

/// One end of a tunnel from `near` to `far`.
fn vxlan(at: &Namespace, over: Family, near: IpAddr, far: IpAddr, end: u8) -> Result<()> {
    // One that the routers let the host open.
    const PORT: u16 = 7089;
    let (device, address) = (device(over), inner(over, end));
    at.ip(&format!("link add {device} type vxlan id 42 dstport {PORT} local {near} remote {far}"))?;
    at.ip(&format!("address add {address}/24 dev {device}"))?;
    at.ip(&format!("link set {device} up"))?;
    Ok(())
}
