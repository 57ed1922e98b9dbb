//! What the kernel has: links, addresses, routes, rules and neighbours of one network namespace,
//! read at about the same time.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use nix::libc;
#[cfg(test)]
use serde::Deserialize;

use super::uplink::{Ifindex, Skipped};
pub use crate::family::Family;

pub const TABLE_MAIN: u32 = libc::RT_TABLE_MAIN as u32;
pub const TABLE_LOCAL: u32 = libc::RT_TABLE_LOCAL as u32;
pub const TABLE_DEFAULT: u32 = libc::RT_TABLE_DEFAULT as u32;
/// Reverse-path filtering by the best route, by any route: `rp_filter` of a device.
pub(crate) const RP_FILTER_STRICT: u8 = 1;
pub(crate) const RP_FILTER_LOOSE: u8 = 2;
/// The routing protocol number that marks every rule, route and neighbour of ours.
pub const PROTOCOL: u8 = 213;

/// One address as a prefix of full length.
pub fn host_net(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// Whether the two prefixes have an address in common.
pub fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// Neither loopback, link-local, multicast nor unspecified.
pub fn is_global(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            !(a.is_loopback() || a.is_link_local() || a.is_multicast() || a.is_unspecified())
        }
        IpAddr::V6(a) => {
            !(a.is_loopback()
                || a.is_unicast_link_local()
                || a.is_multicast()
                || a.is_unspecified())
        }
    }
}

/// Whether packets to it may be sent by another interface: not multicast, nor IPv6 link-local, of
/// which each interface has a route in `main`.
fn is_redirectable(destination: &IpNet) -> bool {
    match destination.network() {
        IpAddr::V4(a) => !a.is_multicast(),
        IpAddr::V6(a) => !(a.is_multicast() || a.is_unicast_link_local()),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Deserialize))]
pub struct Link {
    pub ifindex: Ifindex,
    pub name: String,
    pub altnames: Vec<String>,
    /// `IFLA_INFO_KIND`; `None` for hardware (and loopback).
    pub kind: Option<String>,
    /// `None` for devices without an Ethernet header.
    pub mac: Option<[u8; 6]>,
    /// What the hardware brings; no administrator changes it.
    pub permanent_mac: Option<[u8; 6]>,
    pub mtu: u32,
    /// Administratively up.
    pub admin_up: bool,
    pub carrier: bool,
    pub loopback: bool,
    /// No neighbour discovery on this device.
    pub noarp: bool,
    /// The device below (`IFLA_LINK`), where that is in this network namespace.
    pub lower: Option<Ifindex>,
    /// The bridge, bond, team or VRF this link is a port of.
    pub master: Option<Ifindex>,
    /// `net.ipv4.conf.<name>.rp_filter`; `None` when it could not be read.
    pub rp_filter: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Deserialize))]
pub struct Address {
    pub ifindex: Ifindex,
    /// The local address with its prefix length; the host itself on a point-to-point link.
    pub net: IpNet,
    /// Scope global or site, as the kernel has it.
    pub scope_global: bool,
    pub tentative: bool,
    /// Duplicate address detection failed: not usable.
    pub failed: bool,
    /// The kernel made no route to the prefix.
    pub no_prefix_route: bool,
}

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

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize))]
pub struct Route {
    pub table: u32,
    pub destination: IpNet,
    /// Of which sources' packets it is a route; `None`: of all (IPv4 has no other ones).
    pub source: Option<IpNet>,
    pub metric: u32,
    pub kind: RouteKind,
    pub protocol: u8,
    /// `RT_SCOPE_LINK` (IPv4 only: IPv6 has no route scopes).
    pub scope_link: bool,
    pub next_hops: Vec<NextHop>,
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

/// What a rule demands of a packet's mark: `packet & mask == value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize))]
pub struct Mark {
    pub value: u32,
    pub mask: u32,
}

/// As `ip rule` writes it.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.value)?;
        if self.mask == u32::MAX { Ok(()) } else { write!(f, "/{:#x}", self.mask) }
    }
}

/// An action of a rule that ends a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize), serde(rename_all = "lowercase"))]
pub enum Refusal {
    Blackhole,
    Unreachable,
    Prohibit,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize))]
