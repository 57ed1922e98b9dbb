//! What sends packets of the host's own by the uplink that has their source (R2), for each family:
//! rules, or the egress program. And what rules cost.
//!
//! As soon as a rule was made or deleted in a network namespace, the kernel walks all rules for
//! every packet that it routes, and never forgets (`fib_has_custom_rules`, of each family). The
//! datapath needs none where `main` has a default route that works: main's routes decide, and what left by
//! another uplink than its source's because of a default route is sent to that one.

use std::collections::BTreeSet;
use std::fmt;

use super::families::Families;
use super::observed::{
    Family, Link, NextHop, Observed, PROTOCOL, Route, RouteKind, Rule, TABLE_DEFAULT, TABLE_LOCAL,
    TABLE_MAIN,
};
use super::per_family::PerFamily;
use super::uplink::{Discovered, Uplink};
use crate::config::{Config, OwnSource};
use crate::state::gateways::Health;

/// What is asked for as long as a rule is there, and after it.
const COST: &str = "for every forwarded packet, reverse-path check and unconnected send";

/// What keeps own sources, of each family.
pub type OwnSources = PerFamily<OwnSource>;

impl OwnSources {
    /// What the configuration says; but rules, where `main` has no default route that works: there
    /// nothing leaves that could be sent to its source's uplink. Nor where packets are only observed: replies are
    /// to be told from what the host sends of itself.
    pub(super) fn of(config: &Config, observed: &Observed, health: &Health) -> Self {
        Self::from_fn(|family| match config.own_source {
            OwnSource::Datapath if config.observes() => OwnSource::Rules,
            OwnSource::Datapath if has_working_default(observed, health, family) => {
                OwnSource::Datapath
            }
            _ => OwnSource::Rules,
        })
    }

    /// Of all uplinks the same.
    pub fn in_force(uplinks: &[Uplink]) -> Self {
        uplinks.first().map(|uplink| uplink.device.own_source).unwrap_or_default()
    }

    pub fn is_datapath(self, family: Family) -> bool {
        self[family] == OwnSource::Datapath
    }
}

/// Whether what `main` sends by default leaves the host, by every next hop that the kernel prefers: what
/// waits for a gateway's link-layer address, or for a carrier, does not get as far as the programs.
fn has_working_default(observed: &Observed, health: &Health, family: Family) -> bool {
    let mut hops = preferred_defaults(observed, family).peekable();
    hops.peek().is_some() && hops.all(|hop| works(observed, health, hop))
}

/// Whether an interface that `main` prefers by default has failed: there is a default route over it, and
/// that leads nowhere.
pub(super) fn main_fails(
    observed: &Observed,
    health: &Health,
    device: &Discovered,
    family: Family,
) -> bool {
    preferred_defaults(observed, family)
        .any(|hop| device.is_device(hop.ifindex) && !works(observed, health, hop))
}

/// The next hops of the default routes in `main` that the kernel takes.
fn preferred_defaults(observed: &Observed, family: Family) -> impl Iterator<Item = &NextHop> {
    let defaults = move || {
        observed.routes.iter().filter(move |route| {
            route.table == TABLE_MAIN
                && route.family() == family
                && route.kind == RouteKind::Unicast
                && route.is_default()
        })
    };
    let is_preferred = move |route: &&Route| {
        let mut others = defaults().filter(|other| other.destination == route.destination);
        others.all(|other| other.rank() >= route.rank())
    };
    defaults().filter(is_preferred).flat_map(|route| &route.next_hops)
}

fn works(observed: &Observed, health: &Health, hop: &NextHop) -> bool {
    let is_up = |link: &Link| link.admin_up && link.carrier;
    observed.link(hop.ifindex).is_none_or(is_up)
        && hop.gateway.is_none_or(|gateway| !health.has_failed(observed, (hop.ifindex, gateway)))
}

/// Rules that the kernel asks beside its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Ours for source addresses.
    Sources,
    /// Ours for `to`.
    Destinations,
    /// Ours for `bind-device`.
    Devices,
    /// So many of others, the first with this priority.
    Others { count: usize, first: u32 },
}

