//! What the rules, tables, neighbours and sysctls should be.
//!
//! ```text
//!   base+10  from S to <contested on-link prefix> iif lo lookup T
//!   base+20  from S iif lo lookup main suppress_prefixlength 1   (IPv6: 3)
//!   base+30  from S iif lo lookup T
//!   base+40  from V iif lo lookup main
//!   base+50  from V iif lo lookup SHARED
//! ```
//!
//! S: source prefixes of one uplink, T: its table (first table + uplink id); V: shared
//! addresses, SHARED: the first table, with every live uplink's default route.
//!
//! `iif lo` limits the rules to the host's own packets: the kernel gives every lookup for a
//! packet it sends itself the loopback interface as input. A forwarded packet of an on-link
//! client has a source in S too, and must go where main sends it.
//!
//! The first kind of rule is made only where main may prefer another interface for the on-link
//! prefix (two uplinks on one subnet): elsewhere main's route is the same one, and main's more
//! specific routes inside the prefix (a container bridge, a VPN) must stay in force.
//!
//! The routes name no preferred source: a packet that reaches them has one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::observed::{
    Family, Link, NeighbourState, NextHop, Observed, PROTOCOL, Route, RouteKind, Rule, TABLE_MAIN,
    host_net,
};
use super::plan::{NeighbourKey, RpFilterChange};
pub use super::sources::Recognised;
use super::sources::{Sources, sources};
use super::uplink::Uplink;
use crate::config::{Config, Ranges, RpFilter};
use crate::sysctl::SavedSysctls;

const ON_LINK: u32 = 10;
const SPECIFIC: u32 = 20;
const OWN: u32 = 30;
const SHARED_MAIN: u32 = 40;
const SHARED: u32 = 50;

/// IPv6 knows no metric 0; 1024 is what the kernel takes when none is named.
const METRIC6: u32 = 1024;

/// Reverse-path filtering: by the best route, by any route.
const STRICT: u8 = 1;
const LOOSE: u8 = 2;

/// What should be, as far as it is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Desired {
    pub rules: BTreeSet<Rule>,
    /// On-link routes come before the default routes that may need them.
    pub routes: Vec<Route>,
    pub neighbours: BTreeSet<NeighbourKey>,
    /// Changes that make reverse-path filtering loose.
    pub loosen: Vec<RpFilterChange>,
    /// Changes that put the old value back.
    pub restore: Vec<RpFilterChange>,
    /// Addresses that somebody else already routes by source: they get no rules of ours.
    pub recognised: Vec<Recognised>,
}

/// The desired state. With fewer than two uplinks there is none: everything of ours goes.
pub fn desire(
    config: &Config,
    observed: &Observed,
    uplinks: &[Uplink],
    saved: &SavedSysctls,
) -> Desired {
    if uplinks.len() < 2 {
        return nothing(observed, saved);
    }
    let Sources { owned, shared, recognised } = sources(config.ranges, observed, uplinks);
    let mut desired = Desired { recognised, ..Desired::default() };

    for source in &owned {
        let table = config.ranges.table + u32::from(source.uplink.0);
        let rule = |offset| source_rule(config.ranges, source.net, offset, table);
        for prefix in &source.contested {
            desired.rules.insert(Rule { destination: Some(*prefix), ..rule(ON_LINK) });
        }
        desired.rules.insert(specific_routes_of_main(rule(SPECIFIC)));
        desired.rules.insert(rule(OWN));
    }
    for address in &shared {
        let rule = |offset, table| source_rule(config.ranges, host_net(*address), offset, table);
        desired.rules.insert(rule(SHARED_MAIN, TABLE_MAIN));
        desired.rules.insert(rule(SHARED, config.ranges.table));
    }

    let up: Vec<(&Uplink, &Link)> = uplinks
        .iter()
        .filter(|u| u.device.up)
        .filter_map(|u| Some((u, observed.link(u.device.ifindex)?)))
        .collect();
    for (uplink, _) in &up {
        desired.routes.extend(on_link_routes(config.ranges, uplink));
    }
    for family in Family::BOTH {
        let shares = shared.iter().any(|address| Family::of(address) == family);
        for (uplink, _) in &up {
            let Some(route) = default_route(config.ranges, observed, uplink, family) else {
                continue;
            };
            if shares && is_live(uplink, family) {
                desired.routes.push(Route {
                    table: config.ranges.table,
                    metric: 100 + u32::from(uplink.id.0),
                    next_hops: route.next_hops.iter().map(as_onlink).collect(),
                    ..route.clone()
                });
            }
            desired.routes.push(route);
        }
    }
    for (uplink, link) in &up {
        desired.neighbours.extend(neighbours(observed, uplink, link));
    }
    desired.loosen = loosen(config, observed, uplinks, saved);
    desired.restore = restore(observed, saved, |link| {
        config.rp_filter == RpFilter::Loosen
            && uplinks.iter().any(|u| u.device.ifindex == link.ifindex)
    });
    desired
}

/// The state in which nothing is ours.
pub(super) fn nothing(observed: &Observed, saved: &SavedSysctls) -> Desired {
    Desired { restore: restore(observed, saved, |_| false), ..Desired::default() }
}

fn source_rule(ranges: Ranges, source: IpNet, offset: u32, table: u32) -> Rule {
    Rule {
        family: Family::of_net(&source),
        priority: ranges.rule_priority + offset,
        source: Some(source),
        destination: None,
        iif: Some("lo".to_owned()),
        table,
        suppress_prefix_length: None,
        protocol: PROTOCOL,
        other: false,
    }
}

