//! Leases by real DHCP servers, one behind each of two uplinks.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::dhcp::Server;
use prroute_tests::lab::Lab;
use prroute_tests::{router, wait};

use crate::network::{serve_also, silent};
use crate::pings::{self, Asker, FIRST_UPLINK};
use crate::service::JOB;

/// What the second uplink has after the renewal.
const LATER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 20);

/// A server behind each uplink, by whose leases the uplinks get the addresses of the plan.
pub(crate) fn servers(lab: &Lab) -> Result<Vec<Server>> {
    let server = |n: u8| {
        let network = Ipv4Addr::new(10, 0, n, 0);
        let lease = (addressing::host_mac(n), Ipv4Addr::new(10, 0, n, 10));
        let namespace = &lab.router(n).namespace;
        Server::start(namespace, router::LAN, &lab.scratch, &[network], BTreeMap::from([lease]))
    };
    (1..=2).map(server).collect()
}

/// Waits until an uplink has the address.
pub(crate) fn wait_for(lab: &Lab, number: u8, address: IpAddr) -> Result<()> {
    let device = addressing::device(number);
    wait::until(&format!("{device} has {address}"), JOB, || {
        let all = lab.host.ip(&format!("-o address show dev {device} to {address} -tentative"))?;
        Ok((!all.is_empty()).then_some(()))
    })
}

/// Waits until the server's client has renewed its lease.
pub(crate) fn wait_renewed(server: &Server) -> Result<()> {
    let before = server.acknowledgements();
    wait::until(
        "a lease is renewed",
        JOB,
        || Ok((server.acknowledgements() > before).then_some(())),
    )
}

/// The second uplink gets another address: nothing is lost on those that stay, and it is answered.
pub(crate) fn another_address_loses_nothing(lab: &Lab, server: &mut Server) -> Result<()> {
    let stay = [&FIRST_UPLINK[..], &[(2, Family::V6)]].concat();
    pings::during(lab, "another address", Asker::Client, &stay, || {
        server.reassign(&addressing::host_mac(2), LATER)?;
        wait_for(lab, 2, LATER.into())?;
        the_later_address_is_answered(lab)
    })
    .and_then(|outcomes| outcomes.none_lost_where_addresses_stayed(stay.len()))
}

/// The address that the second uplink had is gone, and every other is answered.
fn the_later_address_is_answered(lab: &Lab) -> Result<()> {
    let _echo = serve_also(lab, &[LATER.into()])?;
    let now = |n, family| match (n, family) {
        (2, Family::V4) => LATER.into(),
        _ => addressing::host(n, family),
    };
    let mut last = Vec::new();
    wait::until("every question is answered", JOB, || {
        last = silent(lab, now)?;
        Ok(last.is_empty().then_some(()))
    })
    .with_context(|| format!("not answered: {last:?}"))
}
