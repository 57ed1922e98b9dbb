//! What is the same after the machine was started again, when interfaces come late and in another
//! order: `before` runs in the first boot, `after` in the second one, of the same disk.
//!
//! The third uplink is a card, which udev renames as its driver is loaded; the third router has the other
//! card, on the same wire.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{addressing, command, router, wait};
use serde_json::Value;

use crate::network::{TWO_UPLINKS, answered, serve};
use crate::service::{JOB, Service, UNIT, property, systemctl};

/// On the disk.
const REMEMBERED: &str = "/var/tmp/ifindexes";

/// Where prroute remembers ids: the unit's StateDirectory.
const STATE: &str = "/var/lib/prroute";

/// The host's card and its router's, as QEMU has made them.
const CARDS: [&str; 2] = ["52:54:00:00:00:01", "52:54:00:00:00:02"];
const DRIVER: &str = "virtio_net";
/// What udev calls the card.
const LINK: &str = "/etc/systemd/network/10-up3.link";
/// At the next boot nobody loads the driver unasked.
const LATE: &str = "/etc/modprobe.d/late.conf";

/// The order in which the daemon saw them first.
const IDS: [&str; 3] = [r#""up1"=3"#, r#""up2"=1"#, r#""up3"=2"#];

const THREE_UPLINKS: Topology = Topology { uplinks: 3, ..TWO_UPLINKS };

/// Names and ids of the uplinks, in the order of their names.
fn ids(service: &Service) -> Result<Vec<String>> {
    // Whether all is well does not matter here.
    let json = service.prroute(&["status", "--json"])?.stdout;
    let status: Value = serde_json::from_str(&json).context("parse the status")?;
    let uplinks = status["uplinks"].as_array().context("no uplinks")?;
    let mut ids: Vec<String> =
        uplinks.iter().map(|uplink| format!("{}={}", uplink["name"], uplink["id"])).collect();
    ids.sort();
    Ok(ids)
}

fn wait_for_ids(service: &Service, wanted: &[&str]) -> Result<()> {
    let mut last = Vec::new();
    wait::until(&format!("{wanted:?}"), JOB, || {
        last = ids(service)?;
        Ok((last == wanted).then_some(()))
    })
    .with_context(|| format!("{last:?}\n{}", service.journal(&[]).unwrap_or_default()))
}

/// The interfaces' indexes, a line for each.
fn indexes() -> Result<Vec<String>> {
    let read = |device| {
        let path = format!("/sys/class/net/{device}/ifindex");
        let index = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        Ok(format!("{device}={}", index.trim()))
    };
    ["up1", "up2", "up3"].into_iter().map(read).collect()
}

/// Loads the driver: udev makes the host's card `up3`, and the router gets the other one.
fn plug_cards(lab: &Lab) -> Result<()> {
    command::run(&["modprobe", DRIVER])?;
    command::run(&["udevadm", "settle"])?;
    let links = command::run(&["ip", "-j", "link", "show"])?;
    let links: Value = serde_json::from_str(&links).context("parse ip's links")?;
    let card = links.as_array().and_then(|links| links.iter().find(|l| l["address"] == CARDS[1]));
    let card = card.and_then(|card| card["ifname"].as_str()).context("the router's card")?;
    let namespace = &lab.router(3).namespace;
    command::run(&["ip", "link", "set", card, "down"])?;
    command::run(&["ip", "link", "set", card, "name", "card", "netns", namespace.name()])?;
    namespace.ip(&format!("link set card master {} up", router::LAN))?;
    lab.host.ip("link set up3 up")?;
    lab.configure(3)
}

/// A lab whose third uplink is not there yet.
fn without_the_third() -> Result<Lab> {
    let lab = Lab::around_this_machine(THREE_UPLINKS)?;
    lab.host.ip("link del up3")?;
    Ok(lab)
}

#[test]
fn before() -> Result<()> {
    let lab = without_the_third()?;
    let link = format!(
        "[Match]\nMACAddress={}\n[Link]\nName=up3\nMACAddress={}\n",
        CARDS[0],
        addressing::host_mac(3)
    );
    fs::create_dir_all("/etc/systemd/network").context("create a directory for udev")?;
    fs::write(LINK, link).with_context(|| format!("write {LINK}"))?;
    command::run(&["udevadm", "control", "--reload"])?;
    command::run(&["modprobe", "--remove", DRIVER])?;
    plug_cards(&lab)?;
    // What the cases before this one left: this machine has never seen these devices.
    match fs::remove_dir_all(STATE) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove {STATE}"));
        }
        _ => {}
    }
    lab.host.ip("address flush dev up1 scope global")?;
    // Its IPv6 default route goes with that.
    lab.host.ip("link set up1 down")?;
    let service = Service::start()?;
    // The first interface comes last.
    lab.host.ip("link set up1 up")?;
    lab.configure(1)?;
    wait_for_ids(&service, &IDS)?;
    let indexes = indexes()?.join("\n");
    fs::write(REMEMBERED, indexes).with_context(|| format!("write {REMEMBERED}"))?;

    systemctl(&["enable", UNIT])?;
    fs::write(LATE, format!("blacklist {DRIVER}\n")).with_context(|| format!("write {LATE}"))?;
    // As when a machine is switched off: the daemon is stopped, and nothing is undone.
    service.leave()?;
    command::run(&["modprobe", "--remove", DRIVER]).map(drop)
}

#[test]
fn after() -> Result<()> {
    let service = Service::install()?;
    assert_eq!(property("ActiveState")?, "active", "{}", service.journal(&[])?);
    assert_eq!(ids(&service)?, [""; 0], "there is no interface yet");
    let daemon = property("MainPID")?;

    let lab = without_the_third()?;
    wait_for_ids(&service, &IDS[..2])?;
    plug_cards(&lab)?;
    wait_for_ids(&service, &IDS)?;

    let before = fs::read_to_string(REMEMBERED).with_context(|| format!("read {REMEMBERED}"))?;
    let now = indexes()?;
    println!("{before:?} are now {now:?}");
    ensure!(before.lines().all(|index| !now.contains(&index.to_owned())), "{before:?} {now:?}");
    let _echo = serve(&lab)?;
    answered(&lab).with_context(|| service.journal(&[]).unwrap_or_default())?;
    assert_eq!(property("MainPID")?, daemon, "{}", service.journal(&[])?);
    systemctl(&["disable", UNIT]).map(drop)
}
