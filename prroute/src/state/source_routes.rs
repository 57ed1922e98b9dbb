//! Source-specific default routes (`default from 2001:db8:2::/64 via fe80::1`), which only IPv6 has.
//!
//! The kernel takes the longest destination first, and among equal ones the longest source prefix
//! (`fib6_node_lookup` with `CONFIG_IPV6_SUBTREES`). For sources outside its prefix such a route is
//! none.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;
use prroute_common::uplink::SUBNET_GATEWAYS;

use super::gateways::{has_failed, is_resolved};
use super::observed::{Family, Observed, PROTOCOL, Route, RouteKind, TABLE_MAIN};
use super::uplink::{Discovered, Ifindex};

/// The way out of an interface for the sources of one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRoute {
    pub source: IpNet,
    /// `None`: it needs none.
    pub gateway: Option<IpAddr>,
    /// `false` when the kernel failed to resolve the gateway.
    pub usable: bool,
    /// Whether the kernel has its link-layer address.
    pub resolved: bool,
}

/// What the source-specific ones of an interface's default routes, the best one first, say of each
/// source prefix. The longest prefix comes first.
pub(super) fn source_routes(
    observed: &Observed,
    ifindex: Ifindex,
    routes: &[&Route],
) -> Vec<SourceRoute> {
    let mut sources: Vec<IpNet> = routes.iter().filter_map(|route| route.source).collect();
    sources.sort_by_key(|source| (Reverse(source.prefix_len()), *source));
    sources.dedup();
    let of = |source: IpNet| {
        let routes = routes.iter().filter(|route| route.source == Some(source));
        let hops: Vec<Option<IpAddr>> = routes
            .flat_map(|route| &route.next_hops)
            .filter(|hop| hop.ifindex == ifindex)
            .map(|hop| hop.gateway)
            .collect();
        let works = |gateway: &IpAddr| !has_failed(observed, ifindex, *gateway);
        let working = hops.iter().find(|hop| hop.as_ref().is_none_or(works));
        let gateway = *working.or(hops.first())?;
        let resolved = gateway.is_none_or(|gateway| is_resolved(observed, ifindex, gateway));
        Some(SourceRoute { source, gateway, usable: working.is_some(), resolved })
    };
    sources.into_iter().filter_map(of).collect()
}

/// Source prefixes whose gateways the datapath has no room for, one sentence each.
pub(super) fn beyond(device: &Discovered) -> Vec<String> {
    let known = device.gateways_by_source();
    let of_family = known.iter().filter(|known| Family::of_net(&known.net) == Family::V6);
    let is_source = |net: IpNet| device.source_routes.iter().any(|route| route.source == net);
    let beyond = of_family.skip(SUBNET_GATEWAYS).filter(|known| is_source(known.net));
    let sentence = |net| {
        format!(
            "{}: more than {SUBNET_GATEWAYS} source prefixes with a gateway of their own: \
             forwarded replies from {net} go by the preferred gateway",
            device.name
        )
    };
    beyond.map(|known| sentence(known.net)).collect()
}

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
            (length(route.destination), route.source.map_or(Reverse(0), length), route.metric)
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
