//! An uplink in the datapath's terms.

use std::net::IpAddr;

use bytemuck::Zeroable as _;
use ipnet::IpNet;
use prroute_common::address::{address4, address6};
use prroute_common::uplink::{
    INLINE_PREFIXES, Prefix, SUBNET_GATEWAYS, SubnetGateway, UplinkFacts, flag, mac_word,
};

use crate::config::Reply;
use crate::state::observed::Family;
use crate::state::uplink::{Discovered, LocalAddress, PerFamily, Uplink, WayOut};

/// Length of an Ethernet header in bytes.
pub(super) const ETHERNET_HEADER: u32 = nix::libc::ETH_HLEN as u32;

/// The facts of one uplink. Only addresses it owns are compared in line: a shared one takes the
/// way of every address that is not there, through the address table.
pub(super) fn of(
    uplink: &Uplink,
    locals: &[LocalAddress],
    prefixes: &[IpNet],
    largest_mtu: u32,
) -> UplinkFacts {
    let device = &uplink.device;
    let mut facts = UplinkFacts {
        ifindex: device.ifindex.0,
        id: uplink.id.0,
        generation: uplink.generation,
        flags: flags(uplink) | if device.mtu < largest_mtu { flag::SMALLER } else { 0 },
        mtu: device.mtu,
        link_header: if device.mac.is_some() { ETHERNET_HEADER } else { 0 },
        mac: device.mac.map_or(0, mac_word),
        on_link4: [Prefix::NONE4; INLINE_PREFIXES],
        on_link6: [Prefix::NONE6; INLINE_PREFIXES],
        subnet_gateways4: [SubnetGateway::NONE4; SUBNET_GATEWAYS],
        subnet_gateways6: [SubnetGateway::NONE6; SUBNET_GATEWAYS],
        ..UplinkFacts::zeroed()
    };
    add_on_link(&mut facts, &device.on_link);
    for prefix in prefixes {
        facts.flags |= match prefix {
            IpNet::V4(_) => flag::LOCAL_PREFIXES4,
            IpNet::V6(_) => flag::LOCAL_PREFIXES6,
        };
    }
    add_subnet_gateways(&mut facts, device);
    match device.way_out.v4.gateway {
        Some(IpAddr::V4(gateway)) => facts.gateway4 = address4(gateway.octets()),
        Some(IpAddr::V6(gateway)) => facts.gateway4_via6 = address6(gateway.octets()),
        None => {}
    }
    if let Some(IpAddr::V6(gateway)) = device.way_out.v6.gateway {
        facts.gateway6 = address6(gateway.octets());
    }
    for local in locals.iter().filter(|local| local.owner == Some(uplink.id)) {
        match local.address {
            IpAddr::V4(address) => {
                push(&mut facts.addresses4, &mut facts.count4, address4(address.octets()));
            }
            IpAddr::V6(address) => {
                push(&mut facts.addresses6, &mut facts.count6, address6(address.octets()));
            }
        }
    }
    facts
}

/// What is left of an interface that is no uplink any more, up or down when it went: flows bound to it
/// are not another uplink's. It has no addresses, and no configuration to hold packets by.
pub(super) fn retired(old: UplinkFacts) -> UplinkFacts {
    let (addresses4, addresses6) = Default::default();
    UplinkFacts { flags: 0, count4: 0, count6: 0, addresses4, addresses6, ..old }
}

/// Prefixes beyond the in-line ones are found in the tries.
fn add_on_link(facts: &mut UplinkFacts, on_link: &[IpNet]) {
    let (mut count4, mut count6) = (0, 0);
    for prefix in on_link {
        match prefix.trunc() {
            IpNet::V4(prefix) => {
                let address = address4(prefix.network().octets());
                let mask = address4(prefix.netmask().octets());
                if !push(&mut facts.on_link4, &mut count4, Prefix { address, mask }) {
                    facts.flags |= flag::MORE_ON_LINK4;
                }
            }
            IpNet::V6(prefix) => {
                let address = address6(prefix.network().octets());
                let mask = address6(prefix.netmask().octets());
                if !push(&mut facts.on_link6, &mut count6, Prefix { address, mask }) {
                    facts.flags |= flag::MORE_ON_LINK6;
                }
            }
        }
    }
}

