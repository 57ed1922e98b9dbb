//! From the types of the model to netlink messages.

use std::net::IpAddr;

use netlink_packet_core::DefaultNla;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{
    NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags,
    RouteProtocol, RouteScope, RouteType, RouteVia,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

use crate::state::observed::{Family, NextHop, PROTOCOL, Route, RouteKind, Rule};
use crate::state::plan::NeighbourKey;

pub(super) const fn family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

pub(super) fn rule(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(rule.family);
    message.header.action = match (rule.goto, rule.table) {
        (Some(_), _) => RuleAction::Goto,
        (None, 0) => RuleAction::Nop,
        (None, _) => RuleAction::ToTable,
    };
    if rule.invert {
        message.header.flags |= RuleFlags::Invert;
    }
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Priority(rule.priority));
    match rule.goto {
        Some(priority) => attributes.push(RuleAttribute::Goto(priority)),
        None if rule.table == 0 => {}
        None => attributes.push(RuleAttribute::Table(rule.table)),
    }
    attributes.push(RuleAttribute::Protocol(RouteProtocol::from(rule.protocol)));
    if let Some(source) = rule.source {
        message.header.src_len = source.prefix_len();
        attributes.push(RuleAttribute::Source(source.network()));
    }
    if let Some(destination) = rule.destination {
        message.header.dst_len = destination.prefix_len();
        attributes.push(RuleAttribute::Destination(destination.network()));
    }
    if let Some(iif) = &rule.iif {
        attributes.push(RuleAttribute::Iifname(iif.clone()));
    }
    if let Some(oif) = &rule.oif {
        attributes.push(RuleAttribute::Oifname(oif.clone()));
    }
    if let Some(length) = rule.suppress_prefix_length {
        attributes.push(RuleAttribute::SuppressPrefixLen(length));
    }
    message
}

pub(super) fn route(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.family());
    message.header.destination_prefix_length = route.destination.prefix_len();
    message.header.protocol = RouteProtocol::from(route.protocol);
    message.header.kind = match route.kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Other(kind) => RouteType::from(kind),
    };
    message.header.scope = if route.scope_link { RouteScope::Link } else { RouteScope::Universe };
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Table(route.table));
    if route.destination.prefix_len() > 0 {
        attributes.push(RouteAttribute::Destination(route.destination.network().into()));
    }
    if let Some(source) = route.source {
        message.header.source_prefix_length = source.prefix_len();
        attributes.push(RouteAttribute::Source(source.network().into()));
    }
    if route.metric != 0 {
        attributes.push(RouteAttribute::Priority(route.metric));
    }
    if !route.metrics.is_empty() {
        let metric = |(number, value): (u16, u32)| {
            RouteMetric::Other(DefaultNla::new(number, value.to_ne_bytes().to_vec()))
        };
        attributes.push(RouteAttribute::Metrics(route.metrics.iter().map(metric).collect()));
    }
    match route.next_hops.as_slice() {
        [] => {}
        [hop] => {
            attributes.push(RouteAttribute::Oif(hop.ifindex.0));
            attributes.extend(gateway(hop, route.family()));
            if hop.onlink {
                message.header.flags |= RouteFlags::Onlink;
            }
        }
        hops => {
            let hops = hops.iter().map(|hop| next_hop(hop, route.family())).collect();
            attributes.push(RouteAttribute::MultiPath(hops));
        }
    }
    message
}

fn gateway(hop: &NextHop, family: Family) -> Option<RouteAttribute> {
    Some(match (hop.gateway?, family) {
        (IpAddr::V6(gateway), Family::V4) => RouteAttribute::Via(RouteVia::Inet6(gateway)),
        (gateway, _) => RouteAttribute::Gateway(gateway.into()),
    })
}

fn next_hop(hop: &NextHop, family: Family) -> RouteNextHop {
    let mut next = RouteNextHop::default();
    next.interface_index = hop.ifindex.0;
    next.attributes.extend(gateway(hop, family));
    if hop.onlink {
        next.flags |= RouteNextHopFlags::Onlink;
    }
    next
}

/// An entry to be resolved now (`NTF_USE`) and, if `managed`, kept so.
pub(super) fn neighbour(key: &NeighbourKey, managed: bool) -> NeighbourMessage {
    let mut message = neighbour_key(key);
    message.header.flags = NeighbourFlags::Use;
    message.attributes.push(NeighbourAttribute::Protocol(RouteProtocol::from(PROTOCOL)));
    if managed {
        message.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
    }
    message
}

/// An entry whose address is to be confirmed now, and is in use until it is found to be wrong. It
/// says nothing of other flags, and so clears that the kernel keeps it resolved.
pub(super) fn doubted_neighbour(key: &NeighbourKey) -> NeighbourMessage {
    let mut message = neighbour_key(key);
    message.header.state = NeighbourState::Probe;
    message.attributes.push(NeighbourAttribute::Protocol(RouteProtocol::from(PROTOCOL)));
    message
}

/// An entry that the kernel keeps resolved from now on.
pub(super) fn managed_neighbour(key: &NeighbourKey) -> NeighbourMessage {
    let mut message = neighbour_key(key);
    message.attributes.push(NeighbourAttribute::Protocol(RouteProtocol::from(PROTOCOL)));
    message.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
    message
}

pub(super) fn neighbour_key(key: &NeighbourKey) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(Family::of(&key.address));
    message.header.ifindex = key.ifindex.0;
    message.header.state = NeighbourState::None;
    message.attributes.push(NeighbourAttribute::Destination(key.address.into()));
    message
}
