//! Which devices get which programs.

use std::path::PathBuf;

use prroute_common::names;
use serde::{Deserialize, Serialize};

use crate::config::Mode;
use crate::datapath::pins::Pins;
use crate::netlink::Direction;
use crate::state::uplink::{Ifindex, Stacked, Uplink};

/// The program for a direction.
pub const fn program(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => names::PROGRAM_INGRESS,
        Direction::Egress => names::PROGRAM_EGRESS,
    }
}

/// The kernel's ids of the programs that a daemon has loaded. An id comes to no other program soon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramIds {
    pub ingress: u32,
    pub egress: u32,
    /// They leave every packet as it is: that was decided when they were loaded.
    #[serde(default)]
    pub observe: bool,
    /// Those on sockets, in the order in which they are attached.
    pub sockets: Vec<u32>,
}

impl ProgramIds {
    pub const fn mode(&self) -> Mode {
        if self.observe { Mode::Observe } else { Mode::Enforce }
    }

    pub const fn of(&self, direction: Direction) -> u32 {
        match direction {
            Direction::Ingress => self.ingress,
            Direction::Egress => self.egress,
        }
    }
}

/// A device to attach to, and where its tcx links are pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hooks<'a> {
    pub name: &'a str,
    pub ifindex: Ifindex,
    links: Vec<(Direction, PathBuf)>,
}

impl<'a> Hooks<'a> {
    /// Both directions of an uplink. Egress is attached first: ingress alone would record flows
    /// that nothing steers.
    pub fn of_uplink(pins: &Pins, uplink: &'a Uplink) -> Self {
        let directions = [Direction::Egress, Direction::Ingress];
        let links = directions.map(|direction| (direction, pins.link(uplink.id, direction)));
        Self { name: &uplink.device.name, ifindex: uplink.device.ifindex, links: links.into() }
    }

    /// Ingress of a device that stands on an uplink; what leaves by it passes the uplink's egress.
    pub fn of_stacked(pins: &Pins, device: &'a Stacked) -> Self {
        let links = vec![(Direction::Ingress, pins.stacked_link(device.ifindex))];
        Self { name: &device.name, ifindex: device.ifindex, links }
    }

    /// Each direction, with the place of its tcx link, in the order in which to attach.
    pub(super) fn links(&self) -> &[(Direction, PathBuf)] {
        &self.links
    }
}

/// The devices on uplinks that need the ingress program, with their uplink. Frames to the uplink's
/// own link-layer address have been seen on the uplink already.
pub fn stacked(uplinks: &[Uplink]) -> impl Iterator<Item = (&Uplink, &Stacked)> {
    uplinks.iter().flat_map(|uplink| {
        let stacked = uplink.device.stacked.iter();
        stacked.filter(|device| device.mac != uplink.device.mac).map(move |device| (uplink, device))
    })
}
