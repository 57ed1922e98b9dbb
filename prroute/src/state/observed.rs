//! What the kernel has: links, addresses, routes, rules and neighbours of one network namespace,
//! read at about the same time.

mod link_layer;
mod metrics;
mod route;
mod rule;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use nix::libc;
#[cfg(test)]
use serde::Deserialize;

use super::uplink::{Ifindex, Skipped};
pub use crate::family::Family;
pub use link_layer::LinkLayer;
pub use metrics::RouteMetrics;
pub use route::{MainRoute, NextHop, Route, RouteExtras, RouteKey, RouteKind, RouterPreference};
pub use rule::{Mark, Rejection, Rule};

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
    #[cfg_attr(test, serde(default))]
    pub link_layer: LinkLayer,
    /// The kernel makes IPv6 routes of router advertisements there (`accept_ra`).
    #[cfg_attr(test, serde(default))]
    pub accepts_ra: bool,
    /// The device below (`IFLA_LINK`), where that is in this network namespace.
    pub lower: Option<Ifindex>,
    /// The bridge, bond, team or VRF this link is a port of.
    pub master: Option<Ifindex>,
    /// `net.ipv4.conf.<name>.rp_filter`; `None` when it could not be read.
    pub rp_filter: Option<u8>,
}

impl Link {
    /// Whether neighbours are asked for their link-layer addresses there. Else the kernel sends at once, and has an entry
    /// of those alone that it has sent to.
    pub const fn has_neighbours(&self) -> bool {
        !self.noarp && !self.loopback && !matches!(self.link_layer, LinkLayer::None)
    }
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
    /// How long ago the kernel took it for reachable last. Of an entry that never had a link-layer
    /// address it says nothing.
    #[cfg_attr(test, serde(default))]
    pub confirmed: Option<Duration>,
}

impl Neighbour {
    /// Whether it was made for prroute. Who makes such an entry a permanent one has taken it over: the
    /// kernel keeps the number of who made it first.
    pub fn is_ours(&self) -> bool {
        self.protocol == PROTOCOL && self.state != NeighbourState::Fixed
    }

    /// How long ago it answered last, as far as the kernel knows it.
    pub fn last_answer(&self) -> Option<Duration> {
        let answers = matches!(self.state, NeighbourState::Resolved | NeighbourState::Probing);
        self.confirmed.filter(|_| answers)
    }
}

/// What the kernel announces of a neighbour entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourEvent {
    pub at: Instant,
    pub ifindex: Ifindex,
    pub address: IpAddr,
    /// `None`: it is gone.
    pub state: Option<NeighbourState>,
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
    /// Why rules cannot be decoded, of each its family: they are as they were before, or missing.
    #[cfg_attr(test, serde(skip))]
    pub unreadable_rules: Vec<(Family, String)>,
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

    /// Rules of others that look at marks.
    pub(crate) fn foreign_rules_by_mark(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.protocol != PROTOCOL && rule.mark.is_some())
    }
}
