//! Which gateways are kept resolved, and when they are asked whether they are still there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::state::observed::{Link, NeighbourState, Observed};
use crate::state::plan::NeighbourKey;
use crate::state::uplink::Uplink;

/// A gateway whose entry is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptGateway {
    pub key: NeighbourKey,
    /// The kernel keeps it resolved.
    pub managed: bool,
}

/// Gateways whose neighbour entry we keep resolved: not those that need no resolution, and not
/// those that somebody else keeps resolved.
pub(crate) fn to_keep(observed: &Observed, uplinks: &[Uplink]) -> BTreeSet<NeighbourKey> {
    let devices = uplinks.iter().map(|uplink| &uplink.device).filter(|device| {
        device.up && observed.link(device.ifindex).is_some_and(Link::has_neighbours)
    });
    let is_free = |key: &NeighbourKey| {
        observed.neighbour(key.ifindex, key.address).is_none_or(|entry| {
            entry.is_ours() || !(entry.managed || entry.state == NeighbourState::Fixed)
        })
    };
    let keys = devices.flat_map(|device| {
        let (ifindex, device, gateways) = (device.ifindex, &device.name, &device.gateways);
        let key = move |&address| NeighbourKey { ifindex, address, device: device.clone() };
        gateways.iter().map(key)
    });
    keys.filter(is_free).collect()
}

#[derive(Debug)]
pub(super) struct Probe {
    kept: Vec<KeptGateway>,
    /// `None`: the administrator wants no questions.
    period: Option<Duration>,
    asked: Instant,
}

impl Probe {
    pub(super) const fn new(now: Instant) -> Self {
        Self { kept: Vec::new(), period: None, asked: now }
    }

    pub(super) fn kept(&self) -> &[KeptGateway] {
        &self.kept
    }

    /// Gateways that have entries of ours, and are to go on having them, are asked.
    pub(super) fn keep(
        &mut self,
        observed: &Observed,
        wanted: &BTreeSet<NeighbourKey>,
        period: Option<Duration>,
    ) {
        let entry = |key: &NeighbourKey| observed.neighbour(key.ifindex, key.address);
        self.kept = wanted
            .iter()
            .filter_map(|key| Some((key, entry(key)?)))
            .filter(|(_, entry)| entry.is_ours())
            .map(|(key, entry)| KeptGateway { key: key.clone(), managed: entry.managed })
            .collect();
        self.period = period;
    }

    /// When they are asked next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.period.filter(|_| !self.kept.is_empty()).map(|period| self.asked + period)
    }

    /// Whether they are to be asked now. The next time is a period later.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.next_due().is_some_and(|due| due <= now);
        if is_due {
            self.asked = now;
        }
        is_due
    }
}
