//! Which source prefixes get rules: as few as say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::locals::{Holders, holders, local_prefixes};
use super::observed::{
    Observed, PROTOCOL, Route, RouteKind, Rule, TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN, host_net,
    overlap,
};
use super::on_link::Links;
use super::source_routes::MainDefaults;
use super::subnet_tables::tables;
use super::uplink::{Uplink, UplinkId};
use crate::config::{PRIORITY_MAIN, Ranges};

/// A source prefix of one uplink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) net: IpNet,
    /// The uplink's table, or that of the subnet's gateway.
    pub(super) table: u32,
    /// The uplink's on-link prefixes around or inside `net` for which main may prefer another
    /// interface.
    pub(super) contested: Vec<IpNet>,
}

/// An address for which somebody else's rule or route already does what ours would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    pub address: IpAddr,
    pub by: SourceRouting,
}

/// What routes by source already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceRouting {
    /// A rule, as `ip rule` names it.
    Rule { priority: u32, table: u32 },
    /// A source-specific default route of main.
    Route { table: u32, source: IpNet, device: String, gateway: Option<IpAddr> },
}

impl SourceRouting {
    fn rule(rule: &Rule) -> Self {
        Self::Rule { priority: rule.priority, table: rule.table }
    }

    fn route(route: &Route) -> Option<Self> {
        let hop = route.next_hops.first()?;
        let (device, gateway) = (hop.device.clone(), hop.gateway);
        Some(Self::Route { table: route.table, source: route.source?, device, gateway })
    }
}

impl fmt::Display for SourceRouting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { priority, table } => write!(f, "rule {priority} to table {table}"),
            Self::Route { source, device, gateway, .. } => {
                write!(f, "main's route default from {source}")?;
                if let Some(gateway) = gateway {
                    write!(f, " via {gateway}")?;
                }
                write!(f, " dev {device}")
            }
        }
    }
}

impl fmt::Display for Recognised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, by } = self;
        write!(f, "{address}: already routed by source ({by}); prroute adds nothing for it")
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sources {
    pub(super) owned: Vec<Source>,
    /// Shared addresses, and prefixes that are local by a route, in as few prefixes as hold no others.
    pub(super) shared: Vec<IpNet>,
    pub(super) recognised: Vec<Recognised>,
}

pub(super) fn sources(ranges: Ranges, observed: &Observed, uplinks: &[Uplink]) -> Sources {
    let holders = holders(observed, uplinks);
    let foreign: Vec<&Rule> =
        observed.rules.iter().filter(|rule| is_source_rule(ranges, rule)).collect();
    let defaults = MainDefaults::of(observed);
    let mut all = Sources::default();

    let mut covered: BTreeSet<IpAddr> = BTreeSet::new();
    for (address, holder) in &holders {
        let net = host_net(*address);
        let is_equivalent = |routes: &[&Route]| match holder.owner() {
            Some(id) => leads_out_of(routes, uplinks, id),
            None => holder.is_shared(),
        };
        let mut rules = rules_about(&foreign, &net).peekable();
        let by = match rules.peek() {
            Some(_) => rules
                .find(|rule| is_equivalent(&defaults_of(observed, rule, &net)))
                .map(SourceRouting::rule),
            None => defaults
                .source_specific(&net)
                .filter(|route| is_equivalent(&[route]))
                .and_then(SourceRouting::route),
        };
        if let Some(by) = by {
            covered.insert(*address);
            all.recognised.push(Recognised { address: *address, by });
        } else if holder.is_shared() {
            all.shared.push(host_net(*address));
        }
    }
    let prefixes = local_prefixes(observed);
    let others: BTreeSet<IpAddr> = holders
        .iter()
        .filter(|(address, holder)| covered.contains(address) || !holder.is_shared())
        .map(|(address, _)| *address)
        .collect();
    for prefix in &prefixes {
        let by_route = || defaults.source_specific(prefix).and_then(SourceRouting::route);
        let by_rule = rules_about(&foreign, prefix).next().map(SourceRouting::rule);
        match by_rule.or_else(by_route) {
            Some(by) => all.recognised.push(Recognised { address: prefix.network(), by }),
            None => without(*prefix, &others, &mut all.shared),
        }
    }
    all.shared = IpNet::aggregate(&all.shared);

    let links = Links::of(observed, uplinks);
    let tables = tables(ranges, uplinks);
    for uplink in uplinks {
        let prefixes = undivided(uplink, &holders, &covered, &prefixes);
        let nets: BTreeSet<IpNet> = uplink
            .device
            .addresses
            .iter()
            .filter(|net| holders.get(&net.addr()).and_then(Holders::owner) == Some(uplink.id))
            .filter(|net| !covered.contains(&net.addr()))
            .map(|net| aggregate(net.addr(), &prefixes))
            .collect();
        let on_link = &uplink.device.on_link;
        let contested: Vec<IpNet> =
            on_link.iter().filter(|net| links.is_contested(&uplink.device, net)).copied().collect();
        let mut wider: Option<IpNet> = None;
        for net in &nets {
            // A prefix of the same uplink around it, which is before it in order, says it already.
            if wider.is_some_and(|wider| wider.contains(net)) {
                continue;
            }
            wider = Some(*net);
            let near = contested.iter().filter(|p| p.contains(net) || net.contains(*p));
            all.owned.push(Source {
                net: *net,
                table: table_of(ranges, uplink, &tables, net),
                contested: near.copied().collect(),
            });
        }
    }
    all
}