impl Cause {
    /// Of one family.
    pub fn of<'a>(rules: impl IntoIterator<Item = &'a Rule>, family: Family) -> Vec<Self> {
        let mut causes = BTreeSet::new();
        let (mut others, mut is_ours) = (Vec::new(), false);
        let custom = rules.into_iter().filter(|rule| rule.family == family && !is_kernels(rule));
        for rule in custom {
            match (&rule.source, &rule.destination, &rule.oif) {
                _ if rule.protocol != PROTOCOL => others.push(rule.priority),
                (_, _, Some(_)) => drop(causes.insert(Self::Devices)),
                (None, Some(_), None) => drop(causes.insert(Self::Destinations)),
                (Some(_), _, None) => drop(causes.insert(Self::Sources)),
                (None, None, None) => is_ours = true,
            }
        }
        // Rules that keep a place, or skip others, are there for those.
        if is_ours && causes.is_empty() {
            causes.insert(Self::Sources);
        }
        let first = others.iter().min();
        causes.extend(first.map(|first| Self::Others { count: others.len(), first: *first }));
        causes.into_iter().collect()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sources => f.write_str("prroute's for source addresses"),
            Self::Destinations => f.write_str("prroute's for `to`"),
            Self::Devices => f.write_str("prroute's for bind-device"),
            Self::Others { count: 1, first } => write!(f, "one of others (priority {first})"),
            Self::Others { count, first } => {
                write!(f, "{count} of others (from priority {first} on)")
            }
        }
    }
}

/// Whether every network namespace has it: `local`, `main`, and for IPv4 `default`.
fn is_kernels(rule: &Rule) -> bool {
    let plain = Rule { table: rule.table, ..Rule::nop(rule.family, rule.priority) };
    let is_plain = *rule == Rule { protocol: rule.protocol, ..plain };
    let has_place = match (rule.priority, rule.table) {
        (0, TABLE_LOCAL) | (32_766, TABLE_MAIN) => true,
        (32_767, TABLE_DEFAULT) => rule.family == Family::V4,
        _ => false,
    };
    is_plain && has_place
}

/// Notes in which families the kernel has rules beside its own: `had_rules` says where it was seen to
/// have some since the network namespace began.
pub fn note_rules<'a>(had_rules: &mut Families, rules: impl IntoIterator<Item = &'a Rule>) {
    for rule in rules.into_iter().filter(|rule| !is_kernels(rule)) {
        had_rules[rule.family] = true;
    }
}

/// What keeps one family's own sources, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub family: Family,
    /// What the configuration asks for.
    pub asked: OwnSource,
    pub kept_by: OwnSource,
    /// Rules that are there, or will be.
    pub causes: Vec<Cause>,
    /// There were rules before.
    pub had_rules: bool,
}

/// The accounts of families that an uplink speaks, when rules are as `desired` beside those of others.
pub fn accounts(
    config: &Config,
    observed: &Observed,
    uplinks: &[Uplink],
    desired: &BTreeSet<Rule>,
    had_rules: Families,
) -> Vec<Account> {
    let own_source = OwnSources::in_force(uplinks);
    let others = || observed.rules.iter().filter(|rule| rule.protocol != PROTOCOL);
    let speaks = |family: &Family| uplinks.iter().any(|uplink| uplink.speaks(*family));
    let account = |family| Account {
        family,
        asked: config.own_source,
        kept_by: own_source[family],
        causes: Cause::of(others().chain(desired), family),
        had_rules: had_rules[family],
    };
    Family::BOTH.into_iter().filter(speaks).map(account).collect()
}

impl Account {
    /// What rules cost; `None`: there are none, and none were seen.
    pub fn cost(&self) -> Option<String> {
        let family = self.family;
        let causes: Vec<String> = self.causes.iter().map(ToString::to_string).collect();
        match (causes.is_empty(), self.had_rules) {
            (false, _) => Some(format!(
                "{family}: the kernel walks all rules {COST}, because there are rules: {}",
                causes.join(", ")
            )),
            (true, true) => Some(format!(
                "{family}: there have been rules: the kernel walks its own {COST} until the next \
                 boot, or the end of this network namespace"
            )),
            (true, false) => None,
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "own-source, {}: {}", self.family, self.kept_by)?;
        if (self.kept_by, self.asked) == (OwnSource::Rules, OwnSource::Datapath) {
            f.write_str(", because main has no default route that works")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
