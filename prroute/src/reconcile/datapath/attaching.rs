//! The programs to one uplink.

use crate::datapath::attach::{self, Attached, Hook};
use crate::datapath::hooks::{self, Hooks};
use crate::datapath::{DatapathError, Pins};
use crate::netlink::{Direction, Kernel};
use crate::reconcile::Outlook;
use crate::reconcile::datapath::{Attachment, Loaded};
use crate::runtime::Journal;
use crate::runtime::journal::AttachedDevice;
use crate::state::uplink::Uplink;

pub(super) async fn attach_to(
    datapath: &mut Loaded,
    kernel: &Kernel,
    pins: &Pins,
    journal: &mut Journal,
    uplink: &Uplink,
    hook: Option<Hook>,
) -> Result<(), DatapathError> {
    let (ifindex, generation) = (uplink.device.ifindex, uplink.generation);
    // The id came to another device: links to the old one would be taken for its own.
    if journal.attached(uplink.id).is_some_and(|old| old.ifindex != ifindex) {
        datapath.attached.remove(&uplink.id);
        attach::detach_tcx(pins, uplink.id)?;
    }
    let hooks = Hooks::of_uplink(pins, uplink);
    let attached = match attach::attach(&mut datapath.programs, kernel, &hooks, hook).await {
        // The next look at the kernel finds no such uplink.
        Err(DatapathError::Gone { .. }) => return Ok(()),
        other => other?,
    };
    let (name, id) = (&uplink.device.name, uplink.id);
    tracing::debug!("{name}: uplink {id} attached ({:?})", attached.hook);
    // Until the other hook is left this is not done, and comes again in the next round.
    leave_other_hook(kernel, pins, journal, uplink, attached.hook).await?;
    remember(journal, uplink, &attached);
    datapath.attached.insert(id, Attachment { ifindex, generation, attached });
    Ok(())
}

/// Whether a link of an earlier daemon is pinned for a device that this one has not attached to.
pub(super) fn an_old_link_is_left(datapath: &Loaded, pins: &Pins, outlook: &Outlook) -> bool {
    let is_attached = |uplink: &&Uplink| {
        datapath.attached.get(&uplink.id).is_some_and(|there| there.is_for(uplink))
    };
    let uplinks = outlook
        .uplinks
        .iter()
        .filter(|uplink| !is_attached(uplink))
        .flat_map(|uplink| Direction::BOTH.map(|direction| pins.link(uplink.id, direction)));
    let stacked = hooks::stacked(&outlook.uplinks)
        .filter(|(_, device)| !datapath.stacked.contains_key(&device.ifindex))
        .map(|(_, device)| pins.stacked_link(device.ifindex));
    uplinks.chain(stacked).any(|pin| pin.exists())
}

/// Where another configuration attached to the other hook, the programs there go once those here
/// are in force. For a moment a packet meets both, which says the same twice.
async fn leave_other_hook(
    kernel: &Kernel,
    pins: &Pins,
    journal: &Journal,
    uplink: &Uplink,
    hook: Hook,
) -> Result<(), DatapathError> {
    let ifindex = uplink.device.ifindex;
    // Two, where an earlier daemon was killed on the way from one hook to the other.
    let left = journal.attached.iter().filter(|old| !old.stacked && old.id == uplink.id);
    for old in left.filter(|old| old.hook != hook && old.ifindex == ifindex) {
        match old.hook {
            Hook::Tcx => attach::detach_tcx(pins, uplink.id)?,
            Hook::Clsact => attach::detach_clsact(kernel, ifindex).await.map(drop)?,
        }
    }
    Ok(())
}

fn remember(journal: &mut Journal, uplink: &Uplink, attached: &Attached) {
    // A qdisc that was made before is still ours, whether it is in use or not.
    let made_before = journal
        .attached
        .iter()
        .any(|device| device.ifindex == uplink.device.ifindex && device.made_qdisc);
    // From a device that had the id before there is something to be detached yet.
    let is_it = |device: &AttachedDevice| {
        let (id, ifindex) = (device.id, device.ifindex);
        !device.stacked && (id, ifindex) == (uplink.id, uplink.device.ifindex)
    };
    journal.attached.retain(|device| !is_it(device));
    journal.attached.push(AttachedDevice {
        id: uplink.id,
        ifindex: uplink.device.ifindex,
        name: uplink.device.name.clone(),
        hook: attached.hook,
        made_qdisc: attached.made_qdisc || made_before,
        stacked: false,
    });
}
