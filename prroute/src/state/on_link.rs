//! Prefixes that an interface reaches without a gateway.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::observed::{
    Family, Observed, PROTOCOL, Route, RouteKind, TABLE_LOCAL, TABLE_MAIN, host_net, is_global,
};
use super::uplink::{Discovered, Ifindex};
use crate::config::Ranges;

/// A host's own address is no prefix, a default route is no link.
fn is_prefix(net: &IpNet) -> bool {
    is_global(&net.network()) && net.prefix_len() > Family::of_net(net).default_bits()
}

/// Whether the route says that its destination is on the link of `ifindex`.
fn says_on_link(route: &Route, ifindex: Ifindex) -> bool {
    route.kind == RouteKind::Unicast
        && route.protocol != PROTOCOL
        && route.table != TABLE_LOCAL
        && is_prefix(&route.destination)
        && route.next_hops.iter().any(|hop| hop.ifindex == ifindex && hop.gateway.is_none())
}

/// The prefixes of an interface's addresses.
pub(super) fn own_prefixes(
    observed: &Observed,
    ifindex: Ifindex,
) -> impl Iterator<Item = IpNet> + '_ {
    observed
        .addresses_on(ifindex)
        .filter(|a| !a.failed && !a.no_prefix_route)
        .filter(|a| a.net.prefix_len() < a.net.max_prefix_len())
        .map(|a| a.net.trunc())
        .filter(is_prefix)
}

/// On-link prefixes of an interface: of its addresses, of main's routes without a gateway, and
/// of other tables' where they hold one of its addresses (a manager that keeps the interface's
/// routes in a table of their own). Sorted, each once.
pub(super) fn on_link(ranges: Ranges, observed: &Observed, ifindex: Ifindex) -> Vec<IpNet> {
    let addresses: Vec<_> = observed.addresses_on(ifindex).filter(|a| !a.failed).collect();
    let own = own_prefixes(observed, ifindex);
    let routed = observed
        .routes
        .iter()
        .filter(|route| says_on_link(route, ifindex) && !ranges.has_table(route.table))
        .map(|route| (route.table, route.destination))
        .filter(|(table, net)| {
            let mut own = addresses.iter().map(|a| host_net(a.net.addr()));
            let is_host = net.prefix_len() == net.max_prefix_len();
            match is_host {
                // The kernel's IPv6 route to an address without a prefix.
                true => *table == TABLE_MAIN && !own.any(|address| address == *net),
                false => *table == TABLE_MAIN || own.any(|address| net.contains(&address)),
            }
        })
        .map(|(_, net)| net);
    own.chain(routed).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether main could take another interface for an on-link destination in `net`: two uplinks
/// on one subnet, or another interface with exactly this prefix. A device that stands on the uplink
/// leads to the same link.
pub(super) fn is_contested<'a>(
    observed: &Observed,
    uplink: &Discovered,
    net: &IpNet,
    mut others: impl Iterator<Item = &'a IpNet>,
) -> bool {
    others.any(|other| super::observed::overlap(other, net))
        || observed.routes.iter().any(|route| {
            route.table == TABLE_MAIN
                && route.destination == *net
                && route
                    .next_hops
                    .iter()
                    .any(|hop| !uplink.is_device(hop.ifindex) && says_on_link(route, hop.ifindex))
        })
}
