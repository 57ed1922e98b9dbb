//! What the rules, tables, neighbours and sysctls should be.
//!
//! ```text
//!   base     nop: what others add without a priority comes before it, and not between ours
//!   base+10  from S to <contested on-link prefix> iif lo lookup T
//!   base+20  from S iif lo lookup main suppress_prefixlength 1   (IPv6: 3)
//!   base+30  from S iif lo lookup T
//!   base+40  from V iif lo lookup main (suppress_prefixlength 1 while its default route has failed)
//!   base+50  from V iif lo lookup SHARED
//!   base+100 .. base+228  to <the administrator's prefix> lookup T, the longest prefix first
//!   base+300 oif <uplink> lookup T     (with bind-device)
//! ```
//!
//! S: source prefixes of one uplink, T: its table (first table + uplink id, or as configured);
//! where a subnet of an uplink has a gateway of its own, T for its sources is a table like the
//! uplink's, but for the gateway, with one of the range's last numbers;
//! V: prefixes of shared addresses, SHARED: the first table, with every live uplink's default route. Where
//! there are many of them, the rules for sources are [in sections](sections) at base+51 .. base+99.
//! The rules up to base+99 may [stand elsewhere](super::place), with another base.
//!
//! `iif lo` limits the rules to the host's own packets: the kernel gives every lookup for a
//! packet it sends itself the loopback interface as input. A forwarded packet of an on-link
//! client has a source in S too, and must go where main sends it. The administrator's
//! destinations are those of forwarded packets as well.
//!
//! The first kind of rule is made only where main may prefer another interface for the on-link
//! prefix (two uplinks on one subnet): elsewhere main's route is the same one, and main's more
//! specific routes inside the prefix (a container bridge, a VPN) must stay in force.
//!
//! With `own-source = "datapath"` a family that has a default route in main has no rules for sources
//! ([`super::own_source`]), and tables only where rules for destinations or devices look them up.
//!
//! The routes name no preferred source: a packet that reaches them has one.

mod filters;
mod routes;
mod rules;
mod sections;

use std::collections::BTreeSet;

pub(super) use self::rules::offset;
use super::observed::{Family, Observed, Route, Rule};
use super::own_source::OwnSources;
use super::place::{self, Moves, Place};
use super::plan::{NeighbourKey, RpFilterChange};
use super::sources::sources;
pub use super::sources::{Recognised, SourceRouting};
use super::uplink::Uplink;
use crate::config::{Config, RpFilter};
use crate::state::gateways::to_keep;
use crate::state::saved_sysctls::SavedSysctls;

/// What should be, as far as it is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    pub rules: BTreeSet<Rule>,
    /// On-link routes come before the default routes that may need them.
    pub routes: Vec<Route>,
    pub neighbours: BTreeSet<NeighbourKey>,
    /// Changes that make reverse-path filtering loose.
    pub loosen: Vec<RpFilterChange>,
    /// Changes that put the old value back.
    pub restore: Vec<RpFilterChange>,
    /// Addresses that somebody else already routes by source: they get no rules of ours.
    pub recognised: Vec<Recognised>,
    /// Where the rules for sources stand, for each family that has some.
    pub places: Vec<Place>,
}

/// The desired state. With fewer than two uplinks there is none: everything of ours goes. Where packets are only
/// observed, only the gateways are kept resolved.
pub fn desire(
    config: &Config,
    observed: &Observed,
    uplinks: &[Uplink],
    saved: &SavedSysctls,
) -> Desired {
    desire_with(config, observed, uplinks, saved, Moves::default())
}

/// Likewise, where the rules for sources may not move as they like.
pub fn desire_with(
    config: &Config,
    observed: &Observed,
    uplinks: &[Uplink],
    saved: &SavedSysctls,
    moves: Moves,
) -> Desired {
    if uplinks.len() < 2 {
        return nothing(observed, saved);
    }
    if config.observes() {
        // A decision needs to know which gateways answer.
        return Desired { neighbours: to_keep(observed, uplinks), ..nothing(observed, saved) };
    }
    let sources = sources(config.ranges, observed, uplinks);
    let mut desired = Desired::default();
    // Not where the administrator wants the packets of that uplink to wait.
    let main_fails = |u: &Uplink, family| !u.device.hold && u.device.way_out[family].main_fails;
    let has_failed = |family| uplinks.iter().any(|uplink| main_fails(uplink, family));
    let entries = rules::of_sources(config.ranges, &sources, has_failed);
    let own_sources = OwnSources::in_force(uplinks);
    let by_rules = |family: &Family| !own_sources.is_datapath(*family);
    for family in Family::BOTH.into_iter().filter(by_rules) {
        let entries: Vec<_> =
            entries.iter().filter(|entry| Family::of_net(&entry.net) == family).cloned().collect();
        let Some(last) = sections::last(&entries) else { continue };
        let nets: Vec<_> = entries.iter().map(|entry| entry.net).collect();
        let place = place::choose(config, observed, moves, family, &nets, last);
        let first = place.first;
        let shortcuts = !sections::is_inhabited(config.ranges, first, family, &observed.rules);
        desired.rules.insert(Rule::nop(family, first));
        desired.rules.extend(sections::arrange(first, family, entries, shortcuts));
        desired.places.push(place);
    }
    for uplink in uplinks {
        desired.rules.extend(rules::of_destinations(config.ranges, uplink));
        if config.bind_device {
            desired.rules.extend(rules::of_device(config.ranges, uplink));
        }
    }
    let speaks = |family| desired.rules.iter().any(|rule: &Rule| rule.family == family);
    let families: Vec<_> = Family::BOTH.into_iter().filter(|family| speaks(*family)).collect();
    for family in families {
        let home = config.ranges.rule_priority;
        let place = desired.places.iter().find(|place| place.family == family);
        let first = place.map_or(home, |place| place.first);
        desired.rules.insert(Rule::nop(family, home));
        if place::local(config.ranges, observed, family).is_some_and(|local| local > first) {
            desired.rules.insert(rules::of_local(family, first));
        }
    }
    desired.routes = routes::of(config.ranges, observed, uplinks, &sources.shared);
    let asked: BTreeSet<(Family, u32)> =
        desired.rules.iter().map(|rule| (rule.family, rule.table)).collect();
    let is_asked = |route: &Route| asked.contains(&(route.family(), route.table));
    desired.routes.retain(|route| by_rules(&route.family()) || is_asked(route));
    desired.recognised = sources.recognised;
    desired.neighbours = to_keep(observed, uplinks);
    desired.loosen = filters::loosen(config, observed, uplinks, saved);
    desired.restore = filters::restore(observed, saved, |link| {
        config.rp_filter != RpFilter::Leave
            && uplinks.iter().any(|u| u.device.is_device(link.ifindex))
    });
    desired
}

/// The state in which nothing is ours.
pub(super) fn nothing(observed: &Observed, saved: &SavedSysctls) -> Desired {
    Desired { restore: filters::restore(observed, saved, |_| false), ..Desired::default() }
}

#[cfg(test)]
mod tests;
