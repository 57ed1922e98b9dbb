//! Which source prefixes get rules: as few as say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::locals::{Holders, holders};
use super::observed::{Observed, PROTOCOL, RouteKind, Rule, TABLE_LOCAL, TABLE_MAIN, host_net};
use super::on_link::is_contested;
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
    /// Shared addresses.
    pub(super) shared: Vec<IpAddr>,
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
            all.shared.push(*address);
        }
    }

    let tables = tables(ranges, uplinks);
    for uplink in uplinks {
        let prefixes = undivided(uplink, &holders, &covered);
        let nets: BTreeSet<IpNet> = uplink
            .device
            .addresses
            .iter()
            .filter(|net| holders.get(&net.addr()).and_then(Holders::owner) == Some(uplink.id))
            .filter(|net| !covered.contains(&net.addr()))
            .map(|net| aggregate(net.addr(), &prefixes))
            .collect();
        let on_link = &uplink.device.on_link;
        let elsewhere = || {
            let others = uplinks.iter().filter(|other| other.id != uplink.id);
            others.flat_map(|other| &other.device.on_link)
        };
        let contested: Vec<IpNet> = on_link
            .iter()
            .filter(|net| is_contested(observed, &uplink.device, net, elsewhere()))
            .copied()
            .collect();
        for net in &nets {
            // A prefix of the same uplink around it says it already.
            if nets.iter().any(|wider| wider != net && wider.contains(net)) {
                continue;
            }
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
) -> BTreeSet<IpNet> {
    let alone = |prefix: &&IpNet| {
        let mut inside = holders.range(prefix.network()..=prefix.broadcast());
        inside.all(|(address, holder)| {
            holder.owner() == Some(uplink.id) && !covered.contains(address)
        })
    };
    // A prefix around a subnet with a gateway of its own has two ways out.
    let is_divided = |prefix: &&IpNet| {
        let mut subnets = uplink.device.subnet_gateways_in_force();
        subnets.any(|subnet| **prefix != subnet.net && prefix.contains(&subnet.net))
    };
    let prefixes = uplink.device.on_link.iter().filter(|prefix| !is_divided(prefix));
    prefixes.filter(alone).copied().collect()
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
