//! What a round tells the log.

use std::time::Instant;

use crate::reconcile::{ENOUGH_UPLINKS, Outlook, Reconciler, events};
use crate::state::discover::is_notable;
use crate::state::share::LeftOut;
use crate::state::uplink::{Skipped, Uplink};

impl Reconciler {
    /// One line for the round.
    pub(super) fn tell(&mut self, outlook: &Outlook) {
        let (skipped, observed) = (&outlook.skipped, &outlook.observed);
        let before = self.told.replace(outlook.uplinks.clone());
        if before.is_none() {
            let is_notable = |it: &&Skipped| is_notable(&self.config, observed, it);
            for skipped in skipped.iter().filter(is_notable) {
                tracing::info!("{}: not managed: {}", skipped.name, skipped.reason);
            }
        }
        let enough = |uplinks: &[Uplink]| uplinks.len() >= ENOUGH_UPLINKS;
        let changes = before.as_ref().is_some_and(|it| enough(it) != enough(&outlook.uplinks));
        let before = before.unwrap_or_default();
        let mut happened = events::between(&before, &outlook.uplinks, skipped, observed);
        if let Some(last) = happened.last_mut().filter(|_| changes) {
            last.text = format!("{}; {}", last.text, summary(&outlook.uplinks));
        }
        let counts = std::mem::take(&mut self.counts);
        events::write(&self.events.round(Instant::now(), &happened, counts));
    }

    /// When what was held back of the log is due.
    pub fn report_due(&self) -> Option<Instant> {
        self.events.due()
    }

    /// Logs it.
    pub fn tell_the_rest(&mut self) {
        let uplinks = self.told.as_deref().unwrap_or_default();
        events::write(&self.events.flush(Instant::now(), uplinks));
    }
}

/// When it begins, and when it ends; not each time that it is another number.
pub(super) fn say_left_out(before: &[LeftOut], now: &[LeftOut]) {
    let is_in = |all: &[LeftOut], one: &LeftOut| all.iter().any(|other| other.uplink == one.uplink);
    for begun in now.iter().filter(|one| !is_in(before, one)) {
        tracing::warn!("{begun}");
    }
    for ended in before.iter().filter(|one| !is_in(now, one)) {
        tracing::info!("{}: there is room for all prefixes and addresses again", ended.name);
    }
}

pub(super) fn summary(uplinks: &[Uplink]) -> String {
    let names: Vec<_> = uplinks.iter().map(|uplink| uplink.device.name.as_str()).collect();
    match uplinks.len() {
        0 => "waiting: no uplink found; two are needed".to_owned(),
        1 => format!("waiting: one uplink ({}); two are needed", names.join(", ")),
        count => format!("managing {count} uplinks: {}", names.join(", ")),
    }
}
