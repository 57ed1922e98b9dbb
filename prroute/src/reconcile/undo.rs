//! Taking everything back (R6), with or without a daemon's journal.

use nix::net::if_::if_nametoindex;

use crate::config::Config;
use crate::datapath::attach::{self, Hook};
use crate::datapath::{Pins, links, sockets};
use crate::netlink::Kernel;
use crate::reconcile::{ReconcileError, unknown};
use crate::runtime::journal::AttachedDevice;
use crate::runtime::{Journal, Records, RunDirectory, Store};
use crate::state::desired::Desired;
use crate::state::observed::Observed;
use crate::state::plan::{Op, Plan};
use crate::state::undo::leave;
use crate::state::uplink::{Ifindex, Uplink};

/// So often it is looked for what is left, while others change rules or routes all the time.
const LOOKS: usize = 4;

/// After so many looks in a row that found nothing nothing is taken to be left.
const ENOUGH_EMPTY: usize = 2;

/// What was there to undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undone {
    /// Rules, routes, neighbours and sysctls that were taken back.
    pub operations: usize,
    /// A datapath was attached.
    pub datapath: bool,
}

/// What could not be done of many things, each of which is tried whatever becomes of the others.
#[derive(Debug, Default)]
struct Failures(Vec<ReconcileError>);

impl Failures {
    fn note<T, E: Into<ReconcileError>>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.0.push(error.into())).ok()
    }

    fn into_result(self) -> Result<(), ReconcileError> {
        let mut errors = self.0.into_iter();
        match (errors.next(), errors.collect::<Vec<_>>()) {
            (None, _) => Ok(()),
            (Some(first), further) if further.is_empty() => Err(first),
            (Some(first), further) => {
                Err(ReconcileError::Several { first: Box::new(first), further })
            }
        }
    }
}

/// Removes everything that is this instance's. The datapath goes first: while rules and tables
/// go, the kernel's own routing decides alone. What is gone already counts as removed, and what
/// fails keeps nothing else from being removed. Where the journal does not tell everything, what can
/// be recognised goes all the same, and what cannot is named.
///
/// # Errors
///
/// Tells everything that could not be removed, what failed first before the others; a second call
/// goes on from there.
pub async fn undo(
    kernel: &Kernel,
    pins: &Pins,
    directory: &RunDirectory,
    records: Records,
) -> Result<Undone, ReconcileError> {
    let datapath = pins.is_present();
    let Records { mut journal, report, .. } = records;
    let mut observed = kernel.observe_settled().await?;
    let mut failures = Failures::default();
    failures.note(sockets::detach(pins));
    let mut unrecorded = Vec::new();
    if journal.incomplete {
        unrecorded = detach_unrecorded(kernel, &observed, &journal, &mut failures).await;
    }
    failures.note(detach_except(kernel, pins, &mut journal, &[]).await);
    if journal.incomplete {
        unknown::say(&observed, &journal, &report, &unrecorded);
    }
    let (mut operations, mut looks, mut empty) = (0, 1, 0);
    loop {
        let plan = plan(&journal, &observed);
        empty = if plan.ops.is_empty() { empty + 1 } else { 0 };
        // If this is killed in between, a start tells old values that this wrote from those that somebody
        // else wants. Without room for the file all is undone all the same.
        journal.sysctls.begin(&plan, &observed);
        if plan.ops.iter().any(Op::is_sysctl)
            && let Err(error) = Store::of(directory).write_journal(&journal)
        {
            tracing::debug!("{error}");
        }
        for result in kernel.apply_each(&plan).await {
            operations += usize::from(failures.note(result).is_some());
        }
        // What does not hold still may have hidden some of ours.
        if !observed.unsteady || !failures.0.is_empty() {
            break;
        }
        if looks == LOOKS {
            if empty < ENOUGH_EMPTY {
                failures.note(Err::<(), _>(ReconcileError::Unsteady));
            }
            break;
        }
        looks += 1;
        // Which remembers nothing of what is gone by now.
        observed = Kernel::connect().await?.observe_settled().await?;
    }
    failures.note(pins.remove());
    if failures.0.is_empty() {
        failures.note(directory.remove());
    } else if let Err(error) = Store::of(directory).write_journal(&journal) {
        // The next call needs to know what there is to undo, and what is gone.
        tracing::debug!("{error}");
    }
    failures.into_result()?;
    Ok(Undone { operations, datapath })
}

