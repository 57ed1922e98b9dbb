//! Somebody on uplink 2's segment sends what he likes in the name of a client that talks over
//! another uplink: not a byte of those flows comes to him, and none of them breaks.

mod attacker;
mod eviction;
mod garbage;
mod readdress;
mod spoofing;
mod stalled;
mod syns;
mod tunnels;
mod unasked;
mod victim;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Result, ensure};
use prroute::datapath::Pins;
use prroute_common::time::seconds;
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::echo::Echo;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::Instance;

use crate::aging;
use victim::Victim;

const PORT: u16 = 7007;

/// Entries of each table: the fewest that two processors allow.
const FLOWS: u16 = 4096;

/// Longer than a retransmission and `rebind-idle`.
const PATIENCE: Duration = Duration::from_secs(15);

/// What leaves by uplink 2 for clients of the others.
fn leak(lab: &Lab) -> Result<Capture> {
    let mut clients = Vec::new();
    for family in Family::BOTH {
        clients.extend([1, 3].map(|n| format!("dst host {}", addressing::client(n, family))));
    }
    Capture::start(&lab.host, "up2", "out", &clients.join(" or "))
}

fn expect_no_leak(capture: Capture) -> Result<()> {
    let leaked = capture.stop()?;
    ensure!(leaked.is_empty(), "{} packets on the attacker's segment: {leaked:#?}", leaked.len());
    Ok(())
}

fn wildcard(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Everything that was noted happened so much earlier.
fn pass(lab: &Lab, duration: Duration) -> Result<()> {
    let instance = lab.name().parse().map_err(anyhow::Error::msg)?;
    let pins = Pins::of(&instance);
    aging::age(|name| pins.map(name), seconds(duration.as_secs()));
    Ok(())
}

fn lab(syncookies: u8) -> Result<(Lab, [Echo; 2])> {
    let lab = Lab::build(Topology::DEFAULT)?;
    lab.host.sysctl(&[&format!("net.ipv4.tcp_syncookies={syncookies}")])?;
    // The servers that the host asks are at the client's end.
    let clients = Family::BOTH.map(|family| addressing::client(1, family));
    let echoes = [
        Echo::start(&lab.host, &Family::BOTH.map(addressing::shared), PORT)?,
        Echo::start(&lab.client, &clients, PORT)?,
    ];
    Ok((lab, echoes))
}

fn victims(lab: &Lab) -> Result<Vec<Victim>> {
    let mut victims = Vec::new();
    for family in Family::BOTH {
        victims.push(Victim::inbound(lab, 1, family)?);
        victims.push(Victim::inbound(lab, 3, family)?);
        victims.push(Victim::by_host(lab, family)?);
    }
    Ok(victims)
}

fn small_tables<'lab>(lab: &'lab Lab) -> Result<Instance<'lab>> {
    let mut prroute = lab.prroute()?;
    prroute.configure(&format!("flows = {FLOWS}\n"))?;
    Ok(prroute)
}
