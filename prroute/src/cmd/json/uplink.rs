//! Interfaces: those that are managed, and those that are not.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::config::Reply;
use crate::state::uplink::{
    Discovered, Ifindex, PerFamily, Skipped, SourceRoute, Stacked, SubnetGateway, Uplink,
};

#[derive(Serialize)]
pub(super) struct UplinkJson {
    id: u16,
    generation: u16,
    ifindex: u32,
    name: String,
    mac: Option<[u8; 6]>,
    mtu: u32,
    up: bool,
    addresses: Vec<IpNet>,
    on_link: Vec<IpNet>,
    gateway4: Option<IpAddr>,
    gateway6: Option<IpAddr>,
    gateway4_usable: bool,
    gateway6_usable: bool,
    gateway4_resolved: bool,
    gateway6_resolved: bool,
    gateways: Vec<IpAddr>,
    subnet_gateways: Vec<SubnetGatewayJson>,
    source_routes: Vec<SourceRouteJson>,
    only_by_source6: bool,
    undecided: Vec<String>,
    direct4: bool,
    direct6: bool,
    stacked: Vec<StackedJson>,
    reply: Reply,
    hold: bool,
    table: Option<u32>,
    to: Vec<IpNet>,
}

#[derive(Serialize)]
struct SubnetGatewayJson {
    net: IpNet,
    gateway: IpAddr,
    usable: bool,
    resolved: bool,
}

#[derive(Serialize)]
struct SourceRouteJson {
    source: IpNet,
    gateway: Option<IpAddr>,
    usable: bool,
    resolved: bool,
}

#[derive(Serialize)]
struct StackedJson {
    ifindex: u32,
    name: String,
    mac: Option<[u8; 6]>,
}

#[derive(Serialize)]
pub(super) struct SkippedJson {
    name: String,
    ifindex: u32,
    reason: String,
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
