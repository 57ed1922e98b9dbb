//! The ways out of an interface that are for the sources of one prefix only: source-specific default
//! routes, which only IPv6 has.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;
use prroute_common::uplink::SUBNET_GATEWAYS;

use super::{Chosen, Interface};
use crate::state::observed::{Family, Route};
use crate::state::uplink::Discovered;

/// The way out of an interface for the sources of one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRoute {
    pub source: IpNet,
    /// `None`: it needs none.
    pub gateway: Option<IpAddr>,
    /// `false` when the kernel failed to resolve the gateway.
    pub usable: bool,
    /// Whether the kernel has its link-layer address.
    pub resolved: bool,
}

/// What the source-specific ones of an interface's default routes, the best one first, say of each
/// source prefix. The longest prefix comes first.
pub(crate) fn source_routes(interface: Interface<'_>, routes: &[&Route]) -> Vec<SourceRoute> {
    let mut sources: Vec<IpNet> = routes.iter().filter_map(|route| route.source).collect();
    sources.sort_by_key(|source| (Reverse(source.prefix_len()), *source));
    sources.dedup();
    let of = |source: IpNet| {
        let routes = routes.iter().filter(|route| route.source == Some(source));
        let hops = routes.flat_map(|route| &route.next_hops);
        let over = hops.filter(|hop| hop.ifindex == interface.ifindex).map(|hop| hop.gateway);
        let Chosen { gateway, usable, resolved } = interface.choose(over)?;
        Some(SourceRoute { source, gateway, usable, resolved })
    };
    sources.into_iter().filter_map(of).collect()
}

/// Source prefixes whose gateways the datapath has no room for, one sentence each.
pub(crate) fn beyond(device: &Discovered) -> Vec<String> {
    let known = device.gateways_by_source();
    let of_family = known.iter().filter(|known| Family::of_net(&known.net) == Family::V6);
    let is_source = |net: IpNet| device.source_routes.iter().any(|route| route.source == net);
    let beyond = of_family.skip(SUBNET_GATEWAYS).filter(|known| is_source(known.net));
    let sentence = |net| {
        format!(
            "{}: more than {SUBNET_GATEWAYS} source prefixes with a gateway of their own: \
             forwarded replies from {net} go by the preferred gateway",
            device.name
        )
    };
    beyond.map(|known| sentence(known.net)).collect()
}
