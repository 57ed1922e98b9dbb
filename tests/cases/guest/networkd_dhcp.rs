//! systemd-networkd as a DHCP client, with its default of deleting what it did not make.

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::Lab;

use crate::leases::{another_address_loses_nothing, servers, wait_for, wait_renewed};
use crate::network::{TWO_UPLINKS, answered, serve};
use crate::networkd::{Defaults, Manager};
use crate::pings::{self, Asker, EVERY_ADDRESS};
use crate::service::Service;

#[test]
fn a_renewal_that_brings_another_address_loses_nothing_on_the_others() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let mut servers = servers(&lab)?;
    (1..=2).try_for_each(|n| lab.unconfigure(n, Family::V4))?;
    let _defaults = Defaults::set()?;
    let _manager = Manager::start_with(|n| {
        let (address, gateway) =
            (addressing::host(n, Family::V6), addressing::gateway(n, Family::V6));
        let (length, metric) = (addressing::prefix_length(Family::V6), 100 * u32::from(n));
        format!(
            "DHCP=ipv4\nIPv6AcceptRA=no\nAddress={address}/{length}\n\
             [DHCPv4]\nClientIdentifier=mac\nRouteMetric={metric}\n\
             [Route]\nGateway={gateway}\nMetric={metric}\n"
        )
    })?;
    (1..=2).try_for_each(|n| wait_for(&lab, n, addressing::host(n, Family::V4)))?;
    let _echo = serve(&lab)?;
    let service = Service::start()?;
    let state = || service.journal(&[]).unwrap_or_default();
    answered(&lab).with_context(state)?;

    pings::during(&lab, "the same lease again", Asker::Client, &EVERY_ADDRESS, || {
        servers.iter().try_for_each(wait_renewed)
    })
    .and_then(|outcomes| outcomes.none_lost_where_addresses_stayed(4))
    .with_context(state)?;

    another_address_loses_nothing(&lab, &mut servers[1]).with_context(state)?;
    let addresses = lab.host.ip("-4 -o address show dev up2")?;
    ensure!(!addresses.contains("10.0.2.10/"), "{addresses}");
    println!("{}", state());
    Ok(())
}
