//! Interfaces: those that are managed, and those that are not.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::mac;
use crate::config::Reply;
use crate::state::ids::KnownId;
use crate::state::lost_gateways::{ByDefault, LostGateway};
use crate::state::observed::Family;
use crate::state::uplink::{
    Discovered, Ifindex, PerFamily, Skipped, SourceRoute, Stacked, SubnetGateway, Uplink, UplinkId,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UplinkJson {
    pub(crate) id: u16,
    pub(crate) generation: u16,
    pub(crate) ifindex: u32,
    pub(crate) name: String,
    #[serde(with = "mac")]
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) mtu: u32,
    pub(crate) up: bool,
    pub(crate) addresses: Vec<IpNet>,
    pub(crate) on_link: Vec<IpNet>,
    pub(crate) gateway4: Option<IpAddr>,
    pub(crate) gateway6: Option<IpAddr>,
    pub(crate) gateway4_usable: bool,
    pub(crate) gateway6_usable: bool,
    #[serde(default)]
    pub(crate) gateway4_resolved: bool,
    #[serde(default)]
    pub(crate) gateway6_resolved: bool,
    pub(crate) gateways: Vec<IpAddr>,
    #[serde(default)]
    pub(crate) subnet_gateways: Vec<SubnetGatewayJson>,
    #[serde(default)]
    pub(crate) source_routes: Vec<SourceRouteJson>,
    #[serde(default)]
    pub(crate) only_by_source6: bool,
    #[serde(default)]
    pub(crate) undecided: Vec<String>,
    pub(crate) direct4: bool,
    pub(crate) direct6: bool,
    #[serde(default)]
    pub(crate) stacked: Vec<StackedJson>,
    #[serde(default)]
    pub(crate) reply: Reply,
    #[serde(default)]
    pub(crate) hold: bool,
    pub(crate) table: Option<u32>,
    #[serde(default)]
    pub(crate) to: Vec<IpNet>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubnetGatewayJson {
    pub(crate) net: IpNet,
    pub(crate) gateway: IpAddr,
    pub(crate) usable: bool,
    pub(crate) resolved: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceRouteJson {
    pub(crate) source: IpNet,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) usable: bool,
    pub(crate) resolved: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StackedJson {
    pub(crate) ifindex: u32,
    pub(crate) name: String,
    #[serde(with = "mac")]
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SkippedJson {
    pub(crate) name: String,
    pub(crate) ifindex: u32,
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
