//! Sequences of packets over one uplink and then another, with time between them: which way each reply
//! leaves. Time passes by setting back what the programs noted (`aging`), where it would take hours.

mod fast_open;
mod host_first;
mod idle;
mod port_reuse;
mod specific_route;

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use prroute::datapath::Pins;
use prroute_common::time::{Ticks, seconds};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};

use crate::aging;

const PORT: u16 = 7007;

/// Longer than any retransmission here.
const PATIENCE: Duration = Duration::from_secs(10);

/// Two uplinks, main prefers the first, and clients whose packets take either.
const TOPOLOGY: Topology = Topology { uplinks: 2, ..Topology::DEFAULT };

/// Makes so much time pass for the programs.
pub(crate) fn pass(lab: &Lab, duration: Duration) -> Result<()> {
    let instance = lab.name().parse().map_err(anyhow::Error::msg)?;
    let pins = Pins::of(&instance);
    let ticks: Ticks = seconds(duration.as_secs());
    aging::age(|name| pins.map(name), ticks);
    Ok(())
}

/// Packets from `local` to `remote` at the first router, where main's default route leads.
struct Astray<'lab> {
    lab: &'lab Lab,
    local: IpAddr,
    remote: IpAddr,
    before: u64,
}

impl<'lab> Astray<'lab> {
    fn watch(lab: &'lab Lab, local: IpAddr, remote: IpAddr) -> Result<Self> {
        let before = lab.router(1).arrived(local, remote)?;
        Ok(Self { lab, local, remote, before })
    }

    fn expect_none(&self) -> Result<()> {
        let astray = self.lab.router(1).arrived(self.local, self.remote)? - self.before;
        ensure!(astray == 0, "{astray} packets to {} left by uplink 1", self.remote);
        Ok(())
    }
}

fn shared_and_client(family: Family) -> (IpAddr, IpAddr) {
    (addressing::shared(family), addressing::stateless_client(family))
}
