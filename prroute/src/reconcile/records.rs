//! What outlives the daemon: journal, report and ids, written when they change.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::reconcile::{Outlook, Reconciler};
use crate::state::remembered::{self, Recall};

/// Files that could not be written are tried again after this.
const SAVE_RETRY: Duration = Duration::from_secs(5);

impl Reconciler {
    /// From when there is something to decide: before that the order of arrival would.
    pub(super) fn remember_ids(&mut self, outlook: &Outlook) {
        if self.datapath.is_none() {
            return;
        }
        let recall = Recall { remembered: &self.ids, links: &outlook.observed.links };
        self.ids = recall.updated(&outlook.uplinks, seconds_since_1970());
        if remembered::differs(&self.written_ids, &self.ids) && self.store.save_ids(&self.ids) {
            self.written_ids.clone_from(&self.ids);
        }
    }

    /// Writes what changed. What cannot be written now is tried again, also when nothing happens.
    pub(super) fn save(&mut self) {
        self.store.save_journal(&self.journal);
        self.store.save_report(&self.report);
        if self.store.is_failing() {
            self.expiry = self.expiry.into_iter().chain([Instant::now() + SAVE_RETRY]).min();
        }
    }
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
