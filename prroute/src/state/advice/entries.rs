//! `[[uplink]]` entries that have no effect on this host, or one that nobody wants.

use std::net::IpAddr;

use crate::config::{Config, UplinkConfig};
use crate::state::discover::{Unfit, discover, names, settings, unfit};
use crate::state::gateways::Health;
use crate::state::observed::{Link, Observed, host_net};

pub(super) fn about(config: &Config, observed: &Observed, entry: &UplinkConfig) -> Vec<String> {
    let name = &entry.selector;
    let mut warnings = Vec::new();
    for gateway in &entry.gateways {
        warnings.extend(own_address(observed, *gateway).map(|of| {
            format!(
                "[[uplink]] {name}: gateway {gateway} is an address of this host itself, on {of}: \
                 it is passed over; give the router's address"
            )
        }));
    }
    let is_about =
        |link: &&Link| settings(config, link).is_some_and(|settings| settings.selector == *name);
    let links: Vec<&Link> = observed.links.iter().filter(is_about).collect();
    let Some(link) = links.first() else {
        warnings.push(format!(
            "[[uplink]] {name} has no effect: no interface matches it, or a more important entry \
             matches the same ones"
        ));
        return warnings;
    };
    for link in &links {
        if let Some(pattern) = config.excluded(&names(link)) {
            warnings.push(format!("[[uplink]] {name}: {} is excluded by \"{pattern}\"", link.name));
        } else if let Some(unfit) = unfit(config, observed, link, name.is_exact()) {
            warnings.push(format!("[[uplink]] {name}: {}", words(&link.name, unfit)));
        }
    }
    let of_link = |device: &super::super::uplink::Discovered| device.ifindex == link.ifindex;
    let found = discover(config, observed, &Health::default()).0.into_iter().find(of_link);
    if let Some(device) = found.filter(|_| links.len() == 1) {
        let reached = |gateway| device.on_link.iter().any(|net| net.contains(&host_net(gateway)));
        let is_expected = |gateway: &IpAddr| {
            reached(*gateway) || is_link_local(gateway) || own_address(observed, *gateway).is_some()
        };
        for gateway in entry.gateways.iter().filter(|gateway| !is_expected(gateway)) {
            warnings.push(format!(
                "[[uplink]] {name}: gateway {gateway} is in no subnet of {}; prroute expects it on \
                 the link all the same",
                device.name
            ));
        }
    }
    warnings
}

const fn is_link_local(gateway: &IpAddr) -> bool {
    match gateway {
        IpAddr::V4(gateway) => gateway.is_link_local(),
        IpAddr::V6(gateway) => gateway.is_unicast_link_local(),
    }
}

/// The interface that has an address.
fn own_address(observed: &Observed, address: IpAddr) -> Option<&str> {
    let own = observed.addresses.iter().find(|own| own.net.addr() == address)?;
    Some(observed.link(own.ifindex).map_or("an interface", |link| link.name.as_str()))
}

fn words(name: &str, unfit: Unfit<'_>) -> String {
    match unfit {
        Unfit::Loopback => format!("{name} is the loopback interface, which is never an uplink"),
        Unfit::LinkLayer(link_layer) => format!(
            "{name} has another link layer than Ethernet ({link_layer}): it is never an uplink"
        ),
        Unfit::PortOf(master) => {
            let (kind, master) = (master.kind.as_deref().unwrap_or("device"), &master.name);
            format!(
                "{name} is a port of {kind} {master}, which has the addresses: name {master} instead"
            )
        }
        Unfit::Inner => format!(
            "{name} is a bridge without a physical port: behind it are containers or virtual \
             machines of this host, whose replies prroute would no longer move; remove this entry"
        ),
    }
}

/// Interfaces that several entries match: one counts, and the settings of the others do not.
pub(super) fn named_twice(config: &Config, observed: &Observed) -> Vec<String> {
    let mut warnings = Vec::new();
    for link in &observed.links {
        let Some(counts) = settings(config, link) else { continue };
        for entry in config.uplinks.iter().filter(|entry| entry.selector != counts.selector) {
            // An entry without settings has none to lose.
            if *entry == UplinkConfig::new(entry.selector.clone()) {
                continue;
            }
            let alone = Config { uplinks: vec![entry.clone()], ..config.clone() };
            if settings(&alone, link).is_some() {
                warnings.push(format!(
                    "{} is named by two [[uplink]] entries, {} and {}: only {} counts for it, and \
                     the other's settings do not",
                    link.name, counts.selector, entry.selector, counts.selector
                ));
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests;
