//! A clsact qdisc and the filters on it are written down before they are made: whoever is killed in between,
//! or is refused the second filter, has made the first all the same, and is to remove it.

use crate::datapath::attach::Hook;
use crate::datapath::{hooks, tcx};
use crate::netlink::CLSACT;
use crate::reconcile::{Outlook, ReconcileError, Reconciler};
use crate::runtime::journal::AttachedDevice;

impl Reconciler {
    /// Of the devices that are to be attached to. Where the journal cannot be written they are attached to
    /// all the same.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked who has one.
    pub(super) async fn write_down_qdiscs(
        &mut self,
        outlook: &Outlook,
        hook: Option<Hook>,
    ) -> Result<(), ReconcileError> {
        let Some(datapath) = &self.datapath.loaded else { return Ok(()) };
        let needs_qdiscs = match hook {
            Some(hook) => hook == Hook::Clsact,
            None => tcx::is_supported() == Some(false),
        };
        if !needs_qdiscs {
            return Ok(());
        }
        let is_new = |uplink| !datapath.attached.values().any(|there| there.is_for(uplink));
        let uplinks = outlook
            .uplinks
            .iter()
            .filter(|uplink| is_new(uplink))
            .map(|uplink| (uplink.id, uplink.device.ifindex, &uplink.device.name, false));
        let stacked = hooks::stacked(&outlook.uplinks)
            .filter(|(_, device)| !datapath.stacked.contains_key(&device.ifindex))
            .map(|(uplink, device)| (uplink.id, device.ifindex, &device.name, true));
        let devices: Vec<_> = uplinks.chain(stacked).collect();
        if devices.is_empty() {
            return Ok(());
        }
        let there = self.kernel.hook_qdiscs().await?;
        let journal = &mut self.records.journal;
        let before = journal.attached.len();
        for (id, ifindex, name, stacked) in devices {
            let made_qdisc = match there.get(&ifindex).map(String::as_str) {
                None => true,
                Some(CLSACT) => false,
                // Nothing can be attached there.
                Some(_) => continue,
            };
            let is_known = journal.attached.iter().any(|old| {
                let is_it = old.ifindex == ifindex && old.stacked == stacked;
                is_it && old.hook == Hook::Clsact && (old.made_qdisc || !made_qdisc)
            });
            if !is_known {
                let (name, hook) = (name.clone(), Hook::Clsact);
                let device = AttachedDevice { id, ifindex, name, hook, made_qdisc, stacked };
                journal.attached.push(device);
            }
        }
        if journal.attached.len() > before {
            self.records.store.save_journal(&self.records.journal);
        }
        Ok(())
    }
}