/// What takes back all that is there.
fn plan(journal: &Journal, observed: &Observed) -> Plan {
    let config = Config { ranges: journal.ranges, ..Config::default() };
    let mut plan = crate::state::undo::undo(&config, observed, &journal.sysctls);
    let nothing = Desired::default();
    for former in &journal.former_ranges {
        plan.ops.extend(leave(*former, journal.ranges, &nothing, observed).ops);
    }
    if journal.incomplete {
        plan.ops.extend(crate::state::undo::recognised(&plan, observed));
    }
    plan
}

/// Every interface may have our filters; the names of those that had.
async fn detach_unrecorded<'a>(
    kernel: &Kernel,
    observed: &'a Observed,
    journal: &Journal,
    failures: &mut Failures,
) -> Vec<&'a str> {
    let mut had = Vec::new();
    for link in &observed.links {
        let recorded = journal.attached.iter().any(|device| device.ifindex == link.ifindex);
        if recorded {
            continue;
        }
        let found = attach::detach_clsact(kernel, link.ifindex).await;
        if failures.note(found) == Some(true) {
            had.push(link.name.as_str());
        }
    }
    had
}

/// Detaches from every device that is none of `uplinks`. A device that could not be detached from
/// stays in the journal, and is tried again.
pub(super) async fn detach_except(
    kernel: &Kernel,
    pins: &Pins,
    journal: &mut Journal,
    uplinks: &[Uplink],
) -> Result<(), ReconcileError> {
    let mut failures = Failures::default();
    for (id, _, path) in failures.note(pins.links()).unwrap_or_default() {
        if !uplinks.iter().any(|uplink| uplink.id == id) {
            failures.note(links::remove(&path));
        }
    }
    let stands = |ifindex| {
        let mut stacked = uplinks.iter().flat_map(|uplink| &uplink.device.stacked);
        stacked.any(|device| device.ifindex == ifindex)
    };
    for (ifindex, path) in failures.note(pins.stacked_links()).unwrap_or_default() {
        if !stands(ifindex) {
            failures.note(links::remove(&path));
        }
    }
    let stays = |device: &AttachedDevice| match device.stacked {
        true => stands(device.ifindex),
        false => uplinks.iter().any(|u| u.id == device.id && u.device.ifindex == device.ifindex),
    };
    let attached = std::mem::take(&mut journal.attached);
    // The filters of a device that is another uplink now are that one's.
    let in_use: Vec<(Ifindex, Hook)> = attached
        .iter()
        .filter(|device| !device.stacked && stays(device))
        .map(|device| (device.ifindex, device.hook))
        .collect();
    for device in attached {
        let is_left = !stays(&device);
        if is_left && in_use.contains(&(device.ifindex, device.hook)) {
            continue;
        }
        if !is_left || failures.note(detach(kernel, &device).await).is_none() {
            journal.attached.push(device);
        }
    }
    failures.into_result()
}

/// Takes our filters from a device, and our qdisc, when nothing else is on it.
async fn detach(kernel: &Kernel, device: &AttachedDevice) -> Result<(), ReconcileError> {
    let had_filter = match device.hook {
        Hook::Clsact => attach::detach_clsact(kernel, device.ifindex).await?,
        Hook::Tcx => false,
    };
    // The index may have come to another device, with a qdisc of its own.
    if device.made_qdisc && (had_filter || is_there(device)) {
        kernel.remove_unused_clsact(device.ifindex).await?;
    }
    Ok(())
}

/// Whether the interface still is the one that was attached to.
fn is_there(device: &AttachedDevice) -> bool {
    if_nametoindex(device.name.as_str()) == Ok(device.ifindex.0)
}
