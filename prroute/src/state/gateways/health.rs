//! Which gateways answer, since when the others are asked, and when each one answered last.
//!
//! The kernel asks three times, a second apart, before it says that a neighbour failed. A gateway
//! that has not answered the first question within [`PATIENCE`] is taken for unusable before
//! that, one that has answered before after two questions ([`PATIENCE_WITH_KNOWN`]), and for usable
//! from the moment it answers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::state::observed::{NeighbourEvent, NeighbourState, Observed};
use crate::state::uplink::{Ifindex, Uplink};

/// With a gateway that never answered. Less than the second after which the kernel repeats its
/// question: who answers only the second one is unusable for a moment.
const PATIENCE: Duration = Duration::from_millis(800);

/// With one that has answered before: one lost packet, of a question asked every few seconds, is no
/// reason to send replies elsewhere.
const PATIENCE_WITH_KNOWN: Duration = Duration::from_millis(1_800);

/// A gateway on an interface.
pub type GatewayKey = (Ifindex, IpAddr);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Has a link-layer address that is not in doubt, or needs none, or is none of ours to keep.
    Resolved,
    /// Somebody has set its link-layer address for good: who asks whether it is there makes the kernel
    /// forget that.
    Fixed,
    /// Being asked since then: for the first time, or for confirmation of what it said.
    Asked {
        since: Instant,
        first: bool,
        /// The kernel has an entry of it: without one nobody asks.
        seen: bool,
    },
    /// Until it answers. The kernel's further attempts go through the state of a first one.
    Failed {
        /// It was asked, and did not answer: who deletes an entry makes it fail, too.
        silent: bool,
    },
}

impl Standing {
    /// Of a gateway of which nothing was known.
    const fn of(state: NeighbourState, now: Instant) -> Self {
        match state {
            NeighbourState::Resolved => Self::Resolved,
            NeighbourState::Fixed => Self::Fixed,
            NeighbourState::Failed => Self::Failed { silent: false },
            NeighbourState::Incomplete | NeighbourState::Probing => {
                Self::Asked { since: now, first: !state.has_address(), seen: true }
            }
        }
    }

    const fn can_be_sent_to(self) -> bool {
        matches!(self, Self::Resolved | Self::Fixed | Self::Asked { first: false, .. })
    }

    const fn has_failed(self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    /// When it will have been asked for too long.
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Asked { since, first: true, .. } => Some(since + PATIENCE),
            Self::Asked { since, first: false, .. } => Some(since + PATIENCE_WITH_KNOWN),
            Self::Resolved | Self::Fixed | Self::Failed { .. } => None,
        }
    }
}

/// For how long a gateway has not answered, as far as that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// When the first question was asked that it did not answer.
    pub since: Instant,
    /// It answered before; else it may have been silent for longer.
    pub seen_to_begin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gateway {
    standing: Standing,
    /// When it answered a question last; `None`: to none since it is watched.
    answered: Option<Instant>,
    /// It had a link-layer address when it was asked, at some time.
    known: bool,
    silence: Option<Silence>,
}

impl Gateway {
    /// Of one of which nothing was known.
    fn new(standing: Standing, now: Instant) -> Self {
        let silence = standing.has_failed().then_some(Silence { since: now, seen_to_begin: false });
        let known = matches!(standing, Standing::Asked { first: false, .. });
        Self { standing, answered: None, known, silence }
    }

    fn set(&mut self, standing: Standing, now: Instant) {
        let (since, has_answered) = match self.standing {
            Standing::Resolved | Standing::Fixed => (now, true),
            Standing::Asked { since, .. } => (since, self.known),
            Standing::Failed { .. } => (now, false),
        };
        let seen_to_begin = has_answered || self.answered.is_some();
        let begun = Silence { since, seen_to_begin };
        self.known |= matches!(standing, Standing::Asked { first: false, .. });
        self.silence = standing.has_failed().then(|| self.silence.unwrap_or(begun));
        self.standing = standing;
    }
}

/// How the gateways answer that are [watched](Self::watch). Without any it is what the kernel says.
#[derive(Debug, Default)]
pub struct Health {
    gateways: BTreeMap<GatewayKey, Gateway>,
    /// Who looks once cannot wait for an answer: one that is not there yet is none.
    at_a_glance: bool,
}

impl Health {
    /// For who looks once: a gateway without a link-layer address has not answered.
    pub(super) const fn at_a_glance() -> Self {
        Self { gateways: BTreeMap::new(), at_a_glance: true }
    }

    /// Takes the uplinks' gateways for those that matter. One without an entry that is `kept`
    /// resolved is asked from now on.
    pub(super) fn watch(
        &mut self,
        observed: &Observed,
        uplinks: &[Uplink],
        kept: impl Fn(GatewayKey) -> bool,
        now: Instant,
    ) {
        let mut watched = BTreeMap::new();
        for device in uplinks.iter().map(|uplink| &uplink.device) {
            for address in &device.gateways {
                let key = (device.ifindex, *address);
                let entry = observed.neighbour(key.0, key.1).map(|neighbour| neighbour.state);
                let before = self.gateways.get(&key).copied();
                let standing = match (entry, before.map(|gateway| gateway.standing)) {
                    (Some(_), Some(known)) => known,
                    (Some(state), None) => Standing::of(state, now),
                    (None, _) if !kept(key) => Standing::Resolved,
                    // The kernel collects entries of those that fail, also ones that it is to keep.
                    (None, Some(silent @ Standing::Failed { silent: true })) => silent,
                    (None, Some(Standing::Asked { since, .. })) => {
                        Standing::Asked { since, first: true, seen: false }
                    }
                    (None, _) => Standing::Asked { since: now, first: true, seen: false },
                };
                let mut gateway = before.unwrap_or_else(|| Gateway::new(standing, now));
                gateway.set(standing, now);
                watched.insert(key, gateway);
            }
        }
        self.gateways = watched;
    }

