//! A lab whose uplinks differ in size, and whose other links hold the largest packets.

use anyhow::Result;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::router::{LAN, WAN};

const LARGEST: u32 = 9000;

/// Uplinks 1, 2, ... of these MTUs; main's default route is by the first one.
pub(crate) fn lab(mtus: &[u32]) -> Result<Lab> {
    lab_with(Topology { uplinks: mtus.len() as u8, ..Topology::DEFAULT }, mtus)
}

pub(crate) fn lab_with(topology: Topology, mtus: &[u32]) -> Result<Lab> {
    let lab = Lab::build(topology)?;
    for (mtu, number) in mtus.iter().zip(1..) {
        lab.host.ip(&format!("link set up{number} mtu {mtu}"))?;
        let router = &lab.router(number).namespace;
        router.ip(&format!("link set host mtu {mtu}"))?;
        router.ip(&format!("link set {LAN} mtu {mtu}"))?;
        router.ip(&format!("link set {WAN} mtu {LARGEST}"))?;
        lab.client.ip(&format!("link set r{number} mtu {LARGEST}"))?;
    }
    lab.client.ip(&format!("link set wan mtu {LARGEST}"))?;
    Ok(lab)
}
