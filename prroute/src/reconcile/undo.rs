//! Taking everything back (R6), with or without a daemon's journal.

use nix::net::if_::if_nametoindex;

use crate::config::Config;
use crate::datapath::Pins;
use crate::datapath::attach::{self, Hook};
use crate::datapath::sockets;
use crate::netlink::Kernel;
use crate::reconcile::{ReconcileError, unknown};
use crate::runtime::journal::AttachedDevice;
use crate::runtime::{Journal, Records, RunDirectory};
use crate::state::desired::Desired;
use crate::state::observed::Observed;
use crate::state::undo::leave;
use crate::state::uplink::Uplink;

/// What was there to undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undone {
    /// Rules, routes, neighbours and sysctls that were taken back.
    pub operations: usize,
    /// A datapath was attached.
    pub datapath: bool,
}

/// Removes everything that is this instance's. The datapath goes first: while rules and tables
/// go, the kernel's own routing decides alone. Where the journal does not tell everything, what can
/// be recognised goes all the same, and what cannot is named.
///
/// # Errors
///
/// Tells what could not be removed; a second call goes on from there.
pub async fn undo(
    kernel: &Kernel,
    pins: &Pins,
    directory: &RunDirectory,
    records: Records,
) -> Result<Undone, ReconcileError> {
    let datapath = pins.is_present();
    let Records { mut journal, report, .. } = records;
    let observed = kernel.observe().await?;
    sockets::detach(pins)?;
    let mut unrecorded = Vec::new();
    if journal.incomplete {
        unrecorded = detach_unrecorded(&observed, &journal)?;
    }
    let made_qdisc: Vec<_> =
        journal.attached.iter().filter(|device| device.made_qdisc).cloned().collect();
    detach_except(pins, &mut journal, &[])?;
    for device in made_qdisc.iter().filter(|device| is_there(device)) {
        kernel.remove_unused_clsact(device.ifindex).await?;
    }
    let config = Config { ranges: journal.ranges, ..Config::default() };
    let mut plan = crate::state::undo::undo(&config, &observed, &journal.sysctls);
    let nothing = Desired::default();
    for former in &journal.former_ranges {
        plan.ops.extend(leave(*former, journal.ranges, &nothing, &observed).ops);
    }
    if journal.incomplete {
        plan.ops.extend(crate::state::undo::recognised(&plan, &observed));
        unknown::say(&observed, &journal, &report, &unrecorded);
    }
    kernel.apply(&plan).await?;
    pins.remove()?;
    directory.remove()?;
    Ok(Undone { operations: plan.ops.len(), datapath })
}

/// Every interface may have our filters; the names of those that had.
fn detach_unrecorded<'a>(
    observed: &'a Observed,
    journal: &Journal,
) -> Result<Vec<&'a str>, ReconcileError> {
    let mut had = Vec::new();
    for link in &observed.links {
        let recorded = journal.attached.iter().any(|device| device.ifindex == link.ifindex);
        let is_there = || if_nametoindex(link.name.as_str()) == Ok(link.ifindex.0);
        if !recorded && is_there() && attach::detach_clsact(&link.name)? {
            had.push(link.name.as_str());
        }
    }
    Ok(had)
}

/// Detaches from every device that is none of `uplinks`.
pub(super) fn detach_except(
    pins: &Pins,
    journal: &mut Journal,
    uplinks: &[Uplink],
) -> Result<(), ReconcileError> {
    for (id, _, _) in pins.links()? {
        if !uplinks.iter().any(|uplink| uplink.id == id) {
            attach::detach_tcx(pins, id)?;
        }
    }
    let stands = |ifindex| {
        let mut stacked = uplinks.iter().flat_map(|uplink| &uplink.device.stacked);
        stacked.any(|device| device.ifindex == ifindex)
    };
    for (ifindex, path) in pins.stacked_links()? {
        if !stands(ifindex) {
            attach::remove_link(path)?;
        }
    }
    let stays = |device: &AttachedDevice| match device.stacked {
        true => stands(device.ifindex),
        false => uplinks.iter().any(|u| u.id == device.id && u.device.ifindex == device.ifindex),
    };
    for device in journal.attached.iter().filter(|device| !stays(device)) {
        if device.hook == Hook::Clsact && is_there(device) {
            attach::detach_clsact(&device.name)?;
        }
    }
    journal.attached.retain(stays);
    Ok(())
}

/// Whether the interface still is the one that was attached to.
fn is_there(device: &AttachedDevice) -> bool {
    if_nametoindex(device.name.as_str()) == Ok(device.ifindex.0)
}
