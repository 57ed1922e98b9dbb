//! Operations, and the kernel's objects in them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use crate::state::observed::{Family, Mark, NextHop, Rejection, Route, RouteKind, Rule};
use crate::state::plan::{NeighbourKey, Op, RpFilterChange};

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OperationJson {
    /// Strict reverse-path filtering is made loose.
    LoosenRpFilter(RpFilterJson),
    /// The kernel is told to keep a gateway's link-layer address known.
    ManageNeighbour(NeighbourJson),
    /// A route is added.
    AddRoute(RouteJson),
    /// A route takes the place of another one.
    ReplaceRoute {
        /// That is there.
        old: RouteJson,
        /// That takes its place.
        new: RouteJson,
    },
    /// A rule is added.
    AddRule(RuleJson),
    /// A rule of prroute is deleted.
    DeleteRule(RuleJson),
    /// A route of prroute is deleted.
    DeleteRoute(RouteJson),
    /// The kernel need no longer keep a gateway's link-layer address known.
    ReleaseNeighbour(NeighbourJson),
    /// Reverse-path filtering is made strict again.
    RestoreRpFilter(RpFilterJson),
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct RpFilterJson {
    /// Number of the interface.
    ifindex: u32,
    /// Name of the interface.
    device: String,
    /// The value that is there.
    from: u8,
    /// The value that is written.
    to: u8,
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct NeighbourJson {
    /// Number of the interface.
    ifindex: u32,
    /// Of the gateway.
    address: IpAddr,
    /// Name of the interface.
    device: String,
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct RouteJson {
    /// Number of the table.
    table: u32,
    /// A prefix; `0.0.0.0/0` and `::/0` are default routes.
    #[schemars(with = "String")]
    destination: IpNet,
    /// For these sources only (IPv6).
    #[schemars(with = "Option<String>")]
    source: Option<IpNet>,
    /// Its priority among routes to the same destination.
    metric: u32,
    /// What the kernel calls its type.
    kind: RouteKindJson,
    /// Who made it, by the number of `RTPROT_*`; 213 is prroute.
    protocol: u8,
    /// Its scope is `link`.
    scope_link: bool,
    /// More than one: a multipath route.
    next_hops: Vec<NextHopJson>,
    /// Of default routes what they say of connections, by the names of ip-route(8): `mtu`, `advmss` and so on.
    metrics: BTreeMap<String, u32>,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
enum RouteKindJson {
    Unicast,
    /// The number of `RTN_*`.
    Other(u8),
}

#[derive(JsonSchema, Serialize)]
struct NextHopJson {
    /// Number of the interface.
    ifindex: u32,
    /// Name of the interface.
    device: String,
    /// `null`: on the link.
    gateway: Option<IpAddr>,
    /// The gateway counts as on the link, whatever its address.
    onlink: bool,
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct RuleJson {
    /// `v4` or `v6`.
    family: &'static str,
    /// A smaller number comes first.
    priority: u32,
    /// For these sources only.
    #[schemars(with = "Option<String>")]
    source: Option<IpNet>,
    /// For these destinations only.
    #[schemars(with = "Option<String>")]
    destination: Option<IpNet>,
    /// For packets that came in there; `lo`: those of the host itself.
    iif: Option<String>,
    /// For sockets that are bound to this device.
    oif: Option<String>,
    /// For packets with this mark.
    mark: Option<MarkJson>,
    /// For all packets that it does *not* match (`not`).
    invert: bool,
    /// The table that is looked up.
    table: u32,
    /// The rule at which the search goes on.
    goto: Option<u32>,
    /// `blackhole`, `unreachable` or `prohibit`.
    refusal: Option<&'static str>,
    /// Routes with a prefix of this length, or shorter, do not count.
    suppress_prefix_length: Option<u32>,
    /// Who made it, by the number of `RTPROT_*`; 213 is prroute.
    protocol: u8,
    /// It has conditions that are not shown here.
    other: bool,
}

#[derive(JsonSchema, Serialize)]
struct MarkJson {
    /// What the mark has to be.
    value: u32,
    /// The bits of the mark that are compared.
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
        let Route {
            table,
            destination,
            source,
            metric,
            preference: _,
            kind,
            protocol,
            scope_link,
            next_hops,
            metrics,
        } = route;
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
            metrics: metrics.named().map(|(name, value, _)| (name.to_owned(), value)).collect(),
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
