//! The rules.

use ipnet::IpNet;

use super::is_live;
use crate::config::Ranges;
use crate::state::observed::{Family, PROTOCOL, Rule, TABLE_MAIN, host_net};
use crate::state::sources::Sources;
use crate::state::uplink::Uplink;

/// Offsets of the priorities.
pub(in crate::state) mod offset {
    pub(in crate::state) const ON_LINK: u32 = 10;
    pub(in crate::state) const SPECIFIC: u32 = 20;
    pub(in crate::state) const OWN: u32 = 30;
    pub(in crate::state) const SHARED_MAIN: u32 = 40;
    pub(in crate::state) const SHARED: u32 = 50;
    /// A prefix of full length; one more for each bit less.
    pub(in crate::state) const DESTINATION: u32 = 100;
    pub(in crate::state) const DEVICE: u32 = 300;
}

/// Rules for the host's own packets that have an address of an uplink, or a shared one.
pub(super) fn of_sources(ranges: Ranges, sources: &Sources) -> Vec<Rule> {
    let mut rules = Vec::new();
    for source in &sources.owned {
        let rule = |offset| source_rule(ranges, source.net, offset, source.table);
        for prefix in &source.contested {
            rules.push(Rule { destination: Some(*prefix), ..rule(offset::ON_LINK) });
        }
        rules.push(specific_routes_of_main(rule(offset::SPECIFIC)));
        rules.push(rule(offset::OWN));
    }
    for address in &sources.shared {
        let rule = |offset, table| source_rule(ranges, host_net(*address), offset, table);
        rules.push(rule(offset::SHARED_MAIN, TABLE_MAIN));
        rules.push(rule(offset::SHARED, ranges.table));
    }
    rules
}

/// Rules for the administrator's destinations, for as long as there is a way to them; those of
/// an uplink that holds its packets stay.
pub(super) fn of_destinations(ranges: Ranges, uplink: &Uplink) -> impl Iterator<Item = Rule> {
    let table = uplink.table(ranges);
    let destinations = uplink.device.to.iter();
    let stays = |net: &&IpNet| uplink.device.hold || is_live(uplink, Family::of_net(net));
    destinations.filter(stays).map(move |net| {
        let family = Family::of_net(net);
        let shorter = u32::from(family.bits() - net.prefix_len());
        let priority = ranges.rule_priority + offset::DESTINATION + shorter;
        Rule { destination: Some(*net), ..rule(family, priority, table) }
    })
}

/// Rules for packets of applications that are bound to the uplink's device.
pub(super) fn of_device(ranges: Ranges, uplink: &Uplink) -> impl Iterator<Item = Rule> {
    let priority = ranges.rule_priority + offset::DEVICE;
    let table = uplink.table(ranges);
    Family::BOTH.into_iter().filter(|family| uplink.speaks(*family)).map(move |family| Rule {
        oif: Some(uplink.device.name.clone()),
        ..rule(family, priority, table)
    })
}

const fn rule(family: Family, priority: u32, table: u32) -> Rule {
    Rule {
        family,
        priority,
        source: None,
        destination: None,
        iif: None,
        oif: None,
        table,
        suppress_prefix_length: None,
        protocol: PROTOCOL,
        other: false,
    }
}

fn source_rule(ranges: Ranges, source: IpNet, offset: u32, table: u32) -> Rule {
    Rule {
        source: Some(source),
        iif: Some("lo".to_owned()),
        ..rule(Family::of_net(&source), ranges.rule_priority + offset, table)
    }
}

/// Turns a rule into one that finds all of main but its default routes.
fn specific_routes_of_main(rule: Rule) -> Rule {
    let length = u32::from(rule.family.default_bits());
    Rule { table: TABLE_MAIN, suppress_prefix_length: Some(length), ..rule }
}
