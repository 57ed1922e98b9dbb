//! The last consistent reading of each table: it stands in for a table that changes while it is read, and
//! for objects that cannot be decoded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::unreadable::{Object, Unreadable, keep_last};
use crate::state::observed::{Address, Family, Link, MainRoute, Neighbour, Route, Rule};
use crate::state::uplink::{Ifindex, Skipped};

/// Objects that cannot be decoded, of one round, that are named one by one.
const SHOWN: usize = 16;

/// What was read of a route, and for how long it is valid.
pub(super) type Expiring = (RouteItem, Option<Duration>);

/// The part of a route that prroute uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RouteItem {
    Whole(Route),
    /// Of `main`, and no default route: where it leads is enough.
    Main {
        route: MainRoute,
        protocol: u8,
    },
}

impl RouteItem {
    pub(super) fn is_about(&self, object: &Object) -> bool {
        match self {
            Self::Whole(route) => object.may_be_route(&route.destination, route.protocol),
            Self::Main { route, protocol } => object.may_be_route(&route.destination, *protocol),
        }
    }

    /// What tells it from others: IPv6 has several routes under one key, over different devices.
    pub(super) fn key(&self) -> impl Ord + use<> {
        match self {
            Self::Whole(route) => {
                let devices: Vec<Ifindex> = route.next_hops.iter().map(|hop| hop.ifindex).collect();
                (None, Some((route.key(), devices)))
            }
            Self::Main { route, .. } => (Some(*route), None),
        }
    }
}

/// What was read of a table.
pub(super) struct Dump<T> {
    pub(super) found: Vec<T>,
    pub(super) unreadable: Vec<Unreadable>,
    /// It did not change meanwhile.
    pub(super) steady: bool,
}

/// Tables as they were when they last held still, links and neighbours as they were read last.
#[derive(Debug, Default)]
pub(super) struct Steady {
    pub(super) links: Option<Vec<Link>>,
    pub(super) neighbours: Option<Vec<Neighbour>>,
    /// Of the last time, as it was logged.
    unreadable: BTreeSet<String>,
    pub(super) addresses: Option<Vec<Address>>,
    pub(super) routes: BTreeMap<Family, Option<Vec<Expiring>>>,
    pub(super) rules: BTreeMap<Family, Option<Vec<Rule>>>,
}

impl Dump<Expiring> {
    /// What this reading or an earlier one has: each of them may lack something, or have it twice.
    pub(super) fn or_in(mut self, earlier: Option<Self>) -> Self {
        let earlier = earlier.map(|dump| {
            self.steady &= dump.steady;
            dump.found
        });
        let mut known: BTreeSet<RouteItem> = BTreeSet::new();
        self.found.extend(earlier.unwrap_or_default());
        self.found.retain(|(item, _)| known.insert(item.clone()));
        self
    }

    /// Whether a route is missing that was there before, and matters.
    pub(super) fn lacks(&self, before: &[Expiring], matters: impl Fn(&Route) -> bool) -> bool {
        let found: BTreeSet<&RouteItem> = self.found.iter().map(|(item, _)| item).collect();
        before.iter().map(|(item, _)| item).any(|item| match item {
            RouteItem::Whole(route) => matters(route) && !found.contains(item),
            RouteItem::Main { .. } => false,
        })
    }
}

impl<T: Clone> Dump<T> {
    /// With what cannot be read as it was before.
    pub(super) fn with_last<K: Ord>(
        mut self,
        before: &Option<Vec<T>>,
        all: &mut Vec<Unreadable>,
        may_be: impl Fn(&Object, &T) -> bool,
        key: impl Fn(&T) -> K,
    ) -> Self {
        let before = before.as_deref().unwrap_or_default();
        keep_last(&mut self.found, before, &self.unreadable, may_be, key);
        all.append(&mut self.unreadable);
        self
    }

    /// What was read, or what was there before while it does not hold still: only what held still is
    /// remembered.
    pub(super) fn or_before(self, before: &mut Option<Vec<T>>, unsteady: &mut bool) -> Vec<T> {
        if self.steady {
            *before = Some(self.found.clone());
            return self.found;
        }
        *unsteady = true;
        before.clone().unwrap_or(self.found)
    }
}

impl Steady {
    /// Names what cannot be decoded, when it begins.
    pub(super) fn say(&mut self, lost: &[Unreadable]) {
        let now: BTreeSet<String> = lost.iter().map(ToString::to_string).collect();
        let mut new = now.difference(&self.unreadable);
        for message in new.by_ref().take(SHOWN) {
            tracing::warn!(event = "not-decodable", "{message}");
        }
        match new.count() {
            0 => {}
            more => {
                tracing::warn!(event = "not-decodable", "{more} more objects cannot be decoded");
            }
        }
        self.unreadable = now;
    }
}

/// A link that cannot be managed because of what cannot be decoded.
pub(super) fn skipped(message: &Unreadable, links: &[Link]) -> Option<Skipped> {
    let Object::Link { ifindex, name } = &message.object else { return None };
    let ifindex = *ifindex;
    match name {
        Some(name) => {
            let (name, reason) = (name.clone(), "its name is not UTF-8".to_owned());
            Some(Skipped { name, ifindex, reason })
        }
        // As it was.
        None if links.iter().any(|link| link.ifindex == ifindex) => None,
        None => {
            let reason = format!("cannot be decoded: {}", message.error);
            Some(Skipped { name: format!("#{ifindex}"), ifindex, reason })
        }
    }
}
