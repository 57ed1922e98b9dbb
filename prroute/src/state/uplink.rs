//! What prroute knows of the interfaces it manages, and of those it does not.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::observed::Family;
pub use super::own_source::OwnSources;
pub use super::per_family::PerFamily;
pub use super::stacked::Stacked;
use crate::config::{Ranges, Reply};
pub use crate::state::gateways::choose::by_source::SourceRoute;
pub use crate::state::gateways::choose::by_subnet::SubnetGateway;

/// Stable number of an uplink, `1..MAX_UPLINKS`. Never an ifindex; survives restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UplinkId(pub u16);

/// The kernel's interface index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct Ifindex(pub u32);

impl fmt::Display for UplinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Ifindex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An interface that prroute manages, before it has an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    pub ifindex: Ifindex,
    pub name: String,
    /// `None` for devices without an Ethernet header.
    pub mac: Option<[u8; 6]>,
    /// Largest network-layer packet in bytes.
    pub mtu: u32,
    /// Administratively up with carrier.
    pub up: bool,
    /// Global addresses with their prefix, in the kernel's order, tentative ones included.
    pub addresses: Vec<IpNet>,
    /// Prefixes reached without a gateway.
    pub on_link: Vec<IpNet>,
    /// Prefixes that `main` routes over it more specifically than by a default route, of the families
    /// whose own sources the datapath keeps.
    pub main_routes: Vec<IpNet>,
    /// What keeps the host's own sources of each family by their uplink: of all uplinks the same.
    pub own_source: OwnSources,
    pub way_out: PerFamily<WayOut>,
    /// Every gateway known, those of `way_out` included, in order of preference: their neighbour
    /// entries are kept resolved, so that one can take over from another.
    pub gateways: Vec<IpAddr>,
    /// Gateways of subnets that are not the preferred gateway's, of both families.
    pub subnet_gateways: Vec<SubnetGateway>,
    /// Default routes for some sources only, the longest prefix first.
    pub source_routes: Vec<SourceRoute>,
    /// What cannot be decided about its gateways, one sentence each.
    pub undecided: Vec<String>,
    /// Devices that stand on this one, and count as it.
    pub stacked: Vec<Stacked>,
    /// To which next hop replies are sent.
    pub reply: Reply,
    /// `on-down = "hold"`: without a way out its packets leave by no other uplink.
    pub hold: bool,
    /// The number of its routing table, where the configuration gives one.
    pub table: Option<u32>,
    /// The administrator's destinations over this uplink.
    pub to: Vec<IpNet>,
}

/// How packets of one family leave by an uplink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WayOut {
    /// Next hop; that of IPv4 may be an IPv6 address (`via inet6`).
    pub gateway: Option<IpAddr>,
    /// `false` when the kernel failed to resolve the gateway (NUD_FAILED).
    pub usable: bool,
    /// Whether the kernel has a link-layer address for the gateway. A packet that is redirected
    /// to one without is queued, and sent to the wrong neighbour when it resolves: the kernel
    /// then looks the packet's next hop up by the route it had before (`neigh_update`).
    pub resolved: bool,
    /// There is a default route without a gateway (point-to-point devices).
    pub direct: bool,
    /// No default route is for every source: `gateway` and `direct` are those of `source_routes`, and
    /// no way out for other sources of the host's own.
    pub only_by_source: bool,
    /// `main` sends by default over the interface, and what it sends gets nowhere.
    pub main_fails: bool,
    /// `gateway` is not the one that is wanted: it is [kept in force](super::succession) until that one is resolved.
    pub kept: bool,
}

impl WayOut {
    /// Whether packets without a record may be sent this way.
    pub const fn is_live(&self) -> bool {
        self.usable || self.gateway.is_none()
    }

    pub const fn awaits_resolution(&self) -> bool {
        self.gateway.is_some() && self.usable && !self.resolved
    }
}

impl Discovered {
    /// Whether the index is that of the interface, or of a device that counts as it.
    pub fn is_device(&self, ifindex: Ifindex) -> bool {
        self.ifindex == ifindex || self.stacked.iter().any(|device| device.ifindex == ifindex)
    }

    /// Gateways of subnets that serve them now.
    pub fn subnet_gateways_in_force(&self) -> impl Iterator<Item = &SubnetGateway> {
        self.subnet_gateways.iter().filter(|subnet| self.up && subnet.usable)
    }

    /// Gateways in force of source prefixes and subnets, where that is not the preferred one: the
    /// first prefix around a source counts.
    pub fn gateways_by_source(&self) -> Vec<SubnetGateway> {
        let usable = self.source_routes.iter().filter(|route| self.up && route.usable);
        let of_sources = usable.filter_map(|route| {
            let SourceRoute { source, gateway, usable, resolved } = *route;
            Some(SubnetGateway { net: source, gateway: gateway?, usable, resolved })
        });
        let all: Vec<_> = of_sources.chain(self.subnet_gateways_in_force().cloned()).collect();
        let preferred = |known: &SubnetGateway| Some(known.gateway) == self.way_out.v6.gateway;
        let is_hidden = |index: usize, net: &IpNet| {
            let mut wider = all.iter().skip(index + 1);
            wider.any(|wider| wider.net.contains(net) && !preferred(wider))
        };
        let counts = |(index, known): &(usize, &SubnetGateway)| {
            !preferred(known) || is_hidden(*index, &known.net)
        };
        all.iter().enumerate().filter(counts).map(|(_, known)| known.clone()).collect()
    }

    /// The indexes of the interface and of the devices that count as it.
    pub fn devices(&self) -> impl Iterator<Item = Ifindex> + '_ {
        std::iter::once(self.ifindex).chain(self.stacked.iter().map(|device| device.ifindex))
    }
}

/// An uplink: a managed interface with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    pub id: UplinkId,
    /// Raised when the id came to another device; flows of older generations are stale.
    pub generation: u16,
    pub device: Discovered,
}

impl Uplink {
    /// Its routing table: the configured number, or one by its id.
    pub fn table(&self, ranges: Ranges) -> u32 {
        self.device.table.unwrap_or_else(|| ranges.table + u32::from(self.id.0))
    }

    /// Whether it has an address of the family.
    pub fn speaks(&self, family: Family) -> bool {
        self.device.addresses.iter().any(|net| Family::of_net(net) == family)
    }
}

/// An interface that is not managed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub name: String,
    pub ifindex: Ifindex,
    /// One sentence for an administrator, e.g. "port of bridge br0".
    pub reason: String,
}

/// An address of the host as the datapath needs it: loopback, link-local and multicast ones
/// are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalAddress {
    pub address: IpAddr,
    /// The one uplink that has it; `None` when shared (on several uplinks, or on an interface
    /// that is no uplink).
    pub owner: Option<UplinkId>,
}
