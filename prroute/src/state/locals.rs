//! Who has which of the host's own addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::observed::{Link, Observed, is_global};
use super::uplink::{Ifindex, LocalAddress, Uplink, UplinkId};

/// The places where one address is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holders {
    pub(super) uplinks: BTreeSet<UplinkId>,
    /// On the loopback interface or a dummy device: the host's as a whole.
    pub(super) host: bool,
}

impl Holders {
    /// The one uplink that has the address.
    pub(super) fn owner(&self) -> Option<UplinkId> {
        let mut uplinks = self.uplinks.iter();
        match (uplinks.next(), uplinks.next()) {
            (Some(only), None) if !self.host => Some(*only),
            _ => None,
        }
    }

    /// Shared between uplinks. An address of a container bridge or a tunnel is neither owned
    /// nor shared: it is that device's.
    pub(super) fn is_shared(&self) -> bool {
        self.host || self.uplinks.len() > 1
    }
}

/// Every local address that is not loopback, link-local or multicast, with its holders.
pub(super) fn holders(observed: &Observed, uplinks: &[Uplink]) -> BTreeMap<IpAddr, Holders> {
    let ids: BTreeMap<Ifindex, UplinkId> =
        uplinks.iter().flat_map(|u| u.device.devices().map(|device| (device, u.id))).collect();
    let host: BTreeSet<Ifindex> =
        observed.links.iter().filter(|l| is_host_device(l)).map(|l| l.ifindex).collect();
    let mut all: BTreeMap<IpAddr, Holders> = BTreeMap::new();
    for address in observed.addresses.iter().filter(|a| !a.failed && is_global(&a.net.addr())) {
        let holders = all.entry(address.net.addr()).or_default();
        match ids.get(&address.ifindex) {
            Some(id) => {
                holders.uplinks.insert(*id);
            }
            None => holders.host |= host.contains(&address.ifindex) && address.scope_global,
        }
    }
    all
}

/// Whether its addresses are the host's as a whole.
pub fn is_host_device(link: &Link) -> bool {
    link.loopback || link.kind.as_deref() == Some("dummy")
}

/// The host's addresses as the datapath needs them, sorted, each once.
pub fn local_addresses(observed: &Observed, uplinks: &[Uplink]) -> Vec<LocalAddress> {
    holders(observed, uplinks)
        .into_iter()
        .map(|(address, holders)| LocalAddress { address, owner: holders.owner() })
        .collect()
}

/// Prefixes whose addresses are the host's own by a route of the local table, whether an interface
/// has any of them or not: as few as say the same. They are shared; an address that is configured
/// is what it is.
pub fn local_prefixes(observed: &Observed) -> Vec<IpNet> {
    let own: BTreeSet<IpAddr> = observed.addresses.iter().map(|a| a.net.addr()).collect();
    let local = observed.routes.iter().filter(|route| route.is_local());
    let nets = local
        .map(|route| route.destination)
        .filter(|net| net.prefix_len() < net.max_prefix_len() || !own.contains(&net.addr()));
    IpNet::aggregate(&nets.collect())
}

#[cfg(test)]
mod tests;
