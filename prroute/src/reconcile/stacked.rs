//! The ingress program on devices that stand on an uplink: frames to a link-layer address of their
//! own are not the uplink's, until the device above has taken them.

use crate::datapath::attach::{self, Attached, Hook};
use crate::datapath::hooks::{self, Hooks};
use crate::datapath::{DatapathError, Pins};
use crate::reconcile::Outlook;
use crate::reconcile::datapath::Datapath;
use crate::runtime::Journal;
use crate::runtime::journal::AttachedDevice;
use crate::state::uplink::{Stacked, Uplink};

/// Attaches to what is new. One device that cannot be attached does not keep the others from being.
pub(super) fn attach(
    datapath: &mut Datapath,
    pins: &Pins,
    journal: &mut Journal,
    outlook: &Outlook,
    hook: Option<Hook>,
) -> Result<(), DatapathError> {
    let mut failure = None;
    let mut attached = std::mem::take(&mut datapath.stacked);
    attached.retain(|ifindex| {
        hooks::stacked(&outlook.uplinks).any(|(_, device)| device.ifindex == *ifindex)
    });
    for (uplink, device) in hooks::stacked(&outlook.uplinks) {
        if attached.contains(&device.ifindex) {
            continue;
        }
        let hooks = Hooks::of_stacked(pins, device);
        let now = attach::attach(&mut datapath.programs, &hooks, hook).and_then(|now| {
            leave_other_hook(pins, journal, device, now.hook)?;
            Ok(now)
        });
        match now {
            Ok(now) => {
                tracing::info!("{}: counts as {}", device.name, uplink.device.name);
                attached.insert(device.ifindex);
                remember(journal, uplink, device, now);
            }
            // It has just gone, or got another name: the next look at the kernel tells.
            Err(DatapathError::Renamed { .. }) => {}
            Err(error) => failure = Some(error),
        }
    }
    datapath.stacked = attached;
    failure.map_or(Ok(()), Err)
}

fn leave_other_hook(
    pins: &Pins,
    journal: &Journal,
    device: &Stacked,
    hook: Hook,
) -> Result<(), DatapathError> {
    match journal.attached_stacked(device.ifindex).map(|old| old.hook) {
        Some(Hook::Tcx) if hook != Hook::Tcx => {
            attach::remove_link(pins.stacked_link(device.ifindex))
        }
        Some(Hook::Clsact) if hook != Hook::Clsact => attach::detach_clsact(&device.name).map(drop),
        _ => Ok(()),
    }
}

fn remember(journal: &mut Journal, uplink: &Uplink, device: &Stacked, attached: Attached) {
    let known = |old: &AttachedDevice| old.stacked && old.ifindex == device.ifindex;
    let made_before = journal.attached.iter().any(|old| known(old) && old.made_qdisc);
    journal.attached.retain(|old| !known(old));
    journal.attached.push(AttachedDevice {
        id: uplink.id,
        ifindex: device.ifindex,
        name: device.name.clone(),
        hook: attached.hook,
        made_qdisc: attached.made_qdisc || made_before,
        stacked: true,
    });
}
