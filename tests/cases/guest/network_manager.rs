//! NetworkManager configures the uplinks.

use std::fs;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{command, wait};

use crate::network::{TWO_UPLINKS, expect_answers, serve};
use crate::service::{JOB, Service, systemctl};

/// The reverse path filter is strict, as on a host that asks for it.
const STRICT: Topology = Topology { rp_filter: 1, ..TWO_UPLINKS };

/// NetworkManager, stopped when dropped; its connections are gone with it.
pub(crate) struct Manager;

impl Manager {
    /// Gives it the uplinks, with the addresses they have.
    pub(crate) fn start() -> Result<Self> {
        systemctl(&["start", "NetworkManager.service"])?;
        let manager = Self;
        for n in 1..=2 {
            let device = addressing::device(n);
            // It hears of a device from udev, which may take a moment.
            wait::until("NetworkManager knows the device", JOB, || {
                let known = nmcli(&["--get-values", "DEVICE", "device"])?;
                Ok(known.lines().any(|name| name == device).then_some(()))
            })?;
            nmcli(&["device", "set", &device, "managed", "yes"])?;
            let address = |family| {
                format!("{}/{}", addressing::host(n, family), addressing::prefix_length(family))
            };
            let gateway = |family| addressing::gateway(n, family).to_string();
            let metric = (100 * u32::from(n)).to_string();
            let (v4, v6) = (Family::V4, Family::V6);
            nmcli(&[
                "connection",
                "add",
                "save",
                "no",
                "type",
                "ethernet",
                "con-name",
                &device,
                "ifname",
                &device,
                "autoconnect",
                "no",
                "ipv4.method",
                "manual",
                "ipv4.addresses",
                &address(v4),
                "ipv4.gateway",
                &gateway(v4),
                "ipv4.route-metric",
                &metric,
                "ipv6.method",
                "manual",
                "ipv6.addresses",
                &address(v6),
                "ipv6.gateway",
                &gateway(v6),
                "ipv6.route-metric",
                &metric,
            ])?;
            nmcli(&["connection", "up", &device])?;
        }
        Ok(manager)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let gone = (1..=2)
            .try_for_each(|n| nmcli(&["connection", "delete", &addressing::device(n)]).map(drop))
            .and_then(|()| systemctl(&["stop", "NetworkManager.service"]));
        if let Err(error) = gone {
            eprintln!("{error:#}");
        }
    }
}

pub(crate) fn nmcli(words: &[&str]) -> Result<String> {
    let mut command = command::command(&[&["nmcli", "--wait", "300"], words].concat())?;
    command::output_within(&mut command, JOB, "")?.success()
}

fn rp_filters() -> Result<Vec<String>> {
    let read = |device: &str| {
        let path = format!("/proc/sys/net/ipv4/conf/{device}/rp_filter");
        let value = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        Ok(format!("{device}={}", value.trim()))
    };
    ["all", "up1", "up2"].into_iter().map(read).collect()
}

#[test]
fn connections_that_come_again_are_answered_and_down_leaves_what_the_manager_set() -> Result<()> {
    let lab = Lab::around_this_machine(STRICT)?;
    let _echo = serve(&lab)?;
    let _manager = Manager::start()?;
    let before = rp_filters()?;
    println!("rp_filter with NetworkManager: {before:?}");
    nmcli(&["connection", "up", "up2"])?;
    println!("after up2 came again: {:?}", rp_filters()?);

    let service = Service::start()?;
    println!("with prroute: {:?}", rp_filters()?);
    wait::until("every question is answered", JOB, || {
        Ok(expect_answers(&lab).is_ok().then_some(()))
    })?;
    systemctl(&["stop", "prroute.service"])?;
    service.prroute(&["down"])?.success()?;
    assert_eq!(rp_filters()?, before, "{}", service.journal(&[])?);

    systemctl(&["start", "prroute.service"])?;
    nmcli(&["connection", "up", "up2"])?;
    println!("after up2 came again: {:?}", rp_filters()?);
    wait::until("every question is answered", JOB, || {
        Ok(expect_answers(&lab).is_ok().then_some(()))
    })
    .with_context(|| service.journal(&[]).unwrap_or_default())?;
    systemctl(&["stop", "prroute.service"])?;
    service.prroute(&["down"])?.success()?;
    let (after, other) = (rp_filters()?, |all: &[String]| all.first_chunk::<2>().cloned());
    println!("after down: {after:?}");
    // NetworkManager makes up2 strict and loose again as it comes: what `down` restores there depends
    // on which of the two prroute has found.
    assert_eq!(other(&after), other(&before), "{}", service.journal(&[])?);
    Ok(())
}