/// Turns a rule into one that finds all of main but its default routes.
fn specific_routes_of_main(rule: Rule) -> Rule {
    let length = u32::from(rule.family.default_bits());
    Rule { table: TABLE_MAIN, suppress_prefix_length: Some(length), ..rule }
}

fn route(ranges: Ranges, uplink: &Uplink, destination: IpNet, gateway: Option<IpAddr>) -> Route {
    let family = Family::of_net(&destination);
    Route {
        table: ranges.table + u32::from(uplink.id.0),
        destination,
        metric: if family == Family::V4 { 0 } else { METRIC6 },
        kind: RouteKind::Unicast,
        protocol: PROTOCOL,
        scope_link: family == Family::V4 && gateway.is_none(),
        next_hops: vec![NextHop {
            ifindex: uplink.device.ifindex,
            device: uplink.device.name.clone(),
            gateway,
            onlink: false,
        }],
    }
}

fn on_link_routes(ranges: Ranges, uplink: &Uplink) -> impl Iterator<Item = Route> {
    uplink.device.on_link.iter().map(move |net| route(ranges, uplink, *net, None))
}

/// The way out of an uplink, where the family has one.
fn default_route(
    ranges: Ranges,
    observed: &Observed,
    uplink: &Uplink,
    family: Family,
) -> Option<Route> {
    let device = &uplink.device;
    let (gateway, direct) = match family {
        Family::V4 => (device.gateway4, device.direct4),
        Family::V6 => (device.gateway6, device.direct6),
    };
    // A configured gateway is no way out where the interface does not speak the protocol.
    let speaks6 = || observed.addresses_on(device.ifindex).any(|a| a.net.addr().is_ipv6());
    let gateway = gateway.filter(|_| family == Family::V4 || speaks6());
    if gateway.is_none() && !direct {
        return None;
    }
    let mut route = route(ranges, uplink, family.any(), gateway);
    let covered = |g: IpAddr| {
        matches!(g, IpAddr::V6(g) if g.is_unicast_link_local())
            || device.on_link.iter().any(|net| net.contains(&host_net(g)))
    };
    for hop in &mut route.next_hops {
        hop.onlink = gateway.is_some_and(|g| !covered(g));
    }
    Some(route)
}

/// The shared table has no on-link prefixes of its own.
fn as_onlink(hop: &NextHop) -> NextHop {
    let link_local = matches!(hop.gateway, Some(IpAddr::V6(g)) if g.is_unicast_link_local());
    NextHop { onlink: hop.gateway.is_some() && !link_local, ..hop.clone() }
}

/// Whether packets without a record may be sent this way.
const fn is_live(uplink: &Uplink, family: Family) -> bool {
    let device = &uplink.device;
    match family {
        Family::V4 => device.gateway4_usable || device.gateway4.is_none(),
        Family::V6 => device.gateway6_usable || device.gateway6.is_none(),
    }
}

/// Gateways whose neighbour entry we keep resolved: not those that need no resolution, and not
/// those that somebody else keeps resolved.
fn neighbours<'a>(
    observed: &'a Observed,
    uplink: &'a Uplink,
    link: &'a Link,
) -> impl Iterator<Item = NeighbourKey> + 'a {
    let device = &uplink.device;
    let resolves = link.mac.is_some() && !link.noarp;
    let wanted = move |address: &&IpAddr| {
        observed.neighbour(device.ifindex, **address).is_none_or(|n| {
            n.protocol == PROTOCOL || !(n.managed || n.state == NeighbourState::Fixed)
        })
    };
    device.gateways.iter().filter(move |_| resolves).filter(wanted).map(|address| NeighbourKey {
        ifindex: device.ifindex,
        address: *address,
        device: device.name.clone(),
    })
}

/// Strict filters on uplinks, except where the administrator made them strict again after us.
fn loosen(
    config: &Config,
    observed: &Observed,
    uplinks: &[Uplink],
    saved: &SavedSysctls,
) -> Vec<RpFilterChange> {
    if config.rp_filter == RpFilter::Leave {
        return Vec::new();
    }
    let all = observed.rp_filter_all.unwrap_or(0);
    let links = uplinks.iter().filter_map(|u| observed.link(u.device.ifindex));
    links
        .filter(|link| saved.applied(link).is_none())
        .filter_map(|link| Some((link, link.rp_filter?)))
        .filter(|(_, value)| all.max(*value) == STRICT)
        .map(|(link, value)| RpFilterChange {
            ifindex: link.ifindex,
            device: link.name.clone(),
            from: value,
            to: LOOSE,
        })
        .collect()
}

/// Old values of links that are no longer `kept`, where the present value still is ours.
fn restore(
    observed: &Observed,
    saved: &SavedSysctls,
    kept: impl Fn(&Link) -> bool,
) -> Vec<RpFilterChange> {
    let links = observed.links.iter().filter(|link| !kept(link));
    links
        .filter_map(|link| Some((link, saved.get(link)?, link.rp_filter?)))
        .filter(|(_, saved, value)| saved.set == *value)
        .map(|(link, saved, value)| RpFilterChange {
            ifindex: link.ifindex,
            device: link.name.clone(),
            from: value,
            to: saved.old,
        })
        .collect()
}

#[cfg(test)]
mod tests;
