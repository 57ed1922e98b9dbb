//! Drop-in files of systemd-networkd: one for each uplink.

use std::fmt::Display;
use std::net::IpAddr;

use super::{Static, devices_of_rules};
use crate::state::observed::{Family, Route, RouteKind, Rule};
use crate::state::uplink::{Ifindex, Uplink};

/// What an uplink's `.network` file has to have beside what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DropIn {
    pub(crate) ifindex: Ifindex,
    pub(crate) device: String,
    pub(crate) text: String,
}

/// One for each uplink that has any rule or route.
pub(crate) fn drop_ins(all: &Static, uplinks: &[Uplink]) -> Vec<DropIn> {
    let Some(first) = uplinks.first() else { return Vec::new() };
    let owners = devices_of_rules(all, first.device.ifindex);
    let mut drop_ins = Vec::new();
    for uplink in uplinks {
        let ifindex = uplink.device.ifindex;
        let mut text = String::new();
        let is_its = |route: &&Route| match route.next_hops.first() {
            Some(hop) => hop.ifindex == ifindex,
            // What holds packets is in the table of the uplink whose packets those are.
            None => all.routes.iter().any(|other| {
                other.table == route.table
                    && other.next_hops.iter().any(|hop| hop.ifindex == ifindex)
            }),
        };
        for route in all.routes.iter().filter(is_its) {
            write_route(&mut text, route);
        }
        let rules = all.rules.iter().zip(&owners).filter(|(_, owner)| **owner == ifindex);
        for (rule, _) in rules {
            write_rule(&mut text, rule);
        }
        if !text.is_empty() {
            let text = text.trim_start().to_owned();
            drop_ins.push(DropIn { ifindex, device: uplink.device.name.clone(), text });
        }
    }
    drop_ins
}

fn put(text: &mut String, key: &str, value: impl Display) {
    text.push_str(&format!("{key}={value}\n"));
}

/// What ip(8) calls it, and networkd.
const METRICS: [(&str, &str); 5] = [
    ("mtu", "MTUBytes"),
    ("advmss", "TCPAdvertisedMaximumSegmentSize"),
    ("hoplimit", "HopLimit"),
    ("initcwnd", "InitialCongestionWindow"),
    ("initrwnd", "InitialAdvertisedReceiveWindow"),
];

fn write_route(text: &mut String, route: &Route) {
    text.push_str("\n[Route]\n");
    put(text, "Destination", route.destination);
    if let Some(source) = route.source {
        put(text, "Source", source);
    }
    match route.kind {
        RouteKind::Unicast => {}
        RouteKind::UNREACHABLE => put(text, "Type", "unreachable"),
        // The routing plane makes no others.
        RouteKind::Other(kind) => put(text, "Type", kind),
    }
    for hop in &route.next_hops {
        if let Some(gateway) = hop.gateway {
            put(text, "Gateway", gateway);
            // networkd asks for the link's addresses before it takes a gateway for reachable.
            let is_beyond =
                hop.onlink || matches!((gateway, route.family()), (IpAddr::V6(_), Family::V4));
            if is_beyond {
                put(text, "GatewayOnLink", "yes");
            }
        }
    }
    put(text, "Table", route.table);
    if route.scope_link {
        put(text, "Scope", "link");
    }
    if route.metric != 0 {
        put(text, "Metric", route.metric);
    }
    for (name, value, _) in route.metrics.named() {
        if let Some((_, key)) = METRICS.iter().find(|(known, _)| *known == name) {
            put(text, key, value);
        }
    }
}

fn write_rule(text: &mut String, rule: &Rule) {
    text.push_str("\n[RoutingPolicyRule]\n");
    put(text, "Priority", rule.priority);
    if let Some(source) = rule.source {
        put(text, "From", source);
    }
    if let Some(destination) = rule.destination {
        put(text, "To", destination);
    }
    if rule.source.is_none() && rule.destination.is_none() {
        put(
            text,
            "Family",
            match rule.family {
                Family::V4 => "ipv4",
                Family::V6 => "ipv6",
            },
        );
    }
    if let Some(iif) = &rule.iif {
        put(text, "IncomingInterface", iif);
    }
    if let Some(oif) = &rule.oif {
        put(text, "OutgoingInterface", oif);
    }
    put(text, "Table", rule.table);
    if let Some(length) = rule.suppress_prefix_length {
        put(text, "SuppressPrefixLength", length);
    }
}
