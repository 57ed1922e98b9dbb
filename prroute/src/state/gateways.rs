//! Gateways of an uplink: those the configuration names, then those of default routes; where none of
//! these is for every source, those of source-specific ones.

use std::net::IpAddr;

use ipnet::IpNet;

use super::observed::{
    Family, NeighbourState, Observed, PROTOCOL, Route, RouteKind, TABLE_LOCAL, TABLE_MAIN, host_net,
};
use super::source_routes::{SourceRoute, source_routes};
use super::uplink::{Ifindex, WayOut};
use crate::config::Ranges;

/// What is known of one family's way out of an uplink.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gateways {
    /// For every source, in order of preference.
    pub(super) for_all: Vec<IpAddr>,
    /// By source prefix.
    pub(super) by_source: Vec<SourceRoute>,
    /// By the first gateway that resolves, else the first one.
    pub(super) way_out: WayOut,
}

/// Default routes of others over one interface, the best one first: main before other tables,
/// 0/0 before halves, low metric before high. Source-specific ones are among them.
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
                && route.is_default_for_some()
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

/// Whether a default route of others, in any table, uses the interface: one for every source, or for
/// an address of the interface.
pub(super) fn has_default_route(ranges: Ranges, observed: &Observed, ifindex: Ifindex) -> bool {
    Family::BOTH.into_iter().any(|family| {
        let routes = default_routes(ranges, observed, ifindex, family);
        routes.iter().any(|route| serves_an_address(observed, ifindex, route.source))
    })
}

/// Whether an address of the interface is in the source prefix.
fn serves_an_address(observed: &Observed, ifindex: Ifindex, source: Option<IpNet>) -> bool {
    let mut addresses = observed.addresses_on(ifindex).map(|address| host_net(address.net.addr()));
    source.is_none_or(|source| addresses.any(|address| source.contains(&address)))
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
    let (general, specific): (Vec<&Route>, Vec<&Route>) =
        default_routes(ranges, observed, ifindex, family)
            .into_iter()
            .partition(|route| route.source.is_none());
    let hops = || general.iter().flat_map(|r| &r.next_hops).filter(|hop| hop.ifindex == ifindex);
    let named = configured.iter().filter(|address| Family::of(address) == family).copied();
    let for_all = each_once(named.chain(hops().filter_map(|hop| hop.gateway)));
    let mut direct = hops().any(|hop| hop.gateway.is_none());
    let by_source = source_routes(observed, ifindex, &specific);
    let of_own =
        || by_source.iter().filter(|r| serves_an_address(observed, ifindex, Some(r.source)));
    let only_by_source = for_all.is_empty() && !direct && of_own().next().is_some();
    let candidates = if only_by_source {
        direct = of_own().any(|route| route.gateway.is_none());
        of_own().filter_map(|route| route.gateway).collect()
    } else {
        for_all.clone()
    };
    let works = |gateway: &&IpAddr| !has_failed(observed, ifindex, **gateway);
    let working = candidates.iter().find(works).copied();
    let way_out = WayOut {
        gateway: working.or(candidates.first().copied()),
        usable: working.is_some(),
        resolved: working.is_some_and(|address| is_resolved(observed, ifindex, address)),
        direct,
        only_by_source,
    };
    Gateways { for_all, by_source, way_out }
}

impl Gateways {
    /// Each once, in order of preference.
    pub(super) fn all(&self) -> Vec<IpAddr> {
        let by_source = self.by_source.iter().filter_map(|route| route.gateway);
        each_once(self.for_all.iter().copied().chain(by_source))
    }
}

fn each_once(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    for address in addresses {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}
