//! The ingress program on devices that stand on an uplink: frames to a link-layer address of their
//! own are not the uplink's, until the device above has taken them.

use crate::datapath::attach::{self, Attached, Hook};
use crate::datapath::hooks::{self, Hooks};
use crate::datapath::{DatapathError, Pins, links};
use crate::netlink::Kernel;
use crate::reconcile::Outlook;
use crate::reconcile::datapath::{Loaded, both};
use crate::runtime::Journal;
use crate::runtime::journal::AttachedDevice;
use crate::state::uplink::{Stacked, Uplink};

/// Attaches to what is new. One device that cannot be attached does not keep the others from being.
pub(super) async fn attach(
    datapath: &mut Loaded,
    kernel: &Kernel,
    pins: &Pins,
    journal: &mut Journal,
    outlook: &Outlook,
    hook: Option<Hook>,
) -> Result<(), DatapathError> {
    let mut result = Ok(());
    let mut attached = std::mem::take(&mut datapath.stacked);
    attached.retain(|ifindex, _| {
        hooks::stacked(&outlook.uplinks).any(|(_, device)| device.ifindex == *ifindex)
    });
    for (uplink, device) in hooks::stacked(&outlook.uplinks) {
        if attached.contains_key(&device.ifindex) {
            continue;
        }
        let hooks = Hooks::of_stacked(pins, device);
        let now = match attach::attach(&mut datapath.programs, kernel, &hooks, hook).await {
            Ok(now) => {
                leave_other_hook(kernel, pins, journal, device, now.hook).await.map(|()| now)
            }
            Err(error) => Err(error),
        };
        match now {
            Ok(now) => {
                tracing::debug!("{}: counts as {}", device.name, uplink.device.name);
                remember(journal, uplink, device, &now);
                attached.insert(device.ifindex, now);
            }
            // It has just gone: the next look at the kernel tells.
            Err(DatapathError::Gone { .. }) => {}
            Err(error) => result = both(result, Err(error)),
        }
    }
    datapath.stacked = attached;
    result
}

async fn leave_other_hook(
    kernel: &Kernel,
    pins: &Pins,
    journal: &Journal,
    device: &Stacked,
    hook: Hook,
) -> Result<(), DatapathError> {
    let is_left = |old: &&AttachedDevice| old.stacked && old.ifindex == device.ifindex;
    for old in journal.attached.iter().filter(is_left).filter(|old| old.hook != hook) {
        match old.hook {
            Hook::Tcx => links::remove(&pins.stacked_link(device.ifindex))?,
            Hook::Clsact => attach::detach_clsact(kernel, device.ifindex).await.map(drop)?,
        }
    }
    Ok(())
}

fn remember(journal: &mut Journal, uplink: &Uplink, device: &Stacked, attached: &Attached) {
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
