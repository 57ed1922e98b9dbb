//! Devices that stand on an uplink and carry addresses of the host: keepalived's macvlan with
//! `use_vmac`. They have no default route of their own; their addresses count as the uplink's.

use super::discover::{names, settings};
use super::observed::{Link, Observed};
use super::uplink::Ifindex;
use crate::config::Config;
use crate::state::gateways::choose::has_default_route;

/// A device that counts as the uplink below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stacked {
    pub ifindex: Ifindex,
    pub name: String,
    pub mac: Option<[u8; 6]>,
}

/// The device that `link` would count as: a macvlan or ipvlan that is no port, has no default
/// route of its own, and is neither named nor excluded.
pub(super) fn lower(config: &Config, observed: &Observed, link: &Link) -> Option<Ifindex> {
    let is_candidate = matches!(link.kind.as_deref(), Some("macvlan" | "ipvlan"))
        && link.master.is_none()
        && settings(config, link).is_none()
        && config.excluded(&names(link)).is_none()
        && !has_default_route(config.ranges, observed, link.ifindex);
    link.lower.filter(|_| is_candidate)
}

/// The devices that would count as the one with this index.
pub(super) fn upon(config: &Config, observed: &Observed, ifindex: Ifindex) -> Vec<Stacked> {
    observed
        .links
        .iter()
        .filter(|link| lower(config, observed, link) == Some(ifindex))
        .map(|link| Stacked { ifindex: link.ifindex, name: link.name.clone(), mac: link.mac })
        .collect()
}
