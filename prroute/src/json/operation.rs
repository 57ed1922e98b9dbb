//! Operations, and the kernel's objects in them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::state::observed::{Family, Mark, NextHop, Rejection, Route, RouteKind, Rule};
use crate::state::plan::{NeighbourKey, Op, RpFilterChange};

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OperationJson {
    LoosenRpFilter(RpFilterJson),
    ManageNeighbour(NeighbourJson),
    AddRoute(RouteJson),
    ReplaceRoute { old: RouteJson, new: RouteJson },
    AddRule(RuleJson),
    DeleteRule(RuleJson),
    DeleteRoute(RouteJson),
    ReleaseNeighbour(NeighbourJson),
    RestoreRpFilter(RpFilterJson),
}

#[derive(Serialize)]
pub(crate) struct RpFilterJson {
    ifindex: u32,
    device: String,
    from: u8,
    to: u8,
}

#[derive(Serialize)]
pub(crate) struct NeighbourJson {
    ifindex: u32,
    address: IpAddr,
    device: String,
}

#[derive(Serialize)]
pub(crate) struct RouteJson {
    table: u32,
    destination: IpNet,
    source: Option<IpNet>,
    metric: u32,
    kind: RouteKindJson,
    protocol: u8,
    scope_link: bool,
    next_hops: Vec<NextHopJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum RouteKindJson {
    Unicast,
    /// The number of `RTN_*`.
    Other(u8),
}

#[derive(Serialize)]
struct NextHopJson {
    ifindex: u32,
    device: String,
    gateway: Option<IpAddr>,
    onlink: bool,
}

#[derive(Serialize)]
pub(crate) struct RuleJson {
    family: &'static str,
    priority: u32,
    source: Option<IpNet>,
    destination: Option<IpNet>,
    iif: Option<String>,
    oif: Option<String>,
    mark: Option<MarkJson>,
    invert: bool,
    table: u32,
    goto: Option<u32>,
    refusal: Option<&'static str>,
    suppress_prefix_length: Option<u32>,
    protocol: u8,
    other: bool,
}

#[derive(Serialize)]
struct MarkJson {
    value: u32,
    mask: u32,
}

impl From<&Op> for OperationJson {
    fn from(op: &Op) -> Self {
        match op {
            Op::LoosenRpFilter(change) => Self::LoosenRpFilter(change.into()),
            Op::ManageNeighbour(key) => Self::ManageNeighbour(key.into()),
            Op::AddRoute(route) => Self::AddRoute(route.into()),
            Op::ReplaceRoute { old, new } => {
                Self::ReplaceRoute { old: old.into(), new: new.into() }
            }
            Op::AddRule(rule) => Self::AddRule(rule.into()),
            Op::DeleteRule(rule) => Self::DeleteRule(rule.into()),
            Op::DeleteRoute(route) => Self::DeleteRoute(route.into()),
            Op::ReleaseNeighbour(key) => Self::ReleaseNeighbour(key.into()),
            Op::RestoreRpFilter(change) => Self::RestoreRpFilter(change.into()),
        }
    }
}

impl From<&RpFilterChange> for RpFilterJson {
    fn from(change: &RpFilterChange) -> Self {
        let RpFilterChange { ifindex, device, from, to } = change.clone();
        Self { ifindex: ifindex.0, device, from, to }
    }
}

impl From<&NeighbourKey> for NeighbourJson {
    fn from(key: &NeighbourKey) -> Self {
        let NeighbourKey { ifindex, address, device } = key.clone();
        Self { ifindex: ifindex.0, address, device }
    }
}

impl From<&Route> for RouteJson {
    fn from(route: &Route) -> Self {
        let Route { table, destination, source, metric, kind, protocol, scope_link, next_hops } =
            route;
        let kind = match kind {
            RouteKind::Unicast => RouteKindJson::Unicast,
            RouteKind::Other(number) => RouteKindJson::Other(*number),
        };
        Self {
            table: *table,
            destination: *destination,
            source: *source,
            metric: *metric,
            kind,
            protocol: *protocol,
            scope_link: *scope_link,
            next_hops: next_hops.iter().map(Into::into).collect(),
        }
    }
}

impl From<&NextHop> for NextHopJson {
    fn from(hop: &NextHop) -> Self {
        let NextHop { ifindex, device, gateway, onlink } = hop.clone();
        Self { ifindex: ifindex.0, device, gateway, onlink }
    }
}

impl From<&Rule> for RuleJson {
    fn from(rule: &Rule) -> Self {
        let Rule {
            family,
            priority,
            source,
            destination,
            iif,
            oif,
            mark,
            invert,
            table,
            goto,
            refusal,
            suppress_prefix_length,
            protocol,
            other,
        } = rule.clone();
        let refusal = refusal.map(|refusal| match refusal {
            Rejection::Blackhole => "blackhole",
            Rejection::Unreachable => "unreachable",
            Rejection::Prohibit => "prohibit",
        });
        Self {
            family: match family {
                Family::V4 => "v4",
                Family::V6 => "v6",
            },
            priority,
            source,
            destination,
            iif,
            oif,
            mark: mark.map(|Mark { value, mask }| MarkJson { value, mask }),
            invert,
            table,
            goto,
            refusal,
            suppress_prefix_length,
            protocol,
            other,
        }
    }
}
