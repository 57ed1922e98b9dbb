//! One interface with several subnets, each with a gateway of its own: what has a source in a
//! subnet goes by the gateway of that subnet, and all the rest by the preferred one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use prroute_common::uplink::SUBNET_GATEWAYS;

use super::gateways::{Gateways, has_failed, is_resolved};
use super::observed::{Family, Observed, host_net, overlap};
use super::uplink::{Ifindex, Uplink, UplinkId};
use crate::config::Ranges;

/// The gateway of one subnet, where that is not the preferred one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetGateway {
    pub net: IpNet,
    pub gateway: IpAddr,
    /// `false` when the kernel failed to resolve it: the preferred gateway serves the subnet then.
    pub usable: bool,
    /// Whether the kernel has its link-layer address.
    pub resolved: bool,
}

/// What is known of an interface's further gateways.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SubnetGateways {
    pub(super) found: Vec<SubnetGateway>,
    /// What cannot be decided, one sentence each.
    pub(super) undecided: Vec<String>,
}

/// The gateways of subnets other than the preferred gateway's. A gateway serves the subnet of an
/// address of the interface that it lies in; of several the first one that resolves.
pub(super) fn subnet_gateways(
    observed: &Observed,
    ifindex: Ifindex,
    name: &str,
    family: Family,
    known: &Gateways,
    addresses: &[IpNet],
) -> SubnetGateways {
    let of_family = addresses.iter().filter(|net| Family::of_net(net) == family);
    let subnets: BTreeSet<IpNet> =
        of_family.filter(|net| net.prefix_len() < net.max_prefix_len()).map(IpNet::trunc).collect();
    let mut all = SubnetGateways::default();
    if subnets.len() < 2 || known.for_all.len() < 2 {
        return all;
    }
    let subnet_of = |gateway: IpAddr| {
        let around = subnets.iter().filter(|net| net.contains(&host_net(gateway)));
        around.max_by_key(|net| net.prefix_len()).copied()
    };
    let preferred = known.way_out.gateway.and_then(subnet_of);
    let mut gateways: BTreeMap<IpNet, Vec<IpAddr>> = BTreeMap::new();
    let mut anywhere = Vec::new();
    for gateway in &known.for_all {
        match subnet_of(*gateway) {
            Some(net) => gateways.entry(net).or_default().push(*gateway),
            None => anywhere.push(gateway.to_string()),
        }
    }
    if anywhere.len() > 1 {
        all.undecided.push(format!(
            "{name}: it is not known which subnet each of the gateways {} is for: one of them \
             serves all subnets without a gateway of their own",
            anywhere.join(", ")
        ));
    }
    for (net, gateways) in gateways.iter().filter(|(net, _)| Some(**net) != preferred) {
        let works = |gateway: &&IpAddr| !has_failed(observed, ifindex, **gateway);
        let working = gateways.iter().find(works).copied();
        let Some(gateway) = working.or(gateways.first().copied()) else { continue };
        if let Some(other) = subnets.iter().find(|other| *other != net && overlap(other, net)) {
            all.undecided.push(format!(
                "{name}: the subnets {net} and {other} overlap: gateway {gateway} is not used"
            ));
            continue;
        }
        all.found.push(SubnetGateway {
            net: *net,
            gateway,
            usable: working.is_some(),
            resolved: working.is_some_and(|gateway| is_resolved(observed, ifindex, gateway)),
        });
    }
    for beyond in all.found.iter().skip(SUBNET_GATEWAYS) {
        all.undecided.push(format!(
            "{name}: more than {SUBNET_GATEWAYS} subnets with a gateway of their own: forwarded \
             replies from {} go by the preferred gateway",
            beyond.net
        ));
    }
    all
}

/// The routing tables of the gateways in force, by uplink and subnet. A number depends on the subnet
/// and on its uplink's id alone, as long as no other one has it: it stays while others come and go.
pub(super) fn tables(ranges: Ranges, uplinks: &[Uplink]) -> BTreeMap<(UplinkId, IpNet), u32> {
    let places = ranges.fixed_tables();
    let count = places.end() - places.start() + 1;
    let mut taken: BTreeSet<u32> = uplinks.iter().filter_map(|u| u.device.table).collect();
    let mut tables = BTreeMap::new();
    for uplink in uplinks {
        for SubnetGateway { net, .. } in uplink.device.subnet_gateways_in_force() {
            let first = hash(uplink.id, net) % count;
            let mut numbers = (0..count).map(|n| places.start() + (first + n) % count);
            if let Some(table) = numbers.find(|number| !taken.contains(number)) {
                taken.insert(table);
                tables.insert((uplink.id, *net), table);
            }
        }
    }
    tables
}

/// FNV-1a: the same in every version.
fn hash(id: UplinkId, net: &IpNet) -> u32 {
    format!("{id} {net}")
        .bytes()
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests;
