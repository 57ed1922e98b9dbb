//! Which source prefixes get rules: as few as say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::locals::{Holders, holders, local_prefixes};
use super::observed::{
    Observed, PROTOCOL, RouteKind, Rule, TABLE_LOCAL, TABLE_MAIN, host_net, overlap,
};
use super::on_link::Links;
use super::subnet_gateways::tables;
use super::uplink::{Uplink, UplinkId};
use crate::config::Ranges;

/// Priority of the kernel's rule for the main table.
const PRIORITY_MAIN: u32 = 32_766;
/// `RT_TABLE_DEFAULT`.
const TABLE_DEFAULT: u32 = 253;

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

/// An address for which somebody else's rule already does what ours would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recognised {
    pub address: IpAddr,
    /// The rule, as `ip rule` names it.
    pub priority: u32,
    pub table: u32,
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
    let mut all = Sources::default();

    let mut covered: BTreeSet<IpAddr> = BTreeSet::new();
    for (address, holder) in &holders {
        let equivalent = foreign.iter().find(|rule| {
            rule.source.is_some_and(|net| net.contains(&host_net(*address)))
                && match holder.owner() {
                    Some(id) => leads_out_of(observed, rule, uplinks, id),
                    None => holder.is_shared(),
                }
        });
        if let Some(rule) = equivalent {
            covered.insert(*address);
            let (priority, table) = (rule.priority, rule.table);
            all.recognised.push(Recognised { address: *address, priority, table });
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
        let around = |rule: &&&Rule| rule.source.is_some_and(|net| net.contains(prefix));
        match foreign.iter().find(around) {
            Some(Rule { priority, table, .. }) => {
                let (address, priority, table) = (prefix.network(), *priority, *table);
                all.recognised.push(Recognised { address, priority, table });
            }
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
        && rule.protocol != PROTOCOL
        // Behind main nothing is asked for that main has a default route for.
        && rule.priority < PRIORITY_MAIN
        && rule.destination.is_none()
        && rule.oif.is_none()
        && rule.suppress_prefix_length.is_none()
        && rule.iif.as_deref().is_none_or(|iif| iif == "lo")
        && !matches!(rule.table, 0 | TABLE_DEFAULT | TABLE_MAIN | TABLE_LOCAL)
}

/// Whether the rule's table has a default route over the uplink.
fn leads_out_of(observed: &Observed, rule: &Rule, uplinks: &[Uplink], id: UplinkId) -> bool {
    let ifindex = uplinks.iter().find(|u| u.id == id).map(|u| u.device.ifindex);
    observed.routes.iter().any(|route| {
        route.table == rule.table
            && route.family() == rule.family
            && route.is_default()
            && route.kind == RouteKind::Unicast
            && route.next_hops.iter().any(|hop| Some(hop.ifindex) == ifindex)
    })
}

#[cfg(test)]
mod tests;
