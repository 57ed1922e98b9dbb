//! Looking whether what was made is still there: programs, filters, links and their pins. The loss of a
//! filter or a pin is announced, that of a link is not: where there are links the daemon looks every two
//! seconds. With three uplinks a look takes a millisecond of a debug build (`route_flaps` prints it); an
//! idle daemon of such a build used 60 ms of processor time in a minute, by tcx as by clsact, with the
//! questions to its gateways (`utime` and `stime` of `/proc/PID/stat`).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::time::{Duration, Instant};

use crate::datapath::attach::{Attached, Hook};
use crate::datapath::chain::Ours;
use crate::datapath::hooks::{ProgramIds, program};
use crate::datapath::links::HeldLink;
use crate::datapath::observed::{self, Extent};
use crate::datapath::pin_monitor::PinMonitor;
use crate::datapath::sockets;
use crate::datapath::{DatapathError, Pins};
use crate::json::UdpSourceStateJson;
use crate::managers::Machine;
use crate::netlink::{Direction, Kernel, device_name};
use crate::reconcile::allowance::{Allowance, Permission};
use crate::reconcile::datapath::{Datapath, Loaded};
use crate::reconcile::{ReconcileError, Reconciler};
use crate::runtime::journal::AttachedDevice;
use crate::state::uplink::{Ifindex, UplinkId};

/// How often to look where everything is announced ...
const ANNOUNCED: Duration = Duration::from_secs(10);
/// ... and where it is not.
const UNANNOUNCED: Duration = Duration::from_secs(2);

/// Losses of one round that are named.
const NAMED: usize = 8;

/// What is known of the last look, and how fast losses are made good.
#[derive(Debug)]
pub(super) struct Inspection {
    /// The pins when all were last found right.
    pins: BTreeMap<OsString, u64>,
    /// When the last look was, apart from those that are part of a round.
    looked: Instant,
    /// The loss of pins is heard.
    pub(super) hears_pins: bool,
    pub(super) allowance: Allowance,
}

impl Inspection {
    pub(super) fn new(now: Instant) -> Self {
        let (pins, allowance) = (BTreeMap::new(), Allowance::default());
        Self { pins, looked: now, hears_pins: false, allowance }
    }
}

/// What somebody took away.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Devices without their programs.
    uplinks: BTreeSet<UplinkId>,
    stacked: BTreeSet<Ifindex>,
    /// The programs on sockets.
    sockets: bool,
    /// A pin, but not what was pinned.
    pins: bool,
    /// What is said of it.
    words: Vec<Words>,
}

#[derive(Debug)]
struct Words {
    /// The uplink that it is about, where it is about one.
    uplink: Option<String>,
    text: String,
}

impl Words {
    const fn of_host(text: String) -> Self {
        Self { uplink: None, text }
    }
}

impl Lost {
    fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The one that all of it is about.
    fn uplink(&self) -> Option<&str> {
        let first = self.words.first()?.uplink.as_deref()?;
        let is_its = |words: &Words| words.uplink.as_deref() == Some(first);
        self.words.iter().all(is_its).then_some(first)
    }

    /// All of it, of much the beginning.
    fn in_words(&self) -> String {
        let named: Vec<&str> = self.words.iter().take(NAMED).map(|it| it.text.as_str()).collect();
        let named = named.join("; ");
        match self.words.len().saturating_sub(NAMED) {
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }
}

impl Reconciler {
    /// When to look next; `None`: there is nothing to look at, or nothing may be put back yet.
    pub(super) fn next_inspection(&self) -> Option<Instant> {
        let Datapath { loaded: Some(datapath), inspection, .. } = &self.datapath else {
            return None;
        };
        let is_announced = inspection.hears_pins && links(datapath).next().is_none();
        let period = if is_announced { ANNOUNCED } else { UNANNOUNCED };
        inspection.allowance.due().is_none().then(|| inspection.looked + period)
    }

    /// Interfaces that have filters of ours.
    pub(super) fn filtered(&self) -> impl Iterator<Item = Ifindex> {
        let clsact = |device: &&AttachedDevice| device.hook == Hook::Clsact;
        self.records.journal.attached.iter().filter(clsact).map(|device| device.ifindex)
    }

