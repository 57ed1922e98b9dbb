//! Source-specific default routes (`default from 2001:db8:2::/64 via fe80::1`), which only IPv6 has, in
//! `main`.
//!
//! The kernel takes the longest destination first, and among equal ones the longest source prefix
//! (`fib6_node_lookup` with `CONFIG_IPV6_SUBTREES`). For sources outside its prefix such a route is
//! none.

use std::cmp::Reverse;

use ipnet::IpNet;

use super::observed::{Family, Observed, PROTOCOL, Route, RouteKind, TABLE_MAIN};

/// Main's default routes of IPv6, as far as one of them is source-specific.
#[derive(Debug)]
pub(super) struct MainDefaults<'a>(Vec<&'a Route>);

impl<'a> MainDefaults<'a> {
    pub(super) fn of(observed: &'a Observed) -> Self {
        /// The addresses of the Internet.
        const GLOBAL: &str = "2000::/3";
        let global: Option<IpNet> = GLOBAL.parse().ok();
        let mut routes: Vec<&Route> = observed
            .routes
            .iter()
            .filter(|route| {
                route.table == TABLE_MAIN
                    && route.family() == Family::V6
                    && route.kind == RouteKind::Unicast
                    && route.protocol != PROTOCOL
                    && global.is_some_and(|global| route.destination.contains(&global))
            })
            .collect();
        if routes.iter().all(|route| route.source.is_none()) {
            routes.clear();
        }
        let length = |net: IpNet| Reverse(net.prefix_len());
        routes.sort_by_key(|route| {
            (length(route.destination), route.source.map_or(Reverse(0), length), route.rank())
        });
        Self(routes)
    }

    /// The route that the kernel takes to the Internet for every source in `net`, where that is a
    /// source-specific one.
    pub(super) fn source_specific(&self, net: &IpNet) -> Option<&'a Route> {
        let first = self.0.iter().find(|route| route.serves(net))?;
        first.source.is_some().then_some(*first)
    }
}

#[cfg(test)]
mod tests;
