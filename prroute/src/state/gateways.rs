//! Gateways of an uplink: those the configuration names, then those of default routes.

use std::net::IpAddr;

use super::observed::{
    Family, NeighbourState, Observed, PROTOCOL, Route, RouteKind, TABLE_LOCAL, TABLE_MAIN,
};
use super::uplink::Ifindex;
use crate::config::Ranges;

/// What is known of one family's way out of an uplink.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gateways {
    /// In order of preference.
    pub(super) all: Vec<IpAddr>,
    /// The first one that resolves, else the first one.
    pub(super) chosen: Option<IpAddr>,
    /// `false` when the kernel failed to resolve it.
    pub(super) usable: bool,
    /// Whether the kernel has its link-layer address.
    pub(super) resolved: bool,
    /// There is a default route without a gateway.
    pub(super) direct: bool,
}

/// Default routes of others over one interface, the best one first: main before other tables,
/// 0/0 before halves, low metric before high.
fn default_routes(
    ranges: Ranges,
    observed: &Observed,
    ifindex: Ifindex,
    family: Family,
) -> Vec<&Route> {
    let mut routes: Vec<&Route> = observed
        .routes
        .iter()
        .filter(|route| {
            route.family() == family
                && route.is_default()
                && route.kind == RouteKind::Unicast
                && route.table != TABLE_LOCAL
                && route.protocol != PROTOCOL
                && !ranges.has_table(route.table)
                && route.next_hops.iter().any(|hop| hop.ifindex == ifindex)
        })
        .collect();
    routes.sort_by_key(|route| {
        (route.table != TABLE_MAIN, route.destination.prefix_len(), route.metric)
    });
    routes
}

/// Whether a default route of others, in any table, uses the interface.
pub(super) fn has_default_route(ranges: Ranges, observed: &Observed, ifindex: Ifindex) -> bool {
    Family::BOTH
        .into_iter()
        .any(|family| !default_routes(ranges, observed, ifindex, family).is_empty())
}

/// Whether the kernel failed to resolve a gateway.
pub(super) fn has_failed(observed: &Observed, ifindex: Ifindex, gateway: IpAddr) -> bool {
    let neighbour = observed.neighbour(ifindex, gateway);
    neighbour.is_some_and(|neighbour| neighbour.state == NeighbourState::Failed)
}

/// Whether the kernel has a gateway's link-layer address.
pub(super) fn is_resolved(observed: &Observed, ifindex: Ifindex, gateway: IpAddr) -> bool {
    let neighbour = observed.neighbour(ifindex, gateway);
    neighbour.is_some_and(|neighbour| neighbour.state.has_address())
}

/// The gateways of `family` on an interface.
pub(super) fn gateways(
    ranges: Ranges,
    observed: &Observed,
    ifindex: Ifindex,
    family: Family,
    configured: &[IpAddr],
) -> Gateways {
    let routes = default_routes(ranges, observed, ifindex, family);
    let hops = || routes.iter().flat_map(|r| &r.next_hops).filter(|hop| hop.ifindex == ifindex);
    let mut all: Vec<IpAddr> = Vec::new();
    let named = configured.iter().filter(|address| Family::of(address) == family).copied();
    for address in named.chain(hops().filter_map(|hop| hop.gateway)) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    let working = all.iter().copied().find(|address| !has_failed(observed, ifindex, *address));
    Gateways {
        chosen: working.or(all.first().copied()),
        usable: working.is_some(),
        resolved: working.is_some_and(|address| is_resolved(observed, ifindex, address)),
        direct: hops().any(|hop| hop.gateway.is_none()),
        all,
    }
}
