//! The datapath of a round: load it once, write its tables, attach it to what is an uplink.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Attach;
use crate::datapath::attach::{self, Hook};
use crate::datapath::hooks::Hooks;
use crate::datapath::sockets::Sockets;
use crate::datapath::{self, DatapathError, LoadOptions, Pins, Programs, Tables};
use crate::reconcile::{Outlook, ReconcileError, Reconciler, decision_log, stacked, undo};
use crate::runtime::Memory;
use crate::runtime::memory::AttachedDevice;
use crate::state::locals::local_addresses;
use crate::state::uplink::{Ifindex, Uplink, UplinkId};

pub(super) struct Datapath {
    pub(super) programs: Programs,
    pub(super) tables: Tables,
    /// What this process has attached; what an earlier one attached runs an older program.
    pub(super) attached: BTreeMap<UplinkId, (Ifindex, u16)>,
    /// Likewise, of devices that stand on uplinks.
    pub(super) stacked: BTreeSet<Ifindex>,
}

impl Reconciler {
    pub(super) fn load(&mut self) -> Result<(), ReconcileError> {
        let sockets = Sockets::find(self.config.udp_source);
        let options = LoadOptions {
            flows: self.config.flows,
            log_packets: self.log_packets,
            netns_cookie: sockets.netns_cookie(),
            redirect_note: datapath::secret(),
        };
        let mut programs = Programs::load(&self.pins, options)?;
        self.memory.udp_source = Some(sockets.attach(&mut programs, &self.pins)?);
        if self.log_packets {
            decision_log::forward(programs.decision_log()?)?;
        }
        let tables = Tables::open(&self.pins)?;
        self.datapath = Some(Datapath {
            programs,
            tables,
            attached: BTreeMap::new(),
            stacked: BTreeSet::new(),
        });
        Ok(())
    }

    /// Writes the tables, attaches to new uplinks, detaches from what is none any more. One
    /// uplink that cannot be attached does not keep the others from being.
    pub(super) fn sync_datapath(&mut self, outlook: &Outlook) -> Result<(), ReconcileError> {
        let Some(datapath) = &mut self.datapath else { return Ok(()) };
        let locals = local_addresses(&outlook.observed, &outlook.uplinks);
        datapath.tables.sync(&outlook.uplinks, &locals)?;
        let hook = match self.config.attach {
            Attach::Auto => None,
            Attach::Tcx => Some(Hook::Tcx),
            Attach::Clsact => Some(Hook::Clsact),
        };
        let mut failure = None;
        for uplink in &outlook.uplinks {
            let device = (uplink.device.ifindex, uplink.generation);
            if datapath.attached.get(&uplink.id) == Some(&device) {
                continue;
            }
            // The id came to another device: links to the old one would be taken for its own.
            if self.memory.attached(uplink.id).is_some_and(|old| old.ifindex != device.0) {
                attach::detach_tcx(&self.pins, uplink.id)?;
            }
            match attach::attach(
                &mut datapath.programs,
                &Hooks::of_uplink(&self.pins, uplink),
                hook,
            ) {
                Ok(attached) => {
                    tracing::info!(
                        "{}: uplink {} attached ({:?})",
                        uplink.device.name,
                        uplink.id,
                        attached.hook
                    );
                    datapath.attached.insert(uplink.id, device);
                    leave_other_hook(&self.pins, &self.memory, uplink, attached.hook)?;
                    remember(&mut self.memory, uplink, attached);
                }
                Err(error) => failure = Some(error),
            }
        }
        if let Err(error) = stacked::attach(datapath, &self.pins, &mut self.memory, outlook, hook) {
            failure = Some(error);
        }
        datapath.attached.retain(|id, _| outlook.uplinks.iter().any(|uplink| uplink.id == *id));
        undo::detach_except(&self.pins, &mut self.memory, &outlook.uplinks)?;
        self.pins.remove_other_layouts()?;
        failure.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Where another configuration attached to the other hook, the programs there go once those here
/// are in force. For a moment a packet meets both, which says the same twice.
fn leave_other_hook(
    pins: &Pins,
    memory: &Memory,
    uplink: &Uplink,
    hook: Hook,
) -> Result<(), DatapathError> {
    let Some(old) = memory.attached(uplink.id) else { return Ok(()) };
    match old.hook {
        _ if old.hook == hook || old.ifindex != uplink.device.ifindex => Ok(()),
        Hook::Tcx => attach::detach_tcx(pins, uplink.id),
        Hook::Clsact => attach::detach_clsact(&uplink.device.name),
    }
}

fn remember(memory: &mut Memory, uplink: &Uplink, attached: attach::Attached) {
    // A qdisc that was made before is still ours, whether it is in use or not.
    let made_before = memory
        .attached
        .iter()
        .any(|device| device.ifindex == uplink.device.ifindex && device.made_qdisc);
    memory.attached.retain(|device| device.stacked || device.id != uplink.id);
    memory.attached.push(AttachedDevice {
        id: uplink.id,
        ifindex: uplink.device.ifindex,
        name: uplink.device.name.clone(),
        hook: attached.hook,
        made_qdisc: attached.made_qdisc || made_before,
        stacked: false,
    });
}
