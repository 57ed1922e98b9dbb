//! Which interfaces are uplinks, and why the others are not.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::observed::{Address, Family, Link, LinkLayer, Observed, TABLE_MAIN, is_global};
use super::on_link::{on_link, own_prefixes};
use super::own_source::{OwnSources, main_fails};
use super::stacked::upon;
use super::uplink::{Discovered, PerFamily, Skipped};
use crate::config::{Config, OnDown, UplinkConfig};
use crate::state::gateways::Health;
use crate::state::gateways::choose::{
    Interface, by_source, by_subnet, has_default_route, of_family,
};

/// Why an interface is no uplink that would be one with an address.
pub(crate) const NO_ADDRESS: &str = "no global address";

/// Finds the uplinks. Interfaces come in the kernel's order.
///
/// By default an uplink is a hardware, VLAN or bond device with a global address; a bridge with
/// a physical port, a default route of its own and a global address; and a veth (or macvlan,
/// ipvlan, netkit: what a container has for a NIC) that is no port and that a default route
/// uses. Naming an interface in the configuration makes it one all the same, excluding it always
/// prevents it. The loopback interface never is one, nor one whose packets have another header than
/// Ethernet's, as IP over InfiniBand. A macvlan or ipvlan without a default route
/// counts as the uplink it stands on.
pub fn discover(
    config: &Config,
    observed: &Observed,
    health: &Health,
) -> (Vec<Discovered>, Vec<Skipped>) {
    let mut found: Vec<Discovered> = Vec::new();
    let mut skipped = observed.unreadable.clone();
    let own_source = OwnSources::of(config, observed, health);
    for link in &observed.links {
        let settings = settings(config, link);
        match refusal(config, observed, link, settings.is_some()) {
            None => {
                let mut device = describe(config, observed, health, link, settings);
                device.own_source = own_source;
                for family in Family::BOTH {
                    device.way_out[family].main_fails =
                        main_fails(observed, health, &device, family);
                }
                device.main_routes = main_routes(observed, &device);
                found.push(device);
            }
            Some(reason) => {
                skipped.push(Skipped { name: link.name.clone(), ifindex: link.ifindex, reason });
            }
        }
    }
    let is_stacked = |skipped: &Skipped| {
        found.iter().flat_map(|uplink| &uplink.stacked).any(|s| s.ifindex == skipped.ifindex)
    };
    skipped.retain(|skipped| !is_stacked(skipped));
    (found, skipped)
}

/// Whether an administrator may wonder why a link is not managed: it has a default route, or it could
/// have been an uplink, were it not for what is missing.
pub fn is_notable(config: &Config, observed: &Observed, skipped: &Skipped) -> bool {
    let Some(link) = observed.link(skipped.ifindex) else { return true };
    let has_default = observed
        .routes
        .iter()
        .filter(|route| route.is_default() && route.table == TABLE_MAIN)
        .any(|route| route.next_hops.iter().any(|hop| hop.ifindex == link.ifindex));
    let is_free = link.master.is_none()
        && !link.loopback
        && link.admin_up
        && config.excluded(&names(link)).is_none();
    let has_address = || observed.addresses_on(link.ifindex).any(is_usable);
    is_free
        && (has_default
            || match link.kind.as_deref() {
                None | Some("vlan" | "bond" | "team" | "dsa") => {
                    link.carrier && (link.link_layer.is_known() || has_address())
                }
                Some("bridge") => has_physical_port(observed, link) && has_address(),
                Some("veth" | "macvlan" | "ipvlan" | "netkit") => has_address(),
                Some(_) => false,
            })
}

/// The `[[uplink]]` that is about a link.
pub(crate) fn settings<'a>(config: &'a Config, link: &Link) -> Option<&'a UplinkConfig> {
    config.uplink(&names(link), link.mac.filter(|_| has_mac_of_its_own(link)))
}

/// Not the MAC address of the device below, or of the bond or bridge it is a port of.
pub(super) fn has_mac_of_its_own(link: &Link) -> bool {
    let kind = link.kind.as_deref();
    link.master.is_none() && !matches!(kind, Some("vlan" | "macvlan" | "ipvlan" | "macsec"))
}

pub(crate) fn names(link: &Link) -> Vec<&str> {
    std::iter::once(link.name.as_str()).chain(link.altnames.iter().map(String::as_str)).collect()
}