/// The table of the gateway that serves a source.
fn table_of(
    ranges: Ranges,
    uplink: &Uplink,
    tables: &BTreeMap<(UplinkId, IpNet), u32>,
    source: &IpNet,
) -> u32 {
    let mut subnets = uplink.device.subnet_gateways_in_force();
    let subnet = subnets.find(|subnet| subnet.net.contains(source));
    let table = subnet.and_then(|subnet| tables.get(&(uplink.id, subnet.net)));
    table.copied().unwrap_or_else(|| uplink.table(ranges))
}

/// On-link prefixes of the uplink in which every local address is its own, and needs our rules.
fn undivided(
    uplink: &Uplink,
    holders: &BTreeMap<IpAddr, Holders>,
    covered: &BTreeSet<IpAddr>,
    local: &[IpNet],
) -> BTreeSet<IpNet> {
    let alone = |prefix: &&IpNet| {
        let mut inside = holders.range(prefix.network()..=prefix.broadcast());
        inside.all(|(address, holder)| {
            holder.owner() == Some(uplink.id) && !covered.contains(address)
        })
    };
    let is_shared = |prefix: &IpNet| local.iter().any(|shared| overlap(shared, prefix));
    // A prefix around a subnet with a gateway of its own has two ways out.
    let is_divided = |prefix: &IpNet| {
        let mut subnets = uplink.device.subnet_gateways_in_force();
        subnets.any(|subnet| *prefix != subnet.net && prefix.contains(&subnet.net))
    };
    let undivided = uplink.device.on_link.iter().filter(alone);
    undivided.filter(|prefix| !is_shared(prefix) && !is_divided(prefix)).copied().collect()
}

/// What of a prefix is left without some addresses.
fn without(net: IpNet, others: &BTreeSet<IpAddr>, rest: &mut Vec<IpNet>) {
    if others.range(net.network()..=net.broadcast()).next().is_none() {
        rest.push(net);
        return;
    }
    for half in net.subnets(net.prefix_len() + 1).into_iter().flatten() {
        without(half, others, rest);
    }
}

/// The widest of the prefixes around an address, else the address.
fn aggregate(address: IpAddr, prefixes: &BTreeSet<IpNet>) -> IpNet {
    let address = host_net(address);
    let around = prefixes.iter().filter(|prefix| prefix.contains(&address));
    around.min_by_key(|prefix| prefix.prefix_len()).copied().unwrap_or(address)
}

/// A rule of others that says nothing but "from here look there".
fn is_source_rule(ranges: Ranges, rule: &Rule) -> bool {
    !ranges.has_priority(rule.priority)
        && !ranges.has_table(rule.table)
        && !rule.other
        && !rule.invert
        && rule.mark.is_none()
        && rule.protocol != PROTOCOL
        // Behind main nothing is asked for that main has a default route for.
        && rule.priority < PRIORITY_MAIN
        && rule.destination.is_none()
        && rule.oif.is_none()
        && rule.suppress_prefix_length.is_none()
        && rule.iif.as_deref().is_none_or(|iif| iif == "lo")
        && !matches!(rule.table, 0 | TABLE_DEFAULT | TABLE_MAIN | TABLE_LOCAL)
}

/// Rules that are about every source in `net`, in their order.
fn rules_about<'a>(rules: &[&'a Rule], net: &IpNet) -> impl Iterator<Item = &'a Rule> {
    let about = move |rule: &&&Rule| rule.source.is_some_and(|source| source.contains(net));
    rules.iter().filter(about).copied()
}

/// The default routes that a source finds in a rule's table.
fn defaults_of<'a>(observed: &'a Observed, rule: &Rule, source: &IpNet) -> Vec<&'a Route> {
    let routes = observed.routes.iter().filter(|route| {
        route.table == rule.table
            && route.family() == rule.family
            && route.is_default_for_some()
            && route.serves(source)
            && route.kind == RouteKind::Unicast
    });
    routes.collect()
}

/// Whether one of the routes leads over the uplink.
fn leads_out_of(routes: &[&Route], uplinks: &[Uplink], id: UplinkId) -> bool {
    let ifindex = uplinks.iter().find(|u| u.id == id).map(|u| u.device.ifindex);
    let mut hops = routes.iter().flat_map(|route| &route.next_hops);
    hops.any(|hop| Some(hop.ifindex) == ifindex)
}

#[cfg(test)]
mod tests;
