//! The routes of our tables.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::Ranges;
use crate::state::observed::{
    Family, NextHop, Observed, PROTOCOL, Route, RouteKind, RouteMetrics, RouterPreference,
    TABLE_MAIN, host_net,
};
use crate::state::subnet_tables::tables;
use crate::state::uplink::{Ifindex, Uplink, UplinkId, WayOut};

/// IPv6 knows no metric 0; 1024 is what the kernel takes when none is named.
const METRIC6: u32 = 1024;
/// Metrics of the shared table: by uplink id from here.
const SHARED_METRIC: u32 = 100;
/// `RTPROT_RA`: by router advertisements.
const RTPROT_RA: u8 = 9;
/// A route that holds packets comes after every other.
const LAST_METRIC: u32 = u32::MAX;

/// Every route, on-link ones before the default routes that may need them.
pub(super) fn of(
    ranges: Ranges,
    observed: &Observed,
    uplinks: &[Uplink],
    shared: &[IpNet],
) -> Vec<Route> {
    let up = || {
        let there = |u: &&Uplink| u.device.up && observed.link(u.device.ifindex).is_some();
        uplinks.iter().filter(there)
    };
    let tables = tables(ranges, uplinks);
    let mut routes: Vec<Route> = up().flat_map(|uplink| on_link(ranges, uplink)).collect();
    for family in Family::BOTH {
        let shares = shared.iter().any(|net| Family::of_net(net) == family);
        for uplink in up() {
            routes.extend(of_subnets(ranges, observed, uplinks, uplink, &tables, family));
            routes.extend(of_sources(ranges, observed, uplinks, uplink, family));
            let Some(route) = default(ranges, observed, uplink, family) else { continue };
            if is_refused(&route, uplink, uplinks) {
                continue;
            }
            if shares && uplink.device.way_out[family].is_live() {
                routes.push(Route {
                    table: ranges.table,
                    metric: SHARED_METRIC + u32::from(uplink.id.0),
                    next_hops: route.next_hops.iter().map(as_onlink).collect(),
                    ..route.clone()
                });
            }
            if !uplink.device.way_out[family].only_by_source {
                routes.push(route);
            }
        }
        // There before the way out goes, and in force from that moment.
        let holding = uplinks.iter().filter(|u| u.device.hold && u.speaks(family));
        for uplink in holding {
            let hold = Route {
                metric: LAST_METRIC,
                kind: RouteKind::UNREACHABLE,
                scope_link: false,
                next_hops: Vec::new(),
                ..route(ranges, uplink, family.any(), None)
            };
            let subnets = tables
                .iter()
                .filter(|((id, net), _)| *id == uplink.id && Family::of_net(net) == family);
            routes.extend(subnets.map(|(_, table)| Route { table: *table, ..hold.clone() }));
            routes.push(hold);
        }
    }
    routes
}

fn route(ranges: Ranges, uplink: &Uplink, destination: IpNet, gateway: Option<IpAddr>) -> Route {
    let family = Family::of_net(&destination);
    Route {
        table: uplink.table(ranges),
        destination,
        source: None,
        metric: if family == Family::V4 { 0 } else { METRIC6 },
        preference: RouterPreference::default(),
        kind: RouteKind::Unicast,
        protocol: PROTOCOL,
        scope_link: family == Family::V4 && gateway.is_none(),
        next_hops: vec![NextHop {
            ifindex: uplink.device.ifindex,
            device: uplink.device.name.clone(),
            gateway,
            onlink: false,
        }],
        metrics: RouteMetrics::default(),
    }
}

fn on_link(ranges: Ranges, uplink: &Uplink) -> impl Iterator<Item = Route> {
    uplink.device.on_link.iter().map(move |net| route(ranges, uplink, *net, None))
}

/// The way out of an uplink, where the family has one.
fn default(ranges: Ranges, observed: &Observed, uplink: &Uplink, family: Family) -> Option<Route> {
    let device = &uplink.device;
    let WayOut { gateway, direct, .. } = device.way_out[family];
    // A configured gateway is no way out where the interface does not speak the protocol.
    let speaks6 = || observed.addresses_on(device.ifindex).any(|a| a.net.addr().is_ipv6());
    let gateway = gateway.filter(|_| family == Family::V4 || speaks6());
    if gateway.is_none() && !direct {
        return None;
    }
    Some(default_by(ranges, observed, uplink, family, gateway))
}

fn default_by(
    ranges: Ranges,
    observed: &Observed,
    uplink: &Uplink,
    family: Family,
    gateway: Option<IpAddr>,
) -> Route {
    let mut route = route(ranges, uplink, family.any(), gateway);
    route.metrics = metrics(ranges, observed, uplink, family, gateway);
    let covered = |g: IpAddr| {
        matches!(g, IpAddr::V6(g) if g.is_unicast_link_local())
            || uplink.device.on_link.iter().any(|net| net.contains(&host_net(g)))
    };
    for hop in &mut route.next_hops {
        hop.onlink = gateway.is_some_and(|g| !covered(g));
    }
    route
}

