//! What is asked of the host: once for all uplinks, and for each packet.

use std::net::IpAddr;

use anyhow::Result;

use super::netfilter::{Port, Rules};
use super::program::{Decision, Outcome, Program};
use super::uplink::Uplinks;
use crate::datapath::Pins;
use crate::examine::Examination;
use crate::netlink::{Direction, Kernel, NeighbourAnswer};
use crate::state::observed::{Family, Observed};
use crate::state::uplink::Ifindex;

pub(super) struct Host<'a> {
    examined: &'a Examination,
    pub(super) kernel: Kernel,
    pub(super) observed: &'a Observed,
    pub(super) uplinks: Uplinks<'a>,
    pub(super) rules: Rules,
}

impl<'a> Host<'a> {
    pub(super) async fn look(examined: &'a Examination) -> Result<Self> {
        Ok(Self {
            examined,
            kernel: Kernel::connect().await?,
            observed: &examined.outlook.observed,
            uplinks: Uplinks(&examined.outlook.uplinks),
            rules: Rules::read(),
        })
    }

    pub(super) fn pins(&self) -> &Pins {
        &self.examined.pins
    }

    /// There are maps, with which programs can be asked.
    pub(super) fn has_programs(&self) -> bool {
        self.examined.programs.is_some() && self.examined.in_force.is_this()
    }

    pub(super) fn name(&self, ifindex: Ifindex) -> String {
        let link = self.observed.link(ifindex);
        link.map_or_else(|| format!("#{ifindex}"), |link| link.name.clone())
    }

    /// The device on whose hook a packet meets a program: what stands on an uplink sends through that.
    pub(super) fn hooked(&self, ifindex: Ifindex, direction: Direction) -> Ifindex {
        let uplink = self.uplinks.of(ifindex).filter(|_| direction == Direction::Egress);
        uplink.map_or(ifindex, |uplink| uplink.device.ifindex)
    }

    /// What the program on a hook decides.
    pub(super) fn program(
        &self,
        device: Ifindex,
        direction: Direction,
        decide: impl FnOnce() -> Result<Decision, String>,
    ) -> Program {
        if self.uplinks.of(device).is_none() {
            return Program::NoUplink;
        }
        let Some(seen) = &self.examined.programs else { return Program::NotLoaded };
        let name = self.name(device);
        let hook = seen.in_force(&name, direction);
        if !self.has_programs() {
            // Those that are attached go on with maps that nobody else finds.
            let lost = "attached, but its maps are not pinned any more: it cannot be asked";
            return hook.map_or(Program::NotLoaded, |_| Program::Unreadable(lost.to_owned()));
        }
        let Some(hook) = hook else { return Program::NotAttached };
        match decide() {
            Ok(mut decision) => {
                // Those that were loaded to be asked move; those on the hooks only count.
                if self.examined.observes() && decision.outcome != Outcome::Stays {
                    decision = Decision { outcome: Outcome::Stays, is_observed: true, ..decision };
                }
                let before = seen.before(&name, direction).to_vec();
                Program::Decided { hook, before, decision }
            }
            Err(why) => Program::Unreadable(why),
        }
    }

    /// The programs that give wildcard UDP servers the address that was asked are attached.
    pub(super) fn has_socket_programs(&self) -> bool {
        self.examined.programs.as_ref().is_some_and(|seen| seen.sockets)
    }

    pub(super) fn port(&self, ifindex: Ifindex) -> Port {
        Port { name: self.name(ifindex), ifindex: ifindex.0 }
    }

    /// Where a packet to this address, or from it, passes on the link of an uplink: the address itself, or
    /// the uplink's gateway.
    pub(super) fn beside(&self, on: Ifindex, address: IpAddr) -> Option<IpAddr> {
        let device = &self.uplinks.of(on)?.device;
        match device.on_link.iter().any(|net| net.contains(&address)) {
            true => Some(address),
            false => device.way_out[Family::of(&address)].gateway,
        }
    }

    /// What the kernel knows of a neighbour; in words why it cannot be asked.
    pub(super) async fn neighbour(
        &self,
        on: Ifindex,
        address: IpAddr,
    ) -> Result<Option<NeighbourAnswer>, String> {
        self.kernel.neighbour(on, address).await.map_err(|error| error.to_string())
    }

    /// Its link-layer address, where the kernel has one of six bytes.
    pub(super) async fn mac(&self, on: Ifindex, address: IpAddr) -> Option<[u8; 6]> {
        let known = self.neighbour(on, address).await.ok().flatten()?;
        known.link_layer_address.try_into().ok()
    }
}
