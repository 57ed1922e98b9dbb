//! Devices that stand upon another one and have its packets: macvlan, ipvlan, a bridge.

use anyhow::Result;

use crate::second::{self, BELOW, Found};

#[test]
fn a_macvlan_with_a_default_route_is_an_uplink() -> Result<()> {
    let lab = second::lab("mac2", |lab| {
        lab.host.ip(&format!("link add link {BELOW} name mac2 type macvlan mode bridge")).map(drop)
    })?;
    second::conforms(&lab, "mac2", Found::ByItself)
}

#[test]
fn an_ipvlan_with_a_default_route_is_an_uplink() -> Result<()> {
    let lab = second::lab("ipv2", |lab| {
        lab.host.ip(&format!("link add link {BELOW} name ipv2 type ipvlan mode l2")).map(drop)
    })?;
    second::conforms(&lab, "ipv2", Found::ByItself)
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