/// What the route that an uplink's default route stands for says of connections: main's, or else another table's. Of a
/// gateway that is kept in force there is none any more: what was said of it holds, or else what is said of the next one.
fn metrics(
    ranges: Ranges,
    observed: &Observed,
    uplink: &Uplink,
    family: Family,
    gateway: Option<IpAddr>,
) -> RouteMetrics {
    let (ifindex, way_out) = (uplink.device.ifindex, uplink.device.way_out[family]);
    let is_default = |route: &&Route| route.family() == family && route.is_default_for_some();
    let defaults = observed.routes.iter().filter(is_default);
    let (ours, others): (Vec<_>, Vec<_>) =
        defaults.partition(|route| ranges.has_table(route.table));
    let by = |hop: &NextHop| (hop.ifindex, hop.gateway) == (ifindex, gateway);
    let stood_for = best(&others, by).or_else(|| {
        let is_kept = way_out.kept && way_out.gateway == gateway;
        let over = |hop: &NextHop| hop.ifindex == ifindex;
        is_kept.then(|| best(&ours, by).or_else(|| best(&others, over))).flatten()
    });
    stood_for.map(|route| said_of_connections(observed, ifindex, route)).unwrap_or_default()
}

/// The kernel changes the MTU and the hop limit of a route that it makes of router advertisements without announcing it
/// (`ndisc_router_discovery`), and the interface's with them: a route of ours that says neither has these. Where other
/// programs make such routes the kernel accepts no advertisements, and the interface may have other values.
fn said_of_connections(observed: &Observed, ifindex: Ifindex, route: &Route) -> RouteMetrics {
    let accepts_ra = observed.link(ifindex).is_some_and(|link| link.accepts_ra);
    match route.protocol {
        RTPROT_RA if accepts_ra => route.metrics.without_the_interfaces(),
        _ => route.metrics.clone(),
    }
}

/// The one that counts of routes with such a next hop: main's go before.
fn best<'a>(routes: &[&'a Route], is_its: impl Fn(&NextHop) -> bool) -> Option<&'a Route> {
    let leads_there = routes.iter().copied().filter(|route| route.next_hops.iter().any(&is_its));
    leads_there.min_by_key(|route| (route.table != TABLE_MAIN, route.rank()))
}

/// The ways out of an uplink that are for some sources only, as main has them.
fn of_sources(
    ranges: Ranges,
    observed: &Observed,
    uplinks: &[Uplink],
    uplink: &Uplink,
    family: Family,
) -> impl Iterator<Item = Route> {
    let of_family =
        uplink.device.source_routes.iter().filter(move |r| Family::of_net(&r.source) == family);
    let routes = of_family.map(move |known| Route {
        source: Some(known.source),
        ..default_by(ranges, observed, uplink, family, known.gateway)
    });
    routes.filter(|route| !is_refused(route, uplink, uplinks))
}

/// The tables of subnets with a gateway of their own: what the uplink's table says, but for the
/// gateway.
fn of_subnets(
    ranges: Ranges,
    observed: &Observed,
    uplinks: &[Uplink],
    uplink: &Uplink,
    tables: &BTreeMap<(UplinkId, IpNet), u32>,
    family: Family,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for subnet in uplink.device.subnet_gateways_in_force() {
        let Some(table) = tables.get(&(uplink.id, subnet.net)) else { continue };
        let default = default_by(ranges, observed, uplink, family, Some(subnet.gateway));
        if Family::of_net(&subnet.net) != family || is_refused(&default, uplink, uplinks) {
            continue;
        }
        let near = on_link(ranges, uplink).filter(|route| route.family() == family);
        routes.extend(near.chain([default]).map(|route| Route { table: *table, ..route }));
    }
    routes
}

/// The kernel takes no IPv6 gateway that is on the link of another interface, `onlink` or not
/// (`ip6_route_check_nh_onlink`): the uplink has lost its addresses, and its default route stayed.
fn is_refused(route: &Route, uplink: &Uplink, uplinks: &[Uplink]) -> bool {
    let others = || uplinks.iter().filter(|other| other.id != uplink.id);
    let elsewhere = |gateway: IpAddr| {
        let mut on_link = others().flat_map(|other| &other.device.on_link);
        on_link.any(|net| net.contains(&host_net(gateway)))
    };
    route.family() == Family::V6
        && route.next_hops.iter().any(|hop| hop.onlink && hop.gateway.is_some_and(elsewhere))
}

/// The shared table has no on-link prefixes of its own.
fn as_onlink(hop: &NextHop) -> NextHop {
    let link_local = matches!(hop.gateway, Some(IpAddr::V6(g)) if g.is_unicast_link_local());
    NextHop { onlink: hop.gateway.is_some() && !link_local, ..hop.clone() }
}
