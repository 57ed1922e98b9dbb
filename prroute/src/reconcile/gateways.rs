//! Asking gateways whether they are still there.

use std::time::{Duration, Instant};

use crate::netlink::{KeptGateway, Monitor};
use crate::reconcile::{Outlook, Reconciler};
use crate::state::observed::PROTOCOL;
use crate::state::plan::NeighbourKey;

/// Gateways that have entries of ours, and are to go on having them.
pub(super) fn kept(outlook: &Outlook) -> Vec<KeptGateway> {
    let desired = outlook.desired.neighbours.iter();
    let entry = |key: &NeighbourKey| outlook.observed.neighbour(key.ifindex, key.address);
    desired
        .filter_map(|key| Some((key, entry(key)?)))
        .filter(|(_, entry)| entry.protocol == PROTOCOL)
        .map(|(key, entry)| KeptGateway { key: key.clone(), managed: entry.managed })
        .collect()
}

impl Reconciler {
    /// When gateways are to be asked next; `None`: there are none, or the administrator does not
    /// want it.
    pub(super) fn next_question(&self) -> Option<Instant> {
        let seconds = u64::from(self.config.gateway_probe);
        let period = Duration::from_secs(seconds);
        (seconds > 0 && !self.gateways.is_empty()).then(|| self.schedule.asked() + period)
    }

    /// Asks the gateways that are not being asked. What comes of it is announced to the monitor.
    pub(super) async fn question_gateways(&mut self, monitor: &Monitor) {
        self.schedule.ask(Instant::now());
        let resolved = self.gateways.iter().filter(|gateway| monitor.is_resolved(&gateway.key));
        let gateways: Vec<KeptGateway> = resolved.cloned().collect();
        if let Err(error) = self.kernel.question_gateways(&gateways).await {
            // One that does not answer is told of; the next round of questions comes soon.
            tracing::debug!("{error}");
        }
    }
}
