//! What to do to the kernel: operations in order, each with its inverse, each printable as the
//! command an administrator would type.

use std::fmt;
use std::net::IpAddr;

use super::observed::{Family, NextHop, PROTOCOL, Route, RouteKind, Rule, TABLE_MAIN};
use super::uplink::Ifindex;
use crate::state::gateways::GatewayKey;

/// A neighbour entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeighbourKey {
    pub ifindex: Ifindex,
    pub address: IpAddr,
    /// Name of the interface, for display.
    pub device: String,
}

impl NeighbourKey {
    pub const fn gateway(&self) -> GatewayKey {
        (self.ifindex, self.address)
    }
}

/// A change of `net.ipv4.conf.<device>.rp_filter`, made only while the value still is `from`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RpFilterChange {
    pub ifindex: Ifindex,
    pub device: String,
    pub from: u8,
    pub to: u8,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    LoosenRpFilter(RpFilterChange),
    ManageNeighbour(NeighbourKey),
    AddRoute(Route),
    ReplaceRoute { old: Route, new: Route },
    AddRule(Rule),
    DeleteRule(Rule),
    DeleteRoute(Route),
    ReleaseNeighbour(NeighbourKey),
    RestoreRpFilter(RpFilterChange),
}

impl Op {
    /// Whether it precedes whatever it replaces, and nothing is lost by it.
    pub fn is_addition(&self) -> bool {
        match self {
            Self::LoosenRpFilter(_)
            | Self::ManageNeighbour(_)
            | Self::AddRoute(_)
            | Self::ReplaceRoute { .. } => true,
            // A shortcut comes after what was in its way has gone.
            Self::AddRule(rule) => !rule.is_shortcut(),
            _ => false,
        }
    }

    pub const fn is_sysctl(&self) -> bool {
        matches!(self, Self::LoosenRpFilter(_) | Self::RestoreRpFilter(_))
    }

    /// The operation that takes this one back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        match self.clone() {
            Self::LoosenRpFilter(change) => Self::RestoreRpFilter(change.reversed()),
            Self::RestoreRpFilter(change) => Self::LoosenRpFilter(change.reversed()),
            Self::ManageNeighbour(key) => Self::ReleaseNeighbour(key),
            Self::ReleaseNeighbour(key) => Self::ManageNeighbour(key),
            Self::AddRoute(route) => Self::DeleteRoute(route),
            Self::DeleteRoute(route) => Self::AddRoute(route),
            Self::ReplaceRoute { old, new } => Self::ReplaceRoute { old: new, new: old },
            Self::AddRule(rule) => Self::DeleteRule(rule),
            Self::DeleteRule(rule) => Self::AddRule(rule),
        }
    }
}

impl RpFilterChange {
    fn reversed(self) -> Self {
        Self { from: self.to, to: self.from, ..self }
    }
}

/// Operations in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub ops: Vec<Op>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The plan that takes this one back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self { ops: self.ops.iter().rev().map(Op::inverse).collect() }
    }
}

/// One command per line.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoosenRpFilter(change) | Self::RestoreRpFilter(change) => change.fmt(f),
            Self::ManageNeighbour(key) => {
                write!(
                    f,
                    "ip neigh replace {} dev {} managed protocol {PROTOCOL}",
                    key.address, key.device
                )
            }
            Self::ReleaseNeighbour(key) => {
                write!(f, "ip neigh del {} dev {}", key.address, key.device)
            }
            Self::AddRoute(route) => write!(f, "{} route add {route}", ip_for(route)),
            Self::ReplaceRoute { new, .. } => {
                write!(f, "{} route replace {new}", ip_for(new))
            }
            Self::DeleteRoute(route) => write!(f, "{} route del {route}", ip_for(route)),
            Self::AddRule(rule) => write!(f, "{} rule add {rule}", ip(rule.family)),
            Self::DeleteRule(rule) => write!(f, "{} rule del {rule}", ip(rule.family)),
        }
    }
}

const fn ip(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip -6",
    }
}

/// Without a word on the family, iproute2 takes it from the next hop.
fn ip_for(route: &Route) -> &'static str {
    let mixed = |hop: &NextHop| matches!(hop.gateway, Some(IpAddr::V6(_)));
    match route.family() {
        Family::V4 if route.next_hops.iter().any(mixed) => "ip -4",
        family => ip(family),
    }
}

/// With slashes: they are separators that names of interfaces cannot contain.
impl fmt::Display for RpFilterChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sysctl -w net/ipv4/conf/{}/rp_filter={}", self.device, self.to)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RouteKind::Unicast => {}
            RouteKind::UNREACHABLE => f.write_str("unreachable ")?,
            RouteKind::Other(kind) => write!(f, "type {kind} ")?,
        }
        if self.destination.prefix_len() == 0 {
            f.write_str("default")?;
        } else {
            write!(f, "{}", self.destination)?;
        }
        if let Some(source) = self.source {
            write!(f, " from {source}")?;
        }
        let several = self.next_hops.len() > 1;
        for hop in &self.next_hops {
            if several {
                f.write_str(" nexthop")?;
            }
            match (hop.gateway, self.family()) {
                (Some(IpAddr::V6(gateway)), Family::V4) => write!(f, " via inet6 {gateway}")?,
                (Some(gateway), _) => write!(f, " via {gateway}")?,
                (None, _) => {}
            }
            write!(f, " dev {}", hop.device)?;
            if hop.onlink {
                f.write_str(" onlink")?;
            }
        }
        write!(f, " table {} proto {}", self.table, self.protocol)?;
        if self.scope_link {
            f.write_str(" scope link")?;
        }
        if self.metric != 0 {
            write!(f, " metric {}", self.metric)?;
        }
        self.metrics.fmt(f)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "priority {}", self.priority)?;
        if self.invert {
            f.write_str(" not")?;
        }
        match self.source {
            Some(source) => write!(f, " from {source}")?,
            None => f.write_str(" from all")?,
        }
        if let Some(destination) = self.destination {
            write!(f, " to {destination}")?;
        }
        if let Some(mark) = self.mark {
            write!(f, " fwmark {mark}")?;
        }
        if let Some(iif) = &self.iif {
            write!(f, " iif {iif}")?;
        }
        if let Some(oif) = &self.oif {
            write!(f, " oif {oif}")?;
        }
        match (self.goto, self.refusal, self.table) {
            (Some(priority), _, _) => write!(f, " goto {priority}")?,
            (None, Some(refusal), _) => write!(f, " {refusal}")?,
            (None, None, 0) if self.other => {}
            (None, None, 0) => f.write_str(" nop")?,
            (None, None, TABLE_MAIN) => f.write_str(" lookup main")?,
            (None, None, table) => write!(f, " lookup {table}")?,
        }
        if let Some(length) = self.suppress_prefix_length {
            write!(f, " suppress_prefixlength {length}")?;
        }
        write!(f, " protocol {}", self.protocol)
    }
}
