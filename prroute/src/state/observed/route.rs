//! Routes.

use std::net::IpAddr;

use ipnet::IpNet;
use nix::libc;
#[cfg(test)]
use serde::Deserialize;

use super::{Family, RouteMetrics, TABLE_LOCAL, TABLE_MAIN, is_global};
use crate::state::uplink::Ifindex;

/// Kind of a route, as far as prroute tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize), serde(rename_all = "lowercase"))]
pub enum RouteKind {
    Unicast,
    /// The number of `RTN_*`.
    Other(u8),
}

impl RouteKind {
    /// The host itself.
    pub const LOCAL: Self = Self::Other(libc::RTN_LOCAL);
    /// Who sends is told.
    pub const UNREACHABLE: Self = Self::Other(libc::RTN_UNREACHABLE);

    /// The packet's way ends here.
    pub const fn refuses(self) -> bool {
        matches!(
            self,
            Self::Other(libc::RTN_BLACKHOLE | libc::RTN_UNREACHABLE | libc::RTN_PROHIBIT)
        )
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize))]
pub struct NextHop {
    pub ifindex: Ifindex,
    /// Name of the interface, for display.
    pub device: String,
    /// `None` when the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The gateway is taken to be on the link whatever the other routes say.
    pub onlink: bool,
}

/// What a router says of itself (RFC 4191), the best one first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize), serde(rename_all = "lowercase"))]
pub enum RouterPreference {
    High,
    #[default]
    Medium,
    Low,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize))]
pub struct Route {
    pub table: u32,
    pub destination: IpNet,
    /// Of which sources' packets it is a route; `None`: of all (IPv4 has no other ones).
    pub source: Option<IpNet>,
    pub metric: u32,
    /// Of IPv6 routes with the same destination and metric.
    #[cfg_attr(test, serde(default))]
    pub preference: RouterPreference,
    pub kind: RouteKind,
    pub protocol: u8,
    /// `RT_SCOPE_LINK` (IPv4 only: IPv6 has no route scopes).
    pub scope_link: bool,
    pub next_hops: Vec<NextHop>,
    /// Of default routes: those of others say nothing to prroute.
    #[cfg_attr(test, serde(default))]
    pub metrics: RouteMetrics,
}

/// What a route says beside its way. prroute's own say of connections what main's default route by the same way says, and
/// nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteExtras {
    /// The address of sockets that choose none (`src`).
    pub source: Option<IpAddr>,
    /// The others, as `ip route` writes them: `mtu 1400`.
    pub words: Vec<String>,
}

impl RouteExtras {
    /// Adds `mtu 1400` and the like, unless it says what holds without it.
    pub fn add(&mut self, word: &str, value: impl std::fmt::Display) {
        let value = value.to_string();
        let is_default = match word {
            "tos" | "dsfield" => matches!(value.as_str(), "0" | "0x0" | "0x00" | "default"),
            // What routers advertise, as a rule.
            "hoplimit" => value == "64",
            _ => value == "0",
        };
        if !is_default {
            self.words.push(format!("{word} {value}"));
        }
    }
}

/// Table, destination, source, metric.
pub type RouteKey = (u32, IpNet, Option<IpNet>, u32);

impl Route {
    pub const fn family(&self) -> Family {
        Family::of_net(&self.destination)
    }

    /// A default route for every source, the halves and `2000::/3` included.
    pub fn is_default(&self) -> bool {
        self.source.is_none() && self.is_default_for_some()
    }

    /// A default route, if only for some sources.
    pub fn is_default_for_some(&self) -> bool {
        self.destination.prefix_len() <= self.family().default_bits()
    }

    /// Whether it is a route for all packets with a source in `net`.
    pub fn serves(&self, net: &IpNet) -> bool {
        self.source.is_none_or(|source| source.contains(net))
    }

    /// Of several routes to one destination the kernel takes the one with the lowest.
    pub const fn rank(&self) -> (u32, RouterPreference) {
        (self.metric, self.preference)
    }

    /// Whether its destinations are the host's own, as they are without any address there.
    pub fn is_local(&self) -> bool {
        self.table == TABLE_LOCAL
            && self.kind == RouteKind::LOCAL
            && self.source.is_none()
            && !self.is_default()
            && is_global(&self.destination.network())
    }

    /// What `main` says more specifically than by a default route, for each interface it names.
    pub fn main_routes(&self) -> impl Iterator<Item = MainRoute> {
        let is_specific = self.table == TABLE_MAIN
            && self.kind == RouteKind::Unicast
            && !self.is_default_for_some()
            && is_redirectable(&self.destination);
        let hops = self.next_hops.iter().filter(move |_| is_specific);
        hops.map(|hop| MainRoute { ifindex: hop.ifindex, destination: self.destination })
    }

    /// What the kernel tells routes of one table apart by.
    pub const fn key(&self) -> RouteKey {
        (self.table, self.destination, self.source, self.metric)
    }
}

/// A prefix that `main` routes over an interface, and that is more specific than a default route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize))]
pub struct MainRoute {
    pub ifindex: Ifindex,
    pub destination: IpNet,
}

/// Whether packets to it may be sent by another interface: not multicast, nor IPv6 link-local, of
/// which each interface has a route in `main`.
fn is_redirectable(destination: &IpNet) -> bool {
    match destination.network() {
        IpAddr::V4(a) => !a.is_multicast(),
        IpAddr::V6(a) => !(a.is_multicast() || a.is_unicast_link_local()),
    }
}