    /// From now on the loss of pins is heard, if there are any.
    pub(super) fn watch_pins(&mut self, monitor: Option<&PinMonitor>) {
        let directory = self.datapath.pins.layout();
        let hears = monitor.is_some_and(|monitor| monitor.watch(&directory));
        self.datapath.inspection.hears_pins = hears;
    }

    /// Whether something of the datapath is gone, so that another round is due.
    /// Not while it is not to be put back yet.
    pub(super) async fn inspect(&mut self) -> bool {
        self.datapath.inspection.looked = Instant::now();
        self.records.store.note_alive();
        if self.datapath.inspection.allowance.due().is_some() {
            return false;
        }
        match self.find_lost().await {
            Ok(lost) => !lost.is_empty(),
            Err(error) => {
                tracing::debug!("inspect the datapath: {error}");
                false
            }
        }
    }

    async fn find_lost(&mut self) -> Result<Lost, DatapathError> {
        let Some(datapath) = &self.datapath.loaded else { return Ok(Lost::default()) };
        let mut lost = Lost::default();
        let ids = &datapath.ids;
        let kernel = &self.kernel;
        for (uplink, there) in &datapath.attached {
            let missing =
                missing(kernel, there.ifindex, &there.attached, &Direction::BOTH, ids).await?;
            if let Some((name, text)) = missing {
                lost.words.push(Words { uplink: Some(name), text });
                lost.uplinks.insert(*uplink);
            }
        }
        for (ifindex, attached) in &datapath.stacked {
            let only = [Direction::Ingress];
            if let Some((_, text)) = missing(kernel, *ifindex, attached, &only, ids).await? {
                // Who watches the uplink that it counts as does not ask for its name.
                lost.words.push(Words::of_host(text));
                lost.stacked.insert(*ifindex);
            }
        }
        if !sockets::are_in_force(&datapath.programs, &datapath.sockets)? {
            lost.words.push(Words::of_host("the programs for wildcard UDP servers".to_owned()));
            lost.sockets = true;
        }
        let pins = self.datapath.pins.snapshot();
        if pins != self.datapath.inspection.pins {
            let names = lost_pins(datapath, &self.datapath.pins);
            if names.is_empty() {
                self.datapath.inspection.pins = pins;
            } else {
                let directory = self.datapath.pins.layout();
                let text = pins_in_words(&names, &directory.display().to_string());
                lost.words.push(Words::of_host(text));
                lost.pins = true;
            }
        }
        Ok(lost)
    }

    /// Others removed what was in place: it comes back at once, but not in an endless fight. What has
    /// to be attached anew is forgotten here, and is attached with what is new.
    pub(super) async fn put_back(&mut self) -> Result<(), ReconcileError> {
        let lost = self.find_lost().await?;
        if lost.is_empty() {
            self.datapath.inspection.allowance.nothing_lost();
            return Ok(());
        }
        let (uplink, what) = (lost.uplink(), lost.in_words());
        let culprit = Machine::default().likely_culprit_on_hooks();
        match self.datapath.inspection.allowance.ask(Instant::now()) {
            Permission::Granted => tracing::warn!(
                event = "put-back",
                uplink,
                "missing, and put back: {what}; removed {culprit}"
            ),
            Permission::NotBefore { pause, first } => {
                if first {
                    let pause = pause.as_secs_f64().ceil();
                    tracing::warn!(
                        event = "put-back-later",
                        uplink,
                        "missing again and again: {what}; removed {culprit}; putting it back in \
                         {pause} s"
                    );
                }
                return Ok(());
            }
        }
        let healed = self.records.report.healed.get_or_insert_default();
        healed.note(culprit, &what);
        self.restore(&lost)
    }

    fn restore(&mut self, lost: &Lost) -> Result<(), ReconcileError> {
        let Some(datapath) = &mut self.datapath.loaded else { return Ok(()) };
        datapath.attached.retain(|id, _| !lost.uplinks.contains(id));
        datapath.stacked.retain(|ifindex, _| !lost.stacked.contains(ifindex));
        if lost.pins {
            put_pins(datapath, &self.datapath.pins)?;
        }
        if lost.sockets
            && let Some(UdpSourceStateJson::Attached { cgroup }) = &self.records.report.udp_source
        {
            self.datapath.pins.create()?;
            datapath.sockets =
                sockets::attach_all(&mut datapath.programs, &self.datapath.pins, cgroup)?;
        }
        Ok(())
    }

