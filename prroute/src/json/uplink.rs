//! Interfaces: those that are managed, and those that are not.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mac;
use crate::config::Reply;
use crate::state::ids::KnownId;
use crate::state::lost_gateways::{ByDefault, LostGateway};
use crate::state::observed::Family;
use crate::state::uplink::{
    Discovered, Ifindex, PerFamily, Skipped, SourceRoute, Stacked, SubnetGateway, Uplink, UplinkId,
};

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct UplinkJson {
    /// From 1; stays with the interface.
    pub(crate) id: u16,
    /// Of the id: another device may have it later.
    pub(crate) generation: u16,
    /// Number of the interface.
    pub(crate) ifindex: u32,
    /// Name of the interface.
    pub(crate) name: String,
    /// Its MAC address; `null`: it has no Ethernet header.
    #[serde(with = "mac")]
    #[schemars(with = "Option<String>")]
    pub(crate) mac: Option<[u8; 6]>,
    /// Largest network-layer packet in bytes.
    pub(crate) mtu: u32,
    /// Set up, with a carrier.
    pub(crate) up: bool,
    /// With their prefix lengths, those included that the kernel still checks for duplicates.
    #[schemars(with = "Vec<String>")]
    pub(crate) addresses: Vec<IpNet>,
    /// Prefixes that are reached without a gateway.
    #[schemars(with = "Vec<String>")]
    pub(crate) on_link: Vec<IpNet>,
    /// Preferred next hop of IPv4; that may be an IPv6 address.
    pub(crate) gateway4: Option<IpAddr>,
    /// Preferred next hop of IPv6.
    pub(crate) gateway6: Option<IpAddr>,
    /// The kernel has not failed to resolve it.
    pub(crate) gateway4_usable: bool,
    /// The kernel has not failed to resolve it.
    pub(crate) gateway6_usable: bool,
    /// The kernel has a link-layer address for it, or needs none.
    #[serde(default)]
    pub(crate) gateway4_resolved: bool,
    /// The kernel has a link-layer address for it, or needs none.
    #[serde(default)]
    pub(crate) gateway6_resolved: bool,
    /// All that are known, in order of preference.
    pub(crate) gateways: Vec<IpAddr>,
    /// Gateways for subnets of this interface that the preferred one does not serve.
    #[serde(default)]
    pub(crate) subnet_gateways: Vec<SubnetGatewayJson>,
    /// Default routes for some sources only, the longest prefix first.
    #[serde(default)]
    pub(crate) source_routes: Vec<SourceRouteJson>,
    /// Every default route of IPv6 is for some sources only.
    #[serde(default)]
    pub(crate) only_by_source6: bool,
    /// What cannot be decided about its gateways, one sentence each.
    #[serde(default)]
    pub(crate) undecided: Vec<String>,
    /// It has a default route of IPv4 without a gateway.
    pub(crate) direct4: bool,
    /// It has a default route of IPv6 without a gateway.
    pub(crate) direct6: bool,
    /// Devices that stand on it and count as it, such as a macvlan with a virtual address.
    #[serde(default)]
    pub(crate) stacked: Vec<StackedJson>,
    /// To which next hop replies are sent.
    #[serde(default)]
    pub(crate) reply: Reply,
    /// `on-down = "hold"`: what belongs on it leaves by no other uplink.
    #[serde(default)]
    pub(crate) hold: bool,
    /// The number of its routing table, where the configuration gives one.
    pub(crate) table: Option<u32>,
    /// Destinations that the configuration sends over it.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) to: Vec<IpNet>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct SubnetGatewayJson {
    /// The subnet that it serves.
    #[schemars(with = "String")]
    pub(crate) net: IpNet,
    /// Its address.
    pub(crate) gateway: IpAddr,
    /// The kernel has not failed to resolve it.
    pub(crate) usable: bool,
    /// The kernel has a link-layer address for it.
    pub(crate) resolved: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct SourceRouteJson {
    /// The sources that it is for.
    #[schemars(with = "String")]
    pub(crate) source: IpNet,
    /// `null`: it has none.
    pub(crate) gateway: Option<IpAddr>,
    /// The kernel has not failed to resolve the gateway.
    pub(crate) usable: bool,
    /// The kernel has a link-layer address for the gateway.
    pub(crate) resolved: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct StackedJson {
    /// Number of the device.
    pub(crate) ifindex: u32,
    /// Name of the device.
    pub(crate) name: String,
    /// Its MAC address.
    #[serde(with = "mac")]
    #[schemars(with = "Option<String>")]
    pub(crate) mac: Option<[u8; 6]>,
}

/// A gateway whose default route is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LostGatewayJson {
    pub(crate) ifindex: u32,
    pub(crate) name: String,
    /// The route was one of IPv6; else of IPv4.
    pub(crate) v6: bool,
    pub(crate) gateway: IpAddr,
}

/// A gateway that does not answer. In the report alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SilentGatewayJson {
    pub(crate) ifindex: u32,
    pub(crate) gateway: IpAddr,
    /// When it was first asked in vain: milliseconds since the boot (CLOCK_MONOTONIC).
    pub(crate) since_boot_ms: u64,
    /// It answered this daemon before; else it may have been silent for longer.
    pub(crate) seen_to_begin: bool,
}

