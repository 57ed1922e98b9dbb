//! The datapath of a round: load it once, write its tables, attach it to what is an uplink.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Attach;
use crate::datapath::attach::{self, Hook};
use crate::datapath::hooks::Hooks;
use crate::datapath::sockets::Sockets;
use crate::datapath::{self, DatapathError, LoadOptions, Pins, Programs, Tables};
use crate::reconcile::{Outlook, ReconcileError, Reconciler, decision_log, stacked, undo};
use crate::runtime::Journal;
use crate::runtime::journal::AttachedDevice;
use crate::state::succession::is_resolved;
use crate::state::uplink::{Ifindex, Uplink, UplinkId};
use crate::sysctl;

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
            client_ports: sysctl::client_ports(),
        };
        let mut programs = Programs::load(&self.pins, options)?;
        self.report.udp_source = Some(sockets.attach(&mut programs, &self.pins)?);
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

    /// Tells the datapath what each uplink is.
    pub(super) fn sync_facts(&mut self, outlook: &Outlook) -> Result<(), ReconcileError> {
        let Some(datapath) = &mut self.datapath else { return Ok(()) };
        let is_resolved = |ifindex, address| is_resolved(&outlook.observed, ifindex, address);
        Ok(datapath.tables.sync_facts(
            &outlook.uplinks,
            &outlook.locals,
            &outlook.prefixes,
            is_resolved,
        )?)
    }

    /// Writes the other tables, attaches to new uplinks, detaches from what is none any more.
    /// What fails for one uplink keeps nothing from the others.
    pub(super) fn sync_datapath(&mut self, outlook: &Outlook) -> Result<(), ReconcileError> {
        let Some(datapath) = &mut self.datapath else { return Ok(()) };
        let mut result =
            datapath.tables.sync_rest(&outlook.uplinks, &outlook.locals, &outlook.prefixes);
        let hook = match self.config.attach {
            Attach::Auto => None,
            Attach::Tcx => Some(Hook::Tcx),
            Attach::Clsact => Some(Hook::Clsact),
        };
        for uplink in &outlook.uplinks {
            let device = (uplink.device.ifindex, uplink.generation);
            if datapath.attached.get(&uplink.id) != Some(&device) {
                let attached = attach_to(datapath, &self.pins, &mut self.journal, uplink, hook);
                result = result.and(attached);
            }
        }
        let stacked = stacked::attach(datapath, &self.pins, &mut self.journal, outlook, hook);
        result = result.and(stacked);
        datapath.attached.retain(|id, _| outlook.uplinks.iter().any(|uplink| uplink.id == *id));
        undo::detach_except(&self.pins, &mut self.journal, &outlook.uplinks)?;
        // Programs of another layout steer what could not be attached, until it can.
        result?;
        Ok(self.pins.remove_other_layouts()?)
    }
}

fn attach_to(
    datapath: &mut Datapath,
    pins: &Pins,
    journal: &mut Journal,
    uplink: &Uplink,
    hook: Option<Hook>,
) -> Result<(), DatapathError> {
    let device = (uplink.device.ifindex, uplink.generation);
    // The id came to another device: links to the old one would be taken for its own.
    if journal.attached(uplink.id).is_some_and(|old| old.ifindex != device.0) {
        attach::detach_tcx(pins, uplink.id)?;
    }
    let attached = attach::attach(&mut datapath.programs, &Hooks::of_uplink(pins, uplink), hook)?;
    let (name, id) = (&uplink.device.name, uplink.id);
    tracing::info!("{name}: uplink {id} attached ({:?})", attached.hook);
    // Until the other hook is left this is not done, and comes again in the next round.
    leave_other_hook(pins, journal, uplink, attached.hook)?;
    remember(journal, uplink, attached);
    datapath.attached.insert(id, device);
    Ok(())
}

/// Where another configuration attached to the other hook, the programs there go once those here
/// are in force. For a moment a packet meets both, which says the same twice.
fn leave_other_hook(
    pins: &Pins,
    journal: &Journal,
    uplink: &Uplink,
    hook: Hook,
) -> Result<(), DatapathError> {
    let Some(old) = journal.attached(uplink.id) else { return Ok(()) };
    match old.hook {
        _ if old.hook == hook || old.ifindex != uplink.device.ifindex => Ok(()),
        Hook::Tcx => attach::detach_tcx(pins, uplink.id),
        Hook::Clsact => attach::detach_clsact(&uplink.device.name).map(drop),
    }
}

fn remember(journal: &mut Journal, uplink: &Uplink, attached: attach::Attached) {
    // A qdisc that was made before is still ours, whether it is in use or not.
    let made_before = journal
        .attached
        .iter()
        .any(|device| device.ifindex == uplink.device.ifindex && device.made_qdisc);
    journal.attached.retain(|device| device.stacked || device.id != uplink.id);
    journal.attached.push(AttachedDevice {
        id: uplink.id,
        ifindex: uplink.device.ifindex,
        name: uplink.device.name.clone(),
        hook: attached.hook,
        made_qdisc: attached.made_qdisc || made_before,
        stacked: false,
    });
}