    /// Before the programs are let go, and with them the maps that only they hold.
    pub(super) fn put_pins(&self) -> Result<(), ReconcileError> {
        match &self.datapath.loaded {
            Some(datapath) if !lost_pins(datapath, &self.datapath.pins).is_empty() => {
                Ok(put_pins(datapath, &self.datapath.pins)?)
            }
            _ => Ok(()),
        }
    }
}

/// What of the programs on a device is gone: its name, and all in words. A device that is gone itself lost nothing to
/// another program: the next look at the network finds that out.
async fn missing(
    kernel: &Kernel,
    ifindex: Ifindex,
    attached: &Attached,
    directions: &[Direction],
    ids: &ProgramIds,
) -> Result<Option<(String, String)>, DatapathError> {
    let mut gone = Vec::new();
    let hook = attached.hook;
    for direction in directions.iter().copied() {
        let link = attached.links.iter().find(|(of, _)| *of == direction);
        let ours = Ours {
            direction,
            hook,
            program: Some(ids.of(direction)),
            link: link.map(|(_, link)| link.id()),
            name: program(direction),
        };
        let chain = observed::on_hook(kernel, ifindex, direction, Extent::Only(hook)).await?;
        if !ours.judge(&chain).is_in_force() {
            gone.push(direction.name());
        }
    }
    if gone.is_empty() {
        return Ok(None);
    }
    let Some(name) = device_name(ifindex) else { return Ok(None) };
    let what = match attached.hook {
        Hook::Tcx => "tcx link",
        Hook::Clsact => "clsact filter",
    };
    let text = format!("{name}: {what} of {}", gone.join(" and "));
    Ok(Some((name, text)))
}

/// The names of pins that are gone, or are those of others.
fn lost_pins(datapath: &Loaded, pins: &Pins) -> Vec<String> {
    let maps = datapath.programs.lost_pins(pins).into_iter().map(str::to_owned);
    let name =
        |link: &HeldLink| link.pin().file_name().unwrap_or_default().to_string_lossy().into_owned();
    maps.chain(links(datapath).filter(|link| !link.is_pinned()).map(name)).collect()
}

fn put_pins(datapath: &Loaded, pins: &Pins) -> Result<(), DatapathError> {
    pins.create()?;
    for name in datapath.programs.lost_pins(pins) {
        datapath.programs.put_pin(pins, name)?;
    }
    links(datapath).filter(|link| !link.is_pinned()).try_for_each(HeldLink::put_pin)
}

fn links(datapath: &Loaded) -> impl Iterator<Item = &HeldLink> {
    let uplinks = datapath.attached.values().map(|there| &there.attached);
    let devices = uplinks.chain(datapath.stacked.values());
    devices
        .flat_map(|attached| attached.links.iter().map(|(_, link)| link))
        .chain(&datapath.sockets)
}

fn pins_in_words(names: &[String], directory: &str) -> String {
    const FEW: usize = 3;
    match names {
        [name] => format!("pin {name} in {directory}"),
        few if few.len() <= FEW => format!("pins {} in {directory}", few.join(", ")),
        many => format!("{} pins in {directory}", many.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(uplinks: &[Option<&str>]) -> Lost {
        let words = |uplink: &Option<&str>| {
            let text = format!("{}: a filter", uplink.unwrap_or("pins"));
            Words { uplink: uplink.map(str::to_owned), text }
        };
        Lost { words: uplinks.iter().map(words).collect(), ..Lost::default() }
    }

    #[test]
    fn what_is_lost_on_one_uplink_alone_is_said_of_it() {
        assert_eq!(lost(&[Some("eth1")]).uplink(), Some("eth1"));
        assert_eq!(lost(&[Some("eth1"), Some("eth1")]).uplink(), Some("eth1"));
        assert_eq!(lost(&[Some("eth0"), Some("eth1")]).uplink(), None);
        assert_eq!(lost(&[Some("eth1"), None]).uplink(), None, "pins, too");
        assert_eq!(lost(&[]).uplink(), None);
    }

    #[test]
    fn of_much_that_is_lost_the_beginning_is_named() {
        assert_eq!(lost(&[Some("eth1"), None]).in_words(), "eth1: a filter; pins: a filter");
        let many = lost(&[Some("eth1"); NAMED + 2]).in_words();
        assert_eq!(many.matches("eth1").count(), NAMED);
        assert!(many.ends_with(" and 2 more"), "{many}");
    }
}