impl From<&LostGateway> for LostGatewayJson {
    fn from(lost: &LostGateway) -> Self {
        let LostGateway { ifindex: Ifindex(ifindex), name, family, gateway } = lost.clone();
        Self { ifindex, name, v6: family == Family::V6, gateway }
    }
}

impl From<&LostGatewayJson> for LostGateway {
    fn from(lost: &LostGatewayJson) -> Self {
        let LostGatewayJson { ifindex, name, v6, gateway } = lost.clone();
        let family = if v6 { Family::V6 } else { Family::V4 };
        Self { ifindex: Ifindex(ifindex), name, family, gateway }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct SkippedJson {
    /// Name of the interface.
    pub(crate) name: String,
    /// Number of the interface.
    pub(crate) ifindex: u32,
    /// Why it is no uplink.
    pub(crate) reason: String,
}

impl UplinkJson {
    /// How it sends by default.
    pub(crate) fn by_default(&self) -> ByDefault {
        ByDefault {
            ifindex: Ifindex(self.ifindex),
            name: self.name.clone(),
            gateways: PerFamily { v4: self.gateway4, v6: self.gateway6 },
            direct: PerFamily { v4: self.direct4, v6: self.direct6 },
        }
    }

    /// A gateway of it that is not usable.
    pub(crate) fn is_silent(&self, gateway: IpAddr) -> bool {
        let preferred =
            [(self.gateway4, self.gateway4_usable), (self.gateway6, self.gateway6_usable)];
        let of_sources = self.source_routes.iter().map(|it| (it.gateway, it.usable));
        let of_subnets = self.subnet_gateways.iter().map(|it| (Some(it.gateway), it.usable));
        let mut all = preferred.into_iter().chain(of_sources).chain(of_subnets);
        all.any(|(known, usable)| known == Some(gateway) && !usable)
    }

    /// What it was known by, and its name.
    pub(crate) fn known(&self) -> (KnownId, &str) {
        let (id, ifindex) = (UplinkId(self.id), Ifindex(self.ifindex));
        (KnownId { id, generation: self.generation, ifindex, mac: self.mac }, &self.name)
    }

    /// Whether the index is that of the interface, or of a device that counts as it.
    pub(crate) fn is_device(&self, Ifindex(ifindex): Ifindex) -> bool {
        self.ifindex == ifindex || self.stacked.iter().any(|device| device.ifindex == ifindex)
    }

    /// Whether it has an address of the family.
    pub(crate) fn speaks(&self, family: Family) -> bool {
        self.addresses.iter().any(|net| Family::of_net(net) == family)
    }
}

impl From<&Uplink> for UplinkJson {
    fn from(uplink: &Uplink) -> Self {
        let Uplink { id, generation, device } = uplink.clone();
        // Without `..`: a field that is new in the model is shown, or left out on purpose.
        let Discovered {
            ifindex: Ifindex(ifindex),
            name,
            mac,
            mtu,
            up,
            addresses,
            on_link,
            // Thousands, perhaps; and what keeps own sources is told of the host.
            main_routes: _,
            own_source: _,
            way_out: PerFamily { v4, v6 },
            gateways,
            subnet_gateways,
            source_routes,
            undecided,
            stacked,
            reply,
            hold,
            table,
            to,
        } = device;
        Self {
            id: id.0,
            generation,
            ifindex,
            name,
            mac,
            mtu,
            up,
            addresses,
            on_link,
            gateway4: v4.gateway,
            gateway6: v6.gateway,
            gateway4_usable: v4.usable,
            gateway6_usable: v6.usable,
            gateway4_resolved: v4.resolved,
            gateway6_resolved: v6.resolved,
            gateways,
            subnet_gateways: subnet_gateways.iter().map(Into::into).collect(),
            source_routes: source_routes.iter().map(Into::into).collect(),
            only_by_source6: v6.only_by_source,
            undecided,
            direct4: v4.direct,
            direct6: v6.direct,
            stacked: stacked.iter().map(Into::into).collect(),
            reply,
            hold,
            table,
            to,
        }
    }
}

impl From<&SubnetGateway> for SubnetGatewayJson {
    fn from(subnet: &SubnetGateway) -> Self {
        let SubnetGateway { net, gateway, usable, resolved } = *subnet;
        Self { net, gateway, usable, resolved }
    }
}

impl From<&SourceRoute> for SourceRouteJson {
    fn from(route: &SourceRoute) -> Self {
        let SourceRoute { source, gateway, usable, resolved } = *route;
        Self { source, gateway, usable, resolved }
    }
}

impl From<&Stacked> for StackedJson {
    fn from(stacked: &Stacked) -> Self {
        let Stacked { ifindex: Ifindex(ifindex), name, mac } = stacked.clone();
        Self { ifindex, name, mac }
    }
}

impl From<&Skipped> for SkippedJson {
    fn from(skipped: &Skipped) -> Self {
        let Skipped { name, ifindex: Ifindex(ifindex), reason } = skipped.clone();
        Self { name, ifindex, reason }
    }
}
