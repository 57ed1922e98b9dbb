//! Gateways of an uplink: those the configuration names, then those of default routes; where none of
//! these is for every source, those of source-specific ones.

pub(crate) mod by_source;
pub(crate) mod by_subnet;

use std::net::IpAddr;

use ipnet::IpNet;

use self::by_source::{SourceRoute, source_routes};
use super::Health;
use crate::config::Ranges;
use crate::state::observed::{
    Family, Observed, PROTOCOL, Route, RouteKind, TABLE_LOCAL, TABLE_MAIN, host_net,
};
use crate::state::uplink::{Ifindex, WayOut};

/// An interface, and what tells how its gateways answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interface<'a> {
    pub(crate) observed: &'a Observed,
    pub(crate) health: &'a Health,
    pub(crate) ifindex: Ifindex,
}

/// One of several next hops.
#[derive(Clone, Copy, Debug, Default)]
struct Chosen {
    /// `None`: it needs none.
    gateway: Option<IpAddr>,
    /// `false` when all have failed.
    usable: bool,
    /// Whether the kernel has its link-layer address.
    resolved: bool,
}

impl Interface<'_> {
    /// The first one that has not failed, else the first one.
    fn choose(self, hops: impl IntoIterator<Item = Option<IpAddr>>) -> Option<Chosen> {
        let Self { observed, health, ifindex } = self;
        let works =
            |hop: Option<IpAddr>| hop.is_none_or(|g| !health.has_failed(observed, (ifindex, g)));
        let mut hops = hops.into_iter().peekable();
        let first = *hops.peek()?;
        let working = hops.find(|hop| works(*hop));
        let gateway = working.unwrap_or(first);
        let resolved = gateway.is_none_or(|g| health.is_resolved(observed, (ifindex, g)));
        Some(Chosen { gateway, usable: working.is_some(), resolved })
    }
}

/// The gateways of one family on an interface.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FamilyGateways {
    /// For every source, in order of preference.
    pub(crate) for_all: Vec<IpAddr>,
    /// By source prefix.
    pub(crate) by_source: Vec<SourceRoute>,
    /// By the first gateway that resolves, else the first one.
    pub(crate) way_out: WayOut,
}

/// Default routes of others over one interface, the best one first: main before other tables,
/// 0/0 before halves, low metric before high, then by the router's preference. Source-specific ones are among them.
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
        (route.table != TABLE_MAIN, route.destination.prefix_len(), route.rank())
    });
    routes
}

/// Whether a default route of others, in any table, uses the interface: one for every source, or for
/// an address of the interface.
pub(crate) fn has_default_route(ranges: Ranges, observed: &Observed, ifindex: Ifindex) -> bool {
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

/// The gateways of `family` on an interface.
pub(crate) fn of_family(
    ranges: Ranges,
    interface: Interface<'_>,
    family: Family,
    configured: &[IpAddr],
) -> FamilyGateways {
    let Interface { observed, ifindex, .. } = interface;
    let (general, specific): (Vec<&Route>, Vec<&Route>) =
        default_routes(ranges, observed, ifindex, family)
            .into_iter()
            .partition(|route| route.source.is_none());
    let hops = || general.iter().flat_map(|r| &r.next_hops).filter(|hop| hop.ifindex == ifindex);
    // The kernel takes no route by an address of the host's own.
    let is_own = |gateway: &IpAddr| observed.addresses.iter().any(|a| a.net.addr() == *gateway);
    let named = configured.iter().filter(|g| Family::of(g) == family && !is_own(g)).copied();
    let for_all = each_once(named.chain(hops().filter_map(|hop| hop.gateway)));
    let mut direct = hops().any(|hop| hop.gateway.is_none());
    let by_source = source_routes(interface, &specific);
    let of_own =
        || by_source.iter().filter(|r| serves_an_address(observed, ifindex, Some(r.source)));
    let only_by_source = for_all.is_empty() && !direct && of_own().next().is_some();
    let candidates: Vec<IpAddr> = if only_by_source {
        direct = of_own().any(|route| route.gateway.is_none());
        of_own().filter_map(|route| route.gateway).collect()
    } else {
        for_all.clone()
    };
    let chosen = interface.choose(candidates.into_iter().map(Some)).unwrap_or_default();
    let Chosen { gateway, usable, resolved } = chosen;
    let way_out = WayOut { gateway, usable, resolved, direct, only_by_source, ..WayOut::default() };
    FamilyGateways { for_all, by_source, way_out }
}

impl FamilyGateways {
    /// Each once, in order of preference.
    pub(crate) fn all(&self) -> Vec<IpAddr> {
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