    pub(super) fn watched(&self) -> impl Iterator<Item = GatewayKey> {
        self.gateways.keys().copied()
    }

    /// Whether the kernel has a link-layer address that is not in doubt, and learned it itself.
    pub(super) fn is_certain(&self, key: GatewayKey) -> bool {
        self.standing(key) == Some(Standing::Resolved)
    }

    /// Whether it has failed, and not answered since.
    pub(super) fn is_failed(&self, key: GatewayKey) -> bool {
        self.standing(key).is_some_and(Standing::has_failed)
    }

    fn standing(&self, key: GatewayKey) -> Option<Standing> {
        self.gateways.get(&key).map(|gateway| gateway.standing)
    }

    /// When a gateway answered a question last; `None`: none since it is watched.
    pub fn last_answer(&self, key: GatewayKey) -> Option<Instant> {
        self.gateways.get(&key)?.answered
    }

    /// The gateways that do not answer.
    pub fn silences(&self) -> impl Iterator<Item = (GatewayKey, Silence)> {
        self.gateways.iter().filter_map(|(key, gateway)| Some((*key, gateway.silence?)))
    }

    /// The state of a neighbour entry: a gateway that has been asked in vain for too long is failed, and
    /// one that failed stays so until it answers, whether or not the kernel keeps its entry. `None`: there
    /// is none, and it was not silent. Where nobody is asked, none is needed.
    pub fn state(&self, observed: &Observed, key: GatewayKey) -> Option<NeighbourState> {
        if observed.link(key.0).is_some_and(|link| !link.has_neighbours()) {
            return Some(NeighbourState::Fixed);
        }
        let entry = observed.neighbour(key.0, key.1).map(|neighbour| neighbour.state);
        match (self.standing(key), entry) {
            (Some(Standing::Failed { silent: true }), _)
            | (Some(Standing::Failed { .. }), Some(_)) => Some(NeighbourState::Failed),
            // Until its time is over.
            (Some(Standing::Asked { .. }), Some(NeighbourState::Failed)) => {
                Some(NeighbourState::Incomplete)
            }
            (_, Some(NeighbourState::Incomplete)) if self.at_a_glance => {
                Some(NeighbourState::Failed)
            }
            (_, entry) => entry,
        }
    }

    pub(crate) fn has_failed(&self, observed: &Observed, key: GatewayKey) -> bool {
        self.state(observed, key) == Some(NeighbourState::Failed)
    }

    /// Whether the kernel has the link-layer address of one that has not failed.
    pub(crate) fn is_resolved(&self, observed: &Observed, key: GatewayKey) -> bool {
        self.state(observed, key).is_some_and(NeighbourState::has_address)
    }

    /// Notes what the kernel announced. Tells whether it is news.
    pub(super) fn hear(&mut self, event: &NeighbourEvent) -> bool {
        let key = (event.ifindex, event.address);
        match event.state {
            Some(state) => self.note(key, state, event.at),
            None => self.gateways.contains_key(&key),
        }
    }

    /// Notes what the kernel says of a neighbour. Tells whether packets can be sent to a gateway
    /// that they could not be sent to before, or the reverse, and whether somebody took its entry over
    /// or left it.
    pub(super) fn note(&mut self, key: GatewayKey, state: NeighbourState, now: Instant) -> bool {
        let Some(gateway) = self.gateways.get_mut(&key) else { return false };
        let before = gateway.standing;
        let standing = match (Standing::of(state, now), before) {
            (Standing::Asked { first, .. }, Standing::Asked { since, .. }) => {
                Standing::Asked { since, first, seen: true }
            }
            // It still has time to answer: its entry went with a device that was down for a moment, or was taken away.
            // Until it does there is no address to send to.
            (Standing::Failed { .. }, Standing::Asked { since, seen, .. })
                if now < since + PATIENCE =>
            {
                Standing::Asked { since, first: true, seen }
            }
            (Standing::Asked { .. }, Standing::Failed { .. })
            | (Standing::Failed { .. }, Standing::Asked { .. }) => {
                Standing::Failed { silent: true }
            }
            (Standing::Failed { .. }, Standing::Failed { .. }) => before,
            (said, _) => said,
        };
        let was_in_doubt = !matches!(before, Standing::Resolved | Standing::Fixed);
        if state == NeighbourState::Resolved && was_in_doubt {
            gateway.answered = Some(now);
        }
        gateway.set(standing, now);
        before.can_be_sent_to() != standing.can_be_sent_to()
            || before.has_failed() != standing.has_failed()
            || (before == Standing::Fixed) != (standing == Standing::Fixed)
    }

    /// Notes what a look at the kernel shows.
    pub(super) fn look(&mut self, observed: &Observed, now: Instant) {
        for neighbour in &observed.neighbours {
            self.note((neighbour.ifindex, neighbour.address), neighbour.state, now);
        }
        self.expire(now);
    }

    /// When the first gateway will have been asked for too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.gateways.values().filter_map(|gateway| gateway.standing.deadline()).min()
    }

    /// Whether a gateway has been asked for too long, which is noted.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let mut has_expired = false;
        for gateway in self.gateways.values_mut() {
            if gateway.standing.deadline().is_some_and(|at| at <= now) {
                let silent = matches!(gateway.standing, Standing::Asked { seen: true, .. });
                gateway.set(Standing::Failed { silent }, now);
                has_expired = true;
            }
        }
        has_expired
    }
}

#[cfg(test)]
mod tests;
