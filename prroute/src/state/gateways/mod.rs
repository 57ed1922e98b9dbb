//! Gateways: which ones an uplink has, whether they answer, and when they are asked.
//!
//! ```text
//!   observed + health -> choose -> uplinks -> watch -> probe
//!   what the kernel announces, time -> health
//! ```
//!
//! Everything here is pure: the monitor hands over what the kernel announces, and the reconciler has
//! the kernel ask those gateways that are due.

pub(crate) mod choose;
mod health;
mod probe;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub use self::health::{GatewayKey, Health, Silence};
pub use self::probe::KeptGateway;
use self::probe::Probe;
pub(crate) use self::probe::to_keep;
use crate::state::observed::{NeighbourEvent, Observed};
use crate::state::plan::NeighbourKey;
use crate::state::uplink::Uplink;

/// What is known of the uplinks' gateways, and when they are asked.
#[derive(Debug)]
pub struct Gateways {
    health: Health,
    probe: Probe,
}

impl Gateways {
    pub fn new(now: Instant) -> Self {
        Self { health: Health::default(), probe: Probe::new(now) }
    }

    /// For who looks once, and follows nothing.
    pub fn at_a_glance(now: Instant) -> Self {
        Self { health: Health::at_a_glance(), probe: Probe::new(now) }
    }

    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// Those that do not answer, and for how long.
    pub fn silences(&self) -> impl Iterator<Item = (GatewayKey, Silence)> {
        self.health.silences()
    }

    /// Notes what the kernel announced. Tells whether something is to be done about it.
    pub fn hear(&mut self, events: &[NeighbourEvent]) -> bool {
        events.iter().filter(|event| self.health.hear(event)).count() > 0
    }

    /// Notes what a look at the kernel shows.
    pub fn look(&mut self, observed: &Observed, now: Instant) {
        self.health.look(observed, now);
    }

    /// Follows the gateways of the uplinks from now on, and asks those that have entries of ours and
    /// are to go on having them (`wanted`), each time after `period`; `None`: never.
    pub fn watch(
        &mut self,
        observed: &Observed,
        uplinks: &[Uplink],
        wanted: &BTreeSet<NeighbourKey>,
        period: Option<Duration>,
        now: Instant,
    ) {
        let keys: BTreeSet<GatewayKey> = wanted.iter().map(NeighbourKey::gateway).collect();
        self.health.watch(observed, uplinks, |key| keys.contains(&key), now);
        self.probe.keep(observed, wanted, period);
    }

    /// The neighbours whose events matter.
    pub fn watched(&self) -> BTreeSet<GatewayKey> {
        self.health.watched().collect()
    }

    /// Those that the kernel keeps resolved for us, or has resolved.
    pub fn kept(&self) -> &[KeptGateway] {
        self.probe.kept()
    }

    /// Those that have not failed: of the others the kernel collects the entries.
    pub fn kept_and_not_failed(&self) -> Vec<KeptGateway> {
        self.kept_if(|key| !self.health.is_failed(key))
    }

    fn kept_if(&self, is: impl Fn(GatewayKey) -> bool) -> Vec<KeptGateway> {
        self.kept().iter().filter(|kept| is(kept.key.gateway())).cloned().collect()
    }

    /// When to [expire](Self::expire) one, or to [ask](Self::take_due).
    pub fn next_due(&self) -> Option<Instant> {
        self.health.deadline().into_iter().chain(self.probe.next_due()).min()
    }

    /// Whether a gateway has been asked in vain for too long, which is noted.
    pub fn expire(&mut self, now: Instant) -> bool {
        self.health.expire(now)
    }

    /// The gateways to ask now whether they are still there: none that is being asked already.
    pub fn take_due(&mut self, now: Instant) -> Vec<KeptGateway> {
        let is_due = self.probe.take_due(now);
        self.kept_if(|key| is_due && self.health.is_certain(key))
    }

    /// Those of ours that failed and that the kernel does not try again by itself (before 5.16).
    pub fn to_retry(&self, observed: &Observed) -> Vec<NeighbourKey> {
        let has_failed = |key: &NeighbourKey| self.health.has_failed(observed, key.gateway());
        let ours = self.probe.kept().iter().filter(|gateway| !gateway.managed);
        ours.map(|gateway| &gateway.key).filter(|key| has_failed(key)).cloned().collect()
    }
}
