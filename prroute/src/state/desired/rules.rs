//! The rules.

use ipnet::IpNet;

use crate::config::Ranges;
use crate::state::desired::sections::Entry;
use crate::state::observed::{Family, Rule, TABLE_LOCAL, TABLE_MAIN};
use crate::state::sources::{Source, Sources};
use crate::state::uplink::Uplink;

/// Offsets of the priorities. Those before [`DESTINATION`] are the block that may stand elsewhere.
pub(in crate::state) mod offset {
    pub(in crate::state) const LOCAL: u32 = 1;
    pub(in crate::state) const ON_LINK: u32 = 10;
    pub(in crate::state) const SPECIFIC: u32 = 20;
    pub(in crate::state) const OWN: u32 = 30;
    pub(in crate::state) const SHARED_MAIN: u32 = 40;
    pub(in crate::state) const SHARED: u32 = 50;
    /// Where many rules for sources are; see `sections`.
    pub(in crate::state) const SECTIONS: u32 = 51;
    pub(in crate::state) const SECTIONS_END: u32 = 99;
    /// A prefix of full length; one more for each bit less.
    pub(in crate::state) const DESTINATION: u32 = 100;
    pub(in crate::state) const DEVICE: u32 = 300;
}

/// Rules for the host's own packets that have an address of an uplink, or a shared one. Their
/// priorities are offsets. Of shared ones `main` decides; where its default route has failed, only by
/// what it has beside that.
pub(super) fn of_sources(
    ranges: Ranges,
    sources: &Sources,
    has_failed_default: impl Fn(Family) -> bool,
) -> Vec<Entry> {
    let owned = sources.owned.iter().map(|Source { net, table, contested }| {
        let on_link = |prefix: &IpNet| Rule {
            destination: Some(*prefix),
            ..source_rule(*net, offset::ON_LINK, *table)
        };
        let mut rules: Vec<Rule> = contested.iter().map(on_link).collect();
        rules.push(specific_routes_of_main(source_rule(*net, offset::SPECIFIC, *table)));
        rules.push(source_rule(*net, offset::OWN, *table));
        Entry { net: *net, rules }
    });
    let shared = sources.shared.iter().map(|&net| {
        let mut main = source_rule(net, offset::SHARED_MAIN, TABLE_MAIN);
        if has_failed_default(main.family) {
            main = specific_routes_of_main(main);
        }
        Entry { net, rules: vec![main, source_rule(net, offset::SHARED, ranges.table)] }
    });
    owned.chain(shared).collect()
}

/// A rule for the local table before all other rules of a family that are ours, of which `first` is the first: where the
/// kernel's own comes later, as for VRFs, what is local must not leave.
pub(super) fn of_local(family: Family, first: u32) -> Rule {
    Rule { iif: Some("lo".to_owned()), ..rule(family, first + offset::LOCAL, TABLE_LOCAL) }
}

/// Rules for the administrator's destinations, for as long as there is a way to them; those of
/// an uplink that holds its packets stay.
pub(super) fn of_destinations(ranges: Ranges, uplink: &Uplink) -> impl Iterator<Item = Rule> {
    let table = uplink.table(ranges);
    let destinations = uplink.device.to.iter();
    let stays =
        |net: &&IpNet| uplink.device.hold || uplink.device.way_out[Family::of_net(net)].is_live();
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

fn rule(family: Family, priority: u32, table: u32) -> Rule {
    Rule { table, ..Rule::nop(family, priority) }
}

fn source_rule(source: IpNet, offset: u32, table: u32) -> Rule {
    Rule {
        source: Some(source),
        iif: Some("lo".to_owned()),
        ..rule(Family::of_net(&source), offset, table)
    }
}

/// Turns a rule into one that finds all of main but its default routes.
fn specific_routes_of_main(rule: Rule) -> Rule {
    let length = u32::from(rule.family.default_bits());
    Rule { table: TABLE_MAIN, suppress_prefix_length: Some(length), ..rule }
}
