//! ifupdown with dhclient, as Debian has configured servers for decades.

use std::fs;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::command;
use prroute_tests::lab::Lab;

use crate::leases::{another_address_loses_nothing, servers, wait_renewed};
use crate::network::{TWO_UPLINKS, answered, serve};
use crate::pings::{self, Asker, EVERY_ADDRESS, FIRST_UPLINK};
use crate::service::{JOB, Service};

const FILE: &str = "/run/interfaces-of-the-case";

/// ifupdown with both uplinks, which it takes down when dropped.
struct Interfaces;

impl Interfaces {
    /// IPv4 by DHCP, and IPv6 as the lab has it.
    fn up() -> Result<Self> {
        let mut text = String::new();
        for n in 1..=2 {
            let (device, metric) = (addressing::device(n), 100 * u32::from(n));
            let (address, gateway) =
                (addressing::host(n, Family::V6), addressing::gateway(n, Family::V6));
            let length = addressing::prefix_length(Family::V6);
            text += &format!(
                "iface {device} inet dhcp\n    metric {metric}\n\
                 iface {device} inet6 static\n    address {address}/{length}\n    \
                 gateway {gateway}\n    metric {metric}\n"
            );
        }
        fs::write(FILE, text).with_context(|| format!("write {FILE}"))?;
        let interfaces = Self;
        ["up1", "up2"].into_iter().try_for_each(|device| ifupdown("ifup", device))?;
        Ok(interfaces)
    }
}

impl Drop for Interfaces {
    fn drop(&mut self) {
        for device in ["up1", "up2"] {
            if let Err(error) = ifupdown("ifdown", device) {
                eprintln!("{error:#}");
            }
        }
        if let Err(error) = fs::remove_file(FILE) {
            eprintln!("remove {FILE}: {error}");
        }
    }
}

fn ifupdown(program: &str, device: &str) -> Result<()> {
    let mut command = command::command(&[program, "--interfaces", FILE, device])?;
    command::output_within(&mut command, JOB, "")?.success().map(drop)
}

#[test]
fn an_uplink_that_goes_comes_or_is_renumbered_loses_nothing_on_the_other() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let mut servers = servers(&lab)?;
    for n in 1..=2 {
        let device = addressing::device(n);
        Family::BOTH.into_iter().try_for_each(|family| lab.unconfigure(n, family))?;
        lab.host.ip(&format!("link set {device} down"))?;
    }
    let _interfaces = Interfaces::up()?;
    let _echo = serve(&lab)?;
    let service = Service::start()?;
    let state = || service.journal(&[]).unwrap_or_default();
    answered(&lab).with_context(state)?;

    pings::during(&lab, "the same lease again", Asker::Client, &EVERY_ADDRESS, || {
        servers.iter().try_for_each(wait_renewed)
    })
    .and_then(|outcomes| outcomes.none_lost_where_addresses_stayed(EVERY_ADDRESS.len()))
    .with_context(state)?;

    pings::during(&lab, "ifdown up2 and ifup up2", Asker::Client, &FIRST_UPLINK, || {
        ifupdown("ifdown", "up2")?;
        ifupdown("ifup", "up2")?;
        answered(&lab)
    })
    .and_then(|outcomes| outcomes.none_lost_where_addresses_stayed(FIRST_UPLINK.len()))
    .with_context(state)?;

    another_address_loses_nothing(&lab, &mut servers[1]).with_context(state)?;
    println!("put back {} times\n{}", service.said("put-back")?, state());
    Ok(())
}