pub struct Rule {
    pub family: Family,
    pub priority: u32,
    pub source: Option<IpNet>,
    pub destination: Option<IpNet>,
    pub iif: Option<String>,
    /// The device a packet's socket is bound to.
    pub oif: Option<String>,
    pub mark: Option<Mark>,
    /// `not`: the rule matches packets that do not match the fields above.
    #[cfg_attr(test, serde(default))]
    pub invert: bool,
    /// 0 when the rule looks nothing up.
    pub table: u32,
    /// The priority at which the list goes on for packets that match. A rule with neither a table
    /// nor this does nothing: it is there to be gone on at.
    pub goto: Option<u32>,
    /// Packets that match are refused: nothing is looked up.
    pub refusal: Option<Refusal>,
    pub suppress_prefix_length: Option<u32>,
    pub protocol: u8,
    /// Has selectors or an action that are not listed above.
    pub other: bool,
}

impl Rule {
    /// A rule of ours that concerns every packet, and does nothing with it.
    pub const fn nop(family: Family, priority: u32) -> Self {
        Self {
            family,
            priority,
            source: None,
            destination: None,
            iif: None,
            oif: None,
            mark: None,
            invert: false,
            table: 0,
            goto: None,
            refusal: None,
            suppress_prefix_length: None,
            protocol: PROTOCOL,
            other: false,
        }
    }

    /// Whether it is there only to be gone on at, or to keep a place.
    pub fn is_nop(&self) -> bool {
        *self == Self { protocol: self.protocol, ..Self::nop(self.family, self.priority) }
    }

    /// Whether it only spares packets the walk past rules that cannot match them.
    pub const fn is_shortcut(&self) -> bool {
        self.goto.is_some()
    }
}

/// State of a neighbour entry, as far as prroute tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize), serde(rename_all = "lowercase"))]
pub enum NeighbourState {
    /// The kernel gave up.
    Failed,
    /// Being resolved for the first time.
    Incomplete,
    /// Has a link-layer address of which it was asked for a confirmation.
    Probing,
    /// Has a link-layer address, whether confirmed lately or not.
    Resolved,
    /// Configured by hand, or not needing resolution.
    Fixed,
}

impl NeighbourState {
    /// Whether a packet can be sent there at once.
    pub const fn has_address(self) -> bool {
        matches!(self, Self::Probing | Self::Resolved | Self::Fixed)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Deserialize))]
pub struct Neighbour {
    pub ifindex: Ifindex,
    pub address: IpAddr,
    pub state: NeighbourState,
    /// The kernel keeps it resolved (`NTF_EXT_MANAGED`).
    pub managed: bool,
    pub protocol: u8,
}

/// `net.ipv4.conf.<device>.arp_ignore` and `arp_announce`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Deserialize))]
pub struct ArpSettings {
    /// The name of an interface, or `all`.
    pub device: String,
    pub ignore: u8,
    pub announce: u8,
}

/// A netfilter rule that asks whether a packet came in by the interface of the route back to its
/// sender, and decides about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Deserialize))]
pub struct ReversePathFilter {
    /// `None`: of both families.
    pub family: Option<Family>,
    pub table: String,
    pub chain: String,
    /// The one interface whose packets it is about; `None`: all, or not known.
    pub device: Option<String>,
}

/// The state of the kernel.
///
/// Routes are those that matter here: of our own tables, default routes, routes without a gateway,
/// and what is local without an address; neighbours are those of gateways, ours, and permanent ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Deserialize), serde(default))]
pub struct Observed {
    pub links: Vec<Link>,
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
    /// Read where it is asked for, and not all of them where one interface has very many.
    pub main_routes: Vec<MainRoute>,
    pub rules: Vec<Rule>,
    pub neighbours: Vec<Neighbour>,
    /// `net.ipv4.conf.all.rp_filter`; `None` when it could not be read.
    pub rp_filter_all: Option<u8>,
    /// Read where the loopback interface or a dummy device has a global IPv4 address.
    pub arp: Vec<ArpSettings>,
    pub reverse_path_filters: Vec<ReversePathFilter>,
    /// When the first of the routes expires, from the moment they were read on.
    pub next_expiry: Option<Duration>,
    /// A table changed all the time while it was read: it is as it was before.
    pub unsteady: bool,
    /// Interfaces of which too little can be decoded, by their index.
    #[cfg_attr(test, serde(skip))]
    pub unreadable: Vec<Skipped>,
}

impl Observed {
    pub fn link(&self, ifindex: Ifindex) -> Option<&Link> {
        self.links.iter().find(|link| link.ifindex == ifindex)
    }

    pub fn neighbour(&self, ifindex: Ifindex, address: IpAddr) -> Option<&Neighbour> {
        self.neighbours.iter().find(|n| n.ifindex == ifindex && n.address == address)
    }

    /// Addresses of one link.
    pub fn addresses_on(&self, ifindex: Ifindex) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(move |address| address.ifindex == ifindex)
    }
}
