//! Which gateways resolve, and since when those are asked that have not answered.
//!
//! The kernel asks three times, a second apart, before it says that a neighbour failed. A gateway
//! that has not answered the first question within [`PATIENCE`] is taken for unusable before
//! that, one that has answered before after two questions ([`PATIENCE_WITH_KNOWN`]), and for usable
//! from the moment it answers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::state::observed::{Neighbour, NeighbourState, Observed};
use crate::state::plan::NeighbourKey;
use crate::state::uplink::{Ifindex, Uplink};

/// With a gateway that never answered. Less than the second after which the kernel repeats its
/// question: who answers only the second one is unusable for a moment.
const PATIENCE: Duration = Duration::from_millis(800);

/// With one that has answered before: one lost packet, of a question asked every few seconds, is no
/// reason to send replies elsewhere.
const PATIENCE_WITH_KNOWN: Duration = Duration::from_millis(1_800);

type Key = (Ifindex, IpAddr);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Has a link-layer address that is not in doubt, or needs none.
    Resolved,
    /// Being asked since then: for the first time, or for confirmation of what it said.
    Asked { since: Instant, first: bool },
    /// Until it answers. The kernel's further attempts go through the state of a first one.
    Failed,
}

impl Standing {
    const fn can_be_sent_to(self) -> bool {
        matches!(self, Self::Resolved | Self::Asked { first: false, .. })
    }

    /// When it will have been asked for too long.
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Asked { since, first: true } => Some(since + PATIENCE),
            Self::Asked { since, first: false } => Some(since + PATIENCE_WITH_KNOWN),
            Self::Resolved | Self::Failed => None,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Resolution {
    gateways: BTreeMap<Key, Standing>,
}

impl Resolution {
    /// Takes the uplinks' gateways for those that matter. One without an entry that is `kept`
    /// resolved is asked from now on.
    pub(super) fn watch(
        &mut self,
        observed: &Observed,
        uplinks: &[Uplink],
        kept: impl Fn(&NeighbourKey) -> bool,
        now: Instant,
    ) {
        let mut watched = BTreeMap::new();
        for device in uplinks.iter().map(|uplink| &uplink.device) {
            for address in &device.gateways {
                let key = (device.ifindex, *address);
                let entry = observed.neighbour(key.0, key.1).map(|neighbour| neighbour.state);
                let kept = || {
                    let (ifindex, address) = key;
                    kept(&NeighbourKey { ifindex, address, device: device.name.clone() })
                };
                let standing = match (entry, self.gateways.get(&key).copied()) {
                    (Some(_), Some(known)) => known,
                    (Some(NeighbourState::Failed), None) => Standing::Failed,
                    (
                        Some(state @ (NeighbourState::Incomplete | NeighbourState::Probing)),
                        None,
                    ) => Standing::Asked { since: now, first: !state.has_address() },
                    (Some(NeighbourState::Resolved | NeighbourState::Fixed), None) => {
                        Standing::Resolved
                    }
                    (None, _) if !kept() => Standing::Resolved,
                    (None, Some(Standing::Asked { since, .. })) => {
                        Standing::Asked { since, first: true }
                    }
                    (None, _) => Standing::Asked { since: now, first: true },
                };
                watched.insert(key, standing);
            }
        }
        self.gateways = watched;
    }

    pub(super) fn is_watched(&self, neighbour: &Neighbour) -> bool {
        self.gateways.contains_key(&(neighbour.ifindex, neighbour.address))
    }

    pub(super) fn is_resolved(&self, gateway: &NeighbourKey) -> bool {
        let key = (gateway.ifindex, gateway.address);
        self.gateways.get(&key) == Some(&Standing::Resolved)
    }

    /// Notes what the kernel says of a neighbour. Tells whether packets can be sent to a gateway
    /// that they could not be sent to before, or the reverse.
    pub(super) fn note(&mut self, neighbour: &Neighbour, now: Instant) -> bool {
        let key = (neighbour.ifindex, neighbour.address);
        let Some(standing) = self.gateways.get_mut(&key) else { return false };
        let before = *standing;
        *standing = match (neighbour.state, before) {
            (NeighbourState::Resolved | NeighbourState::Fixed, _) => Standing::Resolved,
            (NeighbourState::Failed, _) => Standing::Failed,
            (
                state @ (NeighbourState::Incomplete | NeighbourState::Probing),
                Standing::Resolved,
            ) => Standing::Asked { since: now, first: !state.has_address() },
            (state, Standing::Asked { since, .. }) => {
                Standing::Asked { since, first: !state.has_address() }
            }
            (_, Standing::Failed) => Standing::Failed,
        };
        before.can_be_sent_to() != standing.can_be_sent_to()
            || (before == Standing::Failed) != (*standing == Standing::Failed)
    }

    /// Corrects a look at the kernel by what is known for longer.
    pub(super) fn correct(&mut self, observed: &mut Observed, now: Instant) {
        for neighbour in &mut observed.neighbours {
            self.note(neighbour, now);
        }
        self.expire(now);
        for neighbour in &mut observed.neighbours {
            let key = (neighbour.ifindex, neighbour.address);
            if self.gateways.get(&key) == Some(&Standing::Failed) {
                neighbour.state = NeighbourState::Failed;
            }
        }
    }

    /// When the first gateway will have been asked for too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.gateways.values().filter_map(|standing| standing.deadline()).min()
    }

    /// Whether a gateway has been asked for too long, which is noted.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let mut expired = false;
        for standing in self.gateways.values_mut() {
            if standing.deadline().is_some_and(|deadline| deadline <= now) {
                *standing = Standing::Failed;
                expired = true;
            }
        }
        expired
    }
}

#[cfg(test)]
mod tests;
