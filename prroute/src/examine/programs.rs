//! Programs, pins and control groups: what the kernel has of them right now, against what was made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use prroute_common::names;

use crate::datapath::attach::Hook;
use crate::datapath::chain::{Ours, Standing};
use crate::datapath::hooks::{self, ProgramIds};
use crate::datapath::observed::{self, Extent};
use crate::datapath::{InForce, Pins, Tables, links, sockets};
use crate::json::UplinkJson;
use crate::netlink::{CLSACT, Direction, Kernel, device_name};
use crate::runtime::journal::AttachedDevice;
use crate::runtime::{DaemonReport, Journal};
use crate::state::observed::Rule;
use crate::state::own_source::OwnSources;
use crate::state::uplink::UplinkId;

#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The hook of each uplink to which both programs are attached.
    pub(crate) hooks: BTreeMap<UplinkId, Hook>,
    /// The programs for wildcard UDP servers are attached.
    pub(crate) sockets: bool,
    /// What keeps own sources, as the programs have it; `None` without them.
    pub(crate) own_source: Option<OwnSources>,
    /// All there are.
    pub(crate) rules: Vec<Rule>,
    /// Where pins are, and the names of those that should be there and are not.
    pub(super) layout: PathBuf,
    pub(super) lost_pins: Vec<String>,
    /// What every daemon of this version makes is not there.
    pub(super) without_maps: bool,
    /// Where pins of other versions are.
    pub(super) other_layouts: Vec<PathBuf>,
    /// Where those of the version are whose programs are in force instead of this one's.
    pub(super) other_in_force: Option<PathBuf>,
    /// Of each device that prroute attaches to.
    pub(super) places: Vec<Place>,
    /// Devices, by name, where a qdisc of another kind has the place of the clsact qdisc.
    pub(super) other_qdiscs: BTreeMap<String, String>,
}

/// One hook of a device that prroute attaches to.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) device: String,
    pub(super) hook: Hook,
    pub(super) direction: Direction,
    pub(super) standing: Standing,
    /// What others have there that packets meet before ours, and what they meet behind it: in words.
    pub(super) before: Vec<String>,
    pub(super) behind: Vec<String>,
}

impl Seen {
    pub(super) async fn look(
        pins: &Pins,
        in_force: &InForce,
        journal: &Journal,
        report: &DaemonReport,
    ) -> Result<Self> {
        crate::capability::require()?;
        let kernel = Kernel::connect().await?;
        let mut seen = Self {
            rules: kernel.rules().await?,
            layout: pins.layout(),
            other_layouts: pins.other_layouts()?,
            without_maps: *in_force == InForce::Nothing,
            other_in_force: in_force.other().map(Path::to_owned),
            ..Self::default()
        };
        for (ifindex, kind) in kernel.hook_qdiscs().await? {
            if kind != CLSACT {
                seen.other_qdiscs.extend(device_name(ifindex).map(|name| (name, kind)));
            }
        }
        if in_force.is_this() {
            seen.own_source = Some(Tables::open(pins)?.own_source()?);
        }
        // Which maps another version has is not known here; its links are.
        let pins = &in_force.other().map_or_else(|| pins.clone(), |other| pins.of_layout(other));
        if in_force.other().is_none() {
            let lost = names::pinned_maps().filter(|name| !pins.map(name).exists());
            seen.lost_pins.extend(lost.map(str::to_owned));
        }
        for device in journal.attached.iter().filter(|device| is_managed(report, device)) {
            seen.look_at(&kernel, pins, device, report.programs.as_ref()).await?;
        }
        seen.sockets = sockets::are_attached(pins, report.programs.as_ref())?;
        Ok(seen)
    }

    /// The hook by which the program for one direction is attached to a device; `None`: it is not.
    pub(crate) fn in_force(&self, device: &str, direction: Direction) -> Option<Hook> {
        let is_it = |place: &&Place| {
            place.device == device && place.direction == direction && place.standing.is_in_force()
        };
        self.places.iter().find(is_it).map(|place| place.hook)
    }

    /// What others have on the hook that packets meet before ours: in words.
    pub(crate) fn before(&self, device: &str, direction: Direction) -> &[String] {
        let is_it = |place: &&Place| place.device == device && place.direction == direction;
        self.places.iter().find(is_it).map_or(&[], |place| &place.before)
    }

    async fn look_at(
        &mut self,
        kernel: &Kernel,
        pins: &Pins,
        device: &AttachedDevice,
        ids: Option<&ProgramIds>,
    ) -> Result<()> {
        let (ifindex, hook) = (device.ifindex, device.hook);
        // One that is deleted lost its programs with itself.
        let Some(name_now) = device_name(ifindex) else { return Ok(()) };
        let directions =
            if device.stacked { &[Direction::Ingress][..] } else { &Direction::BOTH[..] };
        let mut places = Vec::new();
        let mut lost = Vec::new();
        for direction in directions.iter().copied() {
            let pin = match device.stacked {
                true => pins.stacked_link(ifindex),
                false => pins.link(device.id, direction),
            };
            if hook == Hook::Tcx && !pin.exists() {
                lost.extend(pin.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
            let link = match hook {
                Hook::Tcx => links::attached_to(&pin, ifindex.0)?,
                Hook::Clsact => None,
            };
            let program = ids.map(|ids| ids.of(direction));
            let name = hooks::program(direction);
            let ours = Ours { direction, hook, program, link, name };
            let chain = observed::on_hook(kernel, ifindex, direction, Extent::All).await?;
            let standing = ours.judge(&chain);
            let mut foreign: Vec<_> = ours.foreign(&chain).map(observed::describe).collect();
            let before = match &standing {
                Standing::InForce { behind } => behind.len(),
                _ => 0,
            };
            let behind = foreign.split_off(before.min(foreign.len()));
            let device = name_now.clone();
            places.push(Place { device, hook, direction, standing, before: foreign, behind });
        }
        if !device.stacked && places.iter().all(|place| place.standing.is_in_force()) {
            self.hooks.insert(device.id, hook);
        }
        self.places.extend(places);
        self.lost_pins.extend(lost);
        Ok(())
    }
}

/// Whether the daemon says that a device is an uplink, or stands on one. Where it says nothing, what the
/// journal names is.
fn is_managed(report: &DaemonReport, device: &AttachedDevice) -> bool {
    let is_it = |uplink: &UplinkJson| match device.stacked {
        true => uplink.stacked.iter().any(|stacked| stacked.ifindex == device.ifindex.0),
        false => uplink.ifindex == device.ifindex.0,
    };
    report.uplinks.is_empty() || report.uplinks.iter().any(is_it)
}
