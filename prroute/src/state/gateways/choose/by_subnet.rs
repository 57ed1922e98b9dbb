//! One interface with several subnets, each with a gateway of its own: what has a source in a
//! subnet goes by the gateway of that subnet, and all the rest by the preferred one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use prroute_common::uplink::SUBNET_GATEWAYS;

use super::{Chosen, FamilyGateways, Interface};
use crate::state::observed::{Family, host_net, overlap};

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
pub(crate) struct SubnetGateways {
    pub(crate) found: Vec<SubnetGateway>,
    /// What cannot be decided, one sentence each.
    pub(crate) undecided: Vec<String>,
}

/// The gateways of subnets other than the preferred gateway's. A gateway serves the subnet of an
/// address of the interface that it lies in; of several the first one that resolves.
pub(crate) fn subnet_gateways(
    interface: Interface<'_>,
    name: &str,
    family: Family,
    known: &FamilyGateways,
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
        let chosen = interface.choose(gateways.iter().copied().map(Some));
        let Some(Chosen { gateway: Some(gateway), usable, resolved }) = chosen else { continue };
        if let Some(other) = subnets.iter().find(|other| *other != net && overlap(other, net)) {
            all.undecided.push(format!(
                "{name}: the subnets {net} and {other} overlap: gateway {gateway} is not used"
            ));
            continue;
        }
        all.found.push(SubnetGateway { net: *net, gateway, usable, resolved });
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

#[cfg(test)]
mod tests;
