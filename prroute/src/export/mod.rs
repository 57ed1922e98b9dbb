//! What the routing plane does now, as rules and routes that need no prroute: a way out.
//!
//! They get priorities and tables beside prroute's, and another protocol number: prroute would take
//! its own back with `prroute down`, and call others in its ranges a collision. Pure.

mod batch;
mod networkd;

use std::collections::{BTreeMap, BTreeSet};

use nix::libc;

pub(crate) use self::batch::{batch, script};
pub(crate) use self::networkd::{DropIn, drop_ins};
use crate::config::{RANGE, Ranges};
use crate::state::desired::Desired;
use crate::state::observed::{Family, Observed, Route, Rule};
use crate::state::uplink::{Ifindex, Uplink};

/// A number that says that an administrator has made it.
const STATIC: u8 = libc::RTPROT_STATIC;

/// Rules and routes that stay without prroute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Static {
    /// In the order of their priorities.
    pub(crate) rules: Vec<Rule>,
    /// On-link routes come before default routes.
    pub(crate) routes: Vec<Route>,
}

impl Static {
    /// What is desired, with other numbers. Rules that only spare packets the walk past others are
    /// left out, and those that keep a place.
    pub(crate) fn of(desired: &Desired, observed: &Observed, ranges: Ranges) -> Self {
        let used = observed.rules.iter().map(|rule| rule.table);
        let used: BTreeSet<u32> =
            used.chain(observed.routes.iter().map(|route| route.table)).collect();
        let is_free = |first: u32| used.range(first..first.saturating_add(RANGE)).next().is_none();
        let table = beside(ranges.table, is_free);
        let priority = beside(ranges.rule_priority, |first| first > 0);
        let move_table = |number: u32| match ranges.has_table(number) {
            true => table + (number - ranges.table),
            false => number,
        };
        let move_priority = |number: u32| match ranges.has_priority(number) {
            true => priority + (number - ranges.rule_priority),
            // The rules for sources stand before a rule of others.
            false => number,
        };
        let rules = desired.rules.iter().filter(|rule| !rule.is_shortcut() && !rule.is_nop());
        let mut rules: Vec<Rule> = rules
            .map(|rule| Rule {
                priority: move_priority(rule.priority),
                table: move_table(rule.table),
                protocol: STATIC,
                ..rule.clone()
            })
            .collect();
        rules.sort_by_key(|rule| (rule.family, rule.priority));
        let routes = desired.routes.iter().map(|route| Route {
            table: move_table(route.table),
            protocol: STATIC,
            ..route.clone()
        });
        Self { rules, routes: routes.collect() }
    }
}

/// The nearest range below prroute's that is free, else above.
fn beside(first: u32, is_free: impl Fn(u32) -> bool) -> u32 {
    // Below that, numbers are small ones that people give.
    const LOWEST: u32 = 1_000;
    let below = (1..).map_while(|n: u32| first.checked_sub(n.checked_mul(RANGE)?));
    let mut above = (1..).map_while(|n: u32| first.checked_add(n.checked_mul(RANGE)?));
    let mut below = below.take_while(|first| *first >= LOWEST);
    below
        .find(|first| is_free(*first))
        .or_else(|| above.find(|first| is_free(*first)))
        .unwrap_or(first)
}

/// What is not exported, in a sentence each.
pub(crate) fn left_out(desired: &Desired, uplinks: &[Uplink], ranges: Ranges) -> Vec<String> {
    let mut sentences = Vec::new();
    let shared = desired.rules.iter().filter(|rule| rule.table == ranges.table);
    let shared: BTreeSet<String> =
        shared.filter_map(|rule| rule.source).map(|net| net.to_string()).collect();
    if !shared.is_empty() {
        let all: Vec<String> = shared.into_iter().collect();
        sentences.push(format!(
            "replies from {}, which belongs to no uplink alone, leave by main's default route: only \
             the programs know which uplink was asked",
            all.join(", ")
        ));
    }
    sentences.push(
        "replies of containers and other guests leave by main's default route, and UDP servers that \
         are bound to no address answer from the one that routing prefers: only the programs change \
         that"
            .to_owned(),
    );
    for uplink in uplinks.iter().filter(|uplink| !uplink.device.up) {
        sentences.push(format!("{} is down: its routes are not exported", uplink.device.name));
    }
    sentences.extend(desired.recognised.iter().map(|recognised| {
        format!("{}: routed by source already ({}), which stays", recognised.address, recognised.by)
    }));
    sentences
}

/// The uplink that each rule belongs to; of those that belong to none, the first one.
fn devices_of_rules(all: &Static, first: Ifindex) -> Vec<Ifindex> {
    let mut tables: BTreeMap<(Family, u32), BTreeSet<Ifindex>> = BTreeMap::new();
    for route in &all.routes {
        let devices = tables.entry((route.family(), route.table)).or_default();
        devices.extend(route.next_hops.iter().map(|hop| hop.ifindex));
    }
    let of_table = |rule: &Rule| {
        let devices = tables.get(&(rule.family, rule.table))?;
        devices.first().copied().filter(|_| devices.len() == 1)
    };
    // A rule that looks main up belongs to the one that looks up the same source's table.
    let of_source = |rule: &Rule| {
        let mut same =
            all.rules.iter().filter(|other| other.source == rule.source && other.source.is_some());
        same.find_map(of_table)
    };
    let device = |rule: &Rule| of_table(rule).or_else(|| of_source(rule)).unwrap_or(first);
    all.rules.iter().map(device).collect()
}

#[cfg(test)]
mod tests;