/// Why a link is no uplink; `None` when it is one.
fn refusal(config: &Config, observed: &Observed, link: &Link, named: bool) -> Option<String> {
    if link.loopback {
        return Some("loopback".to_owned());
    }
    if let Some(pattern) = config.excluded(&names(link)) {
        return Some(format!("excluded by \"{pattern}\""));
    }
    if !link.link_layer.is_known() {
        return Some(format!("link layer other than Ethernet ({})", link.link_layer));
    }
    if named {
        return None;
    }
    if let Some(master) = link.master {
        return Some(match observed.link(master) {
            Some(master) => {
                let kind = master.kind.as_deref().unwrap_or("device");
                format!("port of {kind} {}", master.name)
            }
            None => format!("port of the interface with index {master}"),
        });
    }
    let routed = || has_default_route(config.ranges, observed, link.ifindex);
    match link.kind.as_deref() {
        None | Some("vlan" | "bond" | "team" | "dsa") => {}
        Some("bridge") if !has_physical_port(observed, link) => {
            return Some("bridge without a physical port".to_owned());
        }
        Some(kind @ ("bridge" | "veth" | "macvlan" | "ipvlan" | "netkit")) => {
            if !routed() {
                return Some(format!("{kind} without a default route of its own"));
            }
        }
        Some(kind) => return Some(format!("virtual device ({kind}) that no [[uplink]] names")),
    }
    let global = observed.addresses_on(link.ifindex).any(is_usable);
    (!global).then(|| NO_ADDRESS.to_owned())
}

fn is_usable(address: &Address) -> bool {
    address.scope_global && !address.failed && is_global(&address.net.addr())
}

fn has_physical_port(observed: &Observed, bridge: &Link) -> bool {
    observed.links.iter().any(|port| {
        port.master == Some(bridge.ifindex)
            && matches!(port.kind.as_deref(), None | Some("vlan" | "bond" | "team" | "dsa"))
    })
}

/// Why a link that is named cannot be an uplink, or should be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit<'a> {
    Loopback,
    /// It is none whatever names it.
    LinkLayer(LinkLayer),
    /// Its packets come in on that one.
    PortOf(&'a Link),
    /// A bridge: behind it are containers or virtual machines of this host.
    Inner,
}

/// `by_name`: a pattern such as "*" does not mean the loopback interface, nor what is never an uplink.
pub(crate) fn unfit<'a>(
    config: &Config,
    observed: &'a Observed,
    link: &Link,
    by_name: bool,
) -> Option<Unfit<'a>> {
    if link.loopback {
        return by_name.then_some(Unfit::Loopback);
    }
    if !link.link_layer.is_known() {
        return by_name.then_some(Unfit::LinkLayer(link.link_layer));
    }
    if let Some(master) = link.master.and_then(|master| observed.link(master)) {
        return (master.kind.as_deref() != Some("vrf")).then_some(Unfit::PortOf(master));
    }
    let is_inner = link.kind.as_deref() == Some("bridge")
        && !has_physical_port(observed, link)
        && !has_default_route(config.ranges, observed, link.ifindex);
    is_inner.then_some(Unfit::Inner)
}

fn describe(
    config: &Config,
    observed: &Observed,
    health: &Health,
    link: &Link,
    settings: Option<&UplinkConfig>,
) -> Discovered {
    let interface = Interface { observed, health, ifindex: link.ifindex };
    let configured = settings.map_or(&[][..], |s| &s.gateways);
    let known =
        PerFamily::from_fn(|family| of_family(config.ranges, interface, family, configured));
    let mut all = known.v4.all();
    all.extend(known.v6.all().into_iter().filter(|address| !known.v4.for_all.contains(address)));
    let stacked = upon(config, observed, link.ifindex);
    let devices = || std::iter::once(link.ifindex).chain(stacked.iter().map(|s| s.ifindex));
    let mut on_link = on_link(config.ranges, observed, link.ifindex);
    for device in &stacked {
        on_link.extend(own_prefixes(observed, device.ifindex));
    }
    on_link.sort();
    on_link.dedup();
    let addresses: Vec<IpNet> = devices()
        .flat_map(|ifindex| observed.addresses_on(ifindex))
        .filter(|address| is_usable(address))
        .map(|address| address.net)
        .collect();
    let mut further = Vec::new();
    let mut undecided = Vec::new();
    for family in Family::BOTH.map(|family| {
        let known = &known[family];
        by_subnet::subnet_gateways(interface, &link.name, family, known, &addresses)
    }) {
        further.extend(family.found);
        undecided.extend(family.undecided);
    }
    let mut device = Discovered {
        ifindex: link.ifindex,
        name: link.name.clone(),
        mac: link.mac,
        mtu: link.mtu,
        up: link.admin_up && link.carrier,
        addresses,
        on_link,
        main_routes: Vec::new(),
        own_source: OwnSources::default(),
        way_out: PerFamily::from_fn(|family| known[family].way_out),
        gateways: all,
        subnet_gateways: further,
        source_routes: known.v6.by_source,
        undecided,
        stacked,
        reply: settings.map(|s| s.reply).unwrap_or_default(),
        hold: !config.observes()
            && settings.and_then(|s| s.on_down).unwrap_or(config.on_down) == OnDown::Hold,
        table: settings.and_then(|s| s.table),
        to: settings.map(|s| s.to.clone()).unwrap_or_default(),
    };
    device.undecided.extend(by_source::beyond(&device));
    device
}

/// Sorted, each once.
fn main_routes(observed: &Observed, device: &Discovered) -> Vec<IpNet> {
    let over = observed.main_routes.iter().filter(|route| device.is_device(route.ifindex));
    let nets = over.map(|route| route.destination.trunc());
    let is_asked = |net: &IpNet| device.own_source.is_datapath(Family::of_net(net));
    nets.filter(is_asked).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests;
