//! Routes.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_core::Nla as _;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop,
    RouteNextHopFlags, RoutePreference, RouteScope, RouteType, RouteVia,
};

use super::family;
use crate::state::observed::{Family, NextHop, Route, RouteKind, RouteMetrics, RouterPreference};
use crate::state::uplink::Ifindex;

/// Names of the devices are not part of the message.
pub(in crate::netlink) fn route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let family = family(header.address_family)?;
    // Clones are cached exceptions, no routes.
    if header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let mut route = Route {
        table: u32::from(header.table),
        destination: family.any(),
        source: None,
        metric: 0,
        preference: RouterPreference::default(),
        kind: match header.kind {
            RouteType::Unicast => RouteKind::Unicast,
            other => RouteKind::Other(other.into()),
        },
        protocol: header.protocol.into(),
        scope_link: family == Family::V4 && header.scope == RouteScope::Link,
        next_hops: Vec::new(),
        metrics: RouteMetrics::default(),
    };
    let (mut oif, mut gateway) = (None, None);
    let mut metrics: &[RouteMetric] = &[];
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(table) => route.table = *table,
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::Preference(preference) => {
                route.preference = router_preference(*preference);
            }
            RouteAttribute::Destination(address) => {
                let length = header.destination_prefix_length;
                route.destination = IpNet::new(route_address(address)?, length).ok()?;
            }
            RouteAttribute::Source(address) => {
                let length = header.source_prefix_length;
                route.source = Some(IpNet::new(route_address(address)?, length).ok()?);
            }
            RouteAttribute::Oif(index) => oif = Some(*index),
            RouteAttribute::MultiPath(hops) => {
                route.next_hops = hops.iter().map(next_hop).collect();
            }
            RouteAttribute::Metrics(all) => metrics = all,
            other => gateway = gateway.or(gateway_of(other)),
        }
    }
    if let Some(oif) = oif.filter(|_| route.next_hops.is_empty()) {
        let onlink = header.flags.contains(RouteFlags::Onlink);
        route.next_hops.push(hop(oif, gateway, onlink));
    }
    // The kernel gives IPv6 routes that lead nowhere the loopback interface.
    if leads_nowhere(header.kind) {
        route.next_hops.clear();
    }
    if route.is_default_for_some() {
        route.metrics = RouteMetrics::new(metrics.iter().filter_map(number));
    }
    Some(route)
}

/// Its number, and its value where that is one.
pub(super) fn number(metric: &RouteMetric) -> Option<(u16, u32)> {
    let mut value = [0; 4];
    if metric.value_len() != value.len() {
        return None;
    }
    metric.emit_value(&mut value);
    Some((metric.kind(), u32::from_ne_bytes(value)))
}

/// How long a route is valid: `None` for ever, `Err` not any more. The kernel takes expired IPv6
/// routes for nothing, but deletes and announces them up to `net.ipv6.route.gc_interval` (30 s)
/// later.
pub(in crate::netlink) fn validity(message: &RouteMessage) -> Result<Option<Duration>, Expired> {
    /// `USER_HZ`: 100 wherever BPF runs.
    const MILLISECONDS: u64 = 10;
    let expires = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::CacheInfo(info) => Some(info.expires.cast_signed()),
        _ => None,
    });
    match expires {
        None | Some(0) => Ok(None),
        Some(ticks) => match u64::try_from(ticks) {
            Ok(ticks) => Ok(Some(Duration::from_millis(ticks * MILLISECONDS))),
            Err(_) => Err(Expired),
        },
    }
}

/// A route that the kernel has not deleted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::netlink) struct Expired;

/// What no router may say counts as medium, as it does for the kernel.
const fn router_preference(preference: RoutePreference) -> RouterPreference {
    match preference {
        RoutePreference::High => RouterPreference::High,
        RoutePreference::Low => RouterPreference::Low,
        _ => RouterPreference::Medium,
    }
}

const fn leads_nowhere(kind: RouteType) -> bool {
    matches!(
        kind,
        RouteType::Unreachable | RouteType::BlackHole | RouteType::Prohibit | RouteType::Throw
    )
}

const fn hop(ifindex: u32, gateway: Option<IpAddr>, onlink: bool) -> NextHop {
    NextHop { ifindex: Ifindex(ifindex), device: String::new(), gateway, onlink }
}

fn next_hop(next: &RouteNextHop) -> NextHop {
    let onlink = next.flags.contains(RouteNextHopFlags::Onlink);
    hop(next.interface_index, next.attributes.iter().find_map(gateway_of), onlink)
}

pub(in crate::netlink) const fn gateway_of(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => route_address(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

pub(in crate::netlink) const fn route_address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
