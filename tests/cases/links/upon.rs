//! Devices that stand upon another one and have its packets: macvlan, ipvlan, a bridge.

use anyhow::{Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};

use crate::second::{self, BELOW, Found, PORT};

#[test]
fn a_macvlan_with_a_default_route_is_an_uplink() -> Result<()> {
    let lab = second::lab("mac2", |lab| {
        lab.host.ip(&format!("link add link {BELOW} name mac2 type macvlan mode bridge")).map(drop)
    })?;
    second::conforms(&lab, "mac2", Found::ByItself)
}

/// An ipvlan gets the packets for its own addresses only: those for an address elsewhere on the
/// host come in on the device below, and so there are no shared addresses over it.
#[test]
fn an_ipvlan_with_a_default_route_is_an_uplink_for_its_own_addresses() -> Result<()> {
    let lab = second::lab("ipv2", |lab| {
        lab.host.ip(&format!("link add link {BELOW} name ipv2 type ipvlan mode l2")).map(drop)
    })?;
    let _echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    lab.meet_default_gateway()?;
    lab.forget_neighbours()?;
    lab.with_prroute(|_| {
        for family in Family::BOTH {
            let (source, target) = (addressing::client(2, family), addressing::host(2, family));
            let silent = echo::silent(&lab.client, source, target, PORT)?;
            ensure!(silent.is_empty(), "{target} does not answer {silent:?}");
            ensure!(
                lab.router(1).arrived(target, source)? == 0,
                "replies left by the first uplink"
            );
        }
        second::expect_attached(&lab.host, &["up1", "ipv2"])
    })
}

/// A veth is no physical port: such a bridge has to be named.
#[test]
fn a_bridge_with_an_uplink_in_it_is_one_when_named() -> Result<()> {
    let lab = second::lab("br2", |lab| {
        lab.host.ip_batch(&format!(
            "link add name br2 type bridge forward_delay 0 mcast_snooping 0\n\
             link set {BELOW} master br2\n"
        ))
    })?;
    second::conforms(&lab, "br2", Found::ByName)
}