/// Those beyond the in-line ones are served by the preferred gateway, and so are those whose gateway
/// has no link-layer address yet. None is needed where replies go to the router that asked.
fn add_subnet_gateways(facts: &mut UplinkFacts, device: &Discovered) {
    let (mut count4, mut count6) = (0, 0);
    if device.reply == Reply::Auto {
        let of = |family| device.subnet_gateways.iter().any(|s| Family::of_net(&s.net) == family);
        let by_source6 = of(Family::V6) || !device.source_routes.is_empty();
        facts.flags |= if of(Family::V4) { flag::SHARED_BY_LAST_HOP4 } else { 0 };
        facts.flags |= if by_source6 { flag::SHARED_BY_LAST_HOP6 } else { 0 };
    }
    for subnet in device.gateways_by_source().iter().filter(|subnet| subnet.resolved) {
        match (subnet.net.trunc(), subnet.gateway) {
            (IpNet::V4(net), IpAddr::V4(gateway)) if facts.flags & flag::LAST_HOP4 == 0 => {
                let address = address4(net.network().octets());
                let mask = address4(net.netmask().octets());
                let gateway = address4(gateway.octets());
                let subnet = Prefix { address, mask };
                push(&mut facts.subnet_gateways4, &mut count4, SubnetGateway { subnet, gateway });
                facts.flags |= flag::SUBNET_GATEWAYS4;
            }
            (IpNet::V6(net), IpAddr::V6(gateway)) if facts.flags & flag::LAST_HOP6 == 0 => {
                let address = address6(net.network().octets());
                let mask = address6(net.netmask().octets());
                let gateway = address6(gateway.octets());
                let subnet = Prefix { address, mask };
                push(&mut facts.subnet_gateways6, &mut count6, SubnetGateway { subnet, gateway });
                facts.flags |= flag::SUBNET_GATEWAYS6;
            }
            _ => {}
        }
    }
}

/// Takes the next place; `false` when all are taken. Addresses beyond the in-line ones are found
/// in the address table.
fn push<T>(places: &mut [T], count: &mut u32, value: T) -> bool {
    let Some(place) = places.get_mut(*count as usize) else { return false };
    *place = value;
    *count += 1;
    true
}

fn flags(uplink: &Uplink) -> u32 {
    let device = &uplink.device;
    let PerFamily { v4, v6 } = device.way_out;
    [
        (flag::UP, device.up),
        (flag::REPLY_OFF, device.reply == Reply::Off),
        (flag::LAST_HOP4, answers_by_last_hop(device, v4)),
        (flag::LAST_HOP6, answers_by_last_hop(device, v6)),
        (flag::HOLD, device.hold),
        (flag::OWN_SOURCE4, device.own_source.is_datapath(Family::V4)),
        (flag::OWN_SOURCE6, device.own_source.is_datapath(Family::V6)),
        (flag::MAIN_ROUTES4, has_main_routes(device, Family::V4)),
        (flag::MAIN_ROUTES6, has_main_routes(device, Family::V6)),
        (flag::GATEWAY4, v4.gateway.is_some() && v4.resolved),
        (flag::GATEWAY4_IS_V6, matches!(v4.gateway, Some(IpAddr::V6(_)))),
        (flag::GATEWAY6, v6.gateway.is_some() && v6.resolved),
    ]
    .into_iter()
    .filter(|(_, set)| *set)
    .fold(0, |flags, (flag, _)| flags | flag)
}

fn has_main_routes(device: &Discovered, family: Family) -> bool {
    device.main_routes.iter().any(|net| Family::of_net(net) == family)
}

/// `auto` is by gateway where one is known, else to the router that asked.
fn answers_by_last_hop(device: &Discovered, out: WayOut) -> bool {
    match device.reply {
        Reply::Auto => out.gateway.is_none(),
        Reply::LastHop => true,
        Reply::Gateway | Reply::Off => false,
    }
}
