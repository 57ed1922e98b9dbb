//! Uplinks without a link layer: a tun device, as a VPN's or a modem's, beside Ethernet ones.

use anyhow::Result;
use prroute_tests::point_to_point::is_answered_beside_ethernet;
use prroute_tests::tunnel::Tunnel;

fn a_tunnel(default_by_tunnel: bool) -> Result<()> {
    is_answered_beside_ethernet("tun0", default_by_tunnel, |lab, peer| {
        Tunnel::between((&lab.host, "tun0"), (peer, "tun0"))
    })
}

#[test]
fn a_tunnel_is_answered_while_the_default_goes_by_ethernet() -> Result<()> {
    a_tunnel(false)
}

#[test]
fn ethernet_is_answered_while_the_default_goes_by_a_tunnel() -> Result<()> {
    a_tunnel(true)
}
