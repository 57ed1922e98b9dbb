//! Which of the kernel's routes the desired state depends on. A host may have a million others.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::config::Ranges;
use crate::state::observed::{Address, PROTOCOL, Route, RouteKind, TABLE_LOCAL, TABLE_MAIN};

/// Of those that are read and of those that are announced the same ones matter.
#[derive(Debug, Default)]
pub(super) struct Interest {
    /// In these tables every route matters: one of others is in the way of ours.
    ranges: Ranges,
    /// The host's addresses.
    own: BTreeSet<IpAddr>,
}

impl Interest {
    pub(super) fn of(ranges: Ranges, addresses: &[Address]) -> Self {
        Self { ranges, own: addresses.iter().map(|address| address.net.addr()).collect() }
    }

    /// A default route (also one for some sources only, or one that refuses packets), one of ours or in
    /// our tables, a route to a link (main's, and one that holds an address of the host in another table),
    /// or one to the host itself: what decides about gateways, on-link prefixes, local ones, collisions,
    /// and what rules of others catch.
    pub(super) fn matters(&self, route: &Route) -> bool {
        if route.protocol == PROTOCOL || self.ranges.has_table(route.table) {
            return true;
        }
        let net = route.destination;
        if route.is_local() {
            return net.prefix_len() < net.max_prefix_len() || !self.own.contains(&net.addr());
        }
        if route.table == TABLE_LOCAL {
            return false;
        }
        if route.kind != RouteKind::Unicast {
            return route.is_default() && route.kind.refuses();
        }
        let on_link = route.next_hops.iter().any(|hop| hop.gateway.is_none());
        let holds_own = || self.own.range(net.network()..=net.broadcast()).next().is_some();
        route.is_default_for_some() || (on_link && (route.table == TABLE_MAIN || holds_own()))
    }

    /// One of others in our tables, which others may fill. Default routes are few.
    pub(super) fn is_one_of_many(&self, route: &Route) -> bool {
        route.protocol != PROTOCOL
            && self.ranges.has_table(route.table)
            && !route.is_default_for_some()
    }
}
