//! Reverse-path filtering of uplinks.

use crate::config::{Config, RpFilter};
use crate::state::observed::{Link, Observed, RP_FILTER_LOOSE, RP_FILTER_STRICT};
use crate::state::plan::RpFilterChange;
use crate::state::saved_sysctls::SavedSysctls;
use crate::state::uplink::Uplink;

/// Strict filters on uplinks, except where somebody made them strict again after us, and the configuration leaves it so.
pub(super) fn loosen(
    config: &Config,
    observed: &Observed,
    uplinks: &[Uplink],
    saved: &SavedSysctls,
) -> Vec<RpFilterChange> {
    if config.rp_filter == RpFilter::Leave {
        return Vec::new();
    }
    let all = observed.rp_filter_all.unwrap_or(0);
    let devices = uplinks.iter().flat_map(|u| u.device.devices());
    let links = devices.filter_map(|ifindex| observed.link(ifindex));
    links
        .filter(|link| config.rp_filter == RpFilter::Enforce || saved.applied(link).is_none())
        .filter_map(|link| Some((link, link.rp_filter?)))
        .filter(|(_, value)| all.max(*value) == RP_FILTER_STRICT)
        .map(|(link, value)| RpFilterChange {
            ifindex: link.ifindex,
            device: link.name.clone(),
            from: value,
            to: RP_FILTER_LOOSE,
        })
        .collect()
}

/// Old values of links that are no longer `kept`, where the present value still is ours.
pub(super) fn restore(
    observed: &Observed,
    saved: &SavedSysctls,
    kept: impl Fn(&Link) -> bool,
) -> Vec<RpFilterChange> {
    let links = observed.links.iter().filter(|link| !kept(link));
    links
        .filter_map(|link| Some((link, saved.get(link)?, link.rp_filter?)))
        .filter(|(_, saved, value)| saved.set == *value)
        .map(|(link, saved, value)| RpFilterChange {
            ifindex: link.ifindex,
            device: link.name.clone(),
            from: value,
            to: saved.old,
        })
        .collect()
}
