//! Prefixes that an interface reaches without a gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::observed::{
    Family, Observed, PROTOCOL, Route, RouteKind, TABLE_LOCAL, TABLE_MAIN, is_global,
};
use super::uplink::{Discovered, Ifindex, Uplink};
use crate::config::Ranges;

/// A host's own address is no prefix, a default route is no link.
fn is_prefix(net: &IpNet) -> bool {
    is_global(&net.network()) && net.prefix_len() > Family::of_net(net).default_bits()
}

/// Whether the route says that its destination is on the link of `ifindex`, to whomever asks.
fn says_on_link(route: &Route, ifindex: Ifindex) -> bool {
    route.kind == RouteKind::Unicast
        && route.source.is_none()
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
    let all: BTreeSet<IpAddr> = addresses.iter().map(|a| a.net.addr()).collect();
    let routed = observed
        .routes
        .iter()
        .filter(|route| says_on_link(route, ifindex) && !ranges.has_table(route.table))
        .map(|route| (route.table, route.destination))
        .filter(|(table, net)| {
            let holds_own = || all.range(net.network()..=net.broadcast()).next().is_some();
            let is_host = net.prefix_len() == net.max_prefix_len();
            match is_host {
                // The kernel's IPv6 route to an address without a prefix.
                true => *table == TABLE_MAIN && !holds_own(),
                false => *table == TABLE_MAIN || holds_own(),
            }
        })
        .map(|(_, net)| net);
    own.chain(routed).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Which interfaces have which prefix on their link, to be asked for each of thousands.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Of uplinks.
    uplinks: BTreeMap<IpNet, BTreeSet<Ifindex>>,
    /// The prefix lengths there are, by family.
    lengths: BTreeSet<(Family, u8)>,
    /// By routes of main.
    main: BTreeMap<IpNet, BTreeSet<Ifindex>>,
}

impl Links {
    pub(super) fn of(observed: &Observed, uplinks: &[Uplink]) -> Self {
        let mut links = Self::default();
        for device in uplinks.iter().map(|uplink| &uplink.device) {
            for net in &device.on_link {
                links.uplinks.entry(*net).or_default().insert(device.ifindex);
                links.lengths.insert((Family::of_net(net), net.prefix_len()));
            }
        }
        for route in observed.routes.iter().filter(|route| route.table == TABLE_MAIN) {
            let hops = route.next_hops.iter().map(|hop| hop.ifindex);
            let on_link = hops.filter(|ifindex| says_on_link(route, *ifindex));
            links.main.entry(route.destination).or_default().extend(on_link);
        }
        links
    }

    /// Whether main could take another interface than the uplink's for an on-link destination in
    /// `net`: two uplinks on one subnet, or another interface with exactly this prefix. A device that
    /// stands on the uplink leads to the same link.
    pub(super) fn is_contested(&self, uplink: &Discovered, net: &IpNet) -> bool {
        let is_other =
            |links: &BTreeSet<Ifindex>| links.iter().any(|link| !uplink.is_device(*link));
        let family = Family::of_net(net);
        let shorter = self.lengths.range((family, 0)..=(family, net.prefix_len()));
        let mut around = shorter.filter_map(|(_, length)| {
            self.uplinks.get(&IpNet::new(net.network(), *length).ok()?.trunc())
        });
        let inside = || {
            let rest = self.uplinks.range(*net..);
            rest.take_while(|(other, _)| net.contains(*other)).map(|(_, links)| links)
        };
        around.any(is_other) || inside().any(is_other) || self.main.get(net).is_some_and(is_other)
    }
}
