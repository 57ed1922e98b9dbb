//! From what others have set up to what prroute needs to be told instead. Pure.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::net::IpAddr;

use ipnet::IpNet;

use super::behind::{Outcome, keep_before_kept};
use super::fate::{Fate, fate, is_set_by};
use super::marks::{MarkRule, Marking};
use super::model::{Action, Device, Place, Rule, Setup, Table};
use super::tables::{Way, main_leads};
use super::unread::Unread;
use crate::family::Family;

/// What stands in the configuration for an uplink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) gateways: Vec<IpAddr>,
    pub(crate) to: Vec<IpNet>,
    pub(crate) hold: bool,
    /// The rules that it stands for.
    pub(crate) instead_of: Vec<String>,
}

/// Something that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) what: String,
    pub(crate) place: Place,
    pub(crate) why: String,
}

/// What replaces a set-up, what of it stays, and what is to be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) uplinks: BTreeMap<Device, Entry>,
    pub(crate) bind_device: bool,
    pub(crate) kept: Vec<Kept>,
    /// What is different afterwards.
    pub(crate) notes: Vec<String>,
    /// Rules for sources: where they are, prroute makes none.
    pub(crate) source_rules: Vec<Rule>,
    /// Rules whose work prroute does from its start on.
    pub(crate) rules: Vec<Rule>,
    /// Rules that look up main's specific routes, as prroute's do when it has some.
    pub(crate) specific_rules: Vec<Rule>,
    pub(crate) marks: Vec<MarkRule>,
    /// Tables that nothing looks up any more.
    pub(crate) tables: BTreeSet<(Family, Table)>,
    /// Where their routes were read, and what says again what was said before.
    pub(crate) places: Vec<Place>,
    pub(crate) unread: Vec<Unread>,
}

impl Import {
    /// Nothing there has to do with routing by sources or interfaces.
    pub(crate) fn is_empty(&self) -> bool {
        self.uplinks.is_empty() && self.kept.is_empty()
    }
}

/// Translates a set-up.
pub(crate) fn translate(setup: &Setup) -> Import {
    let mut import = Import { unread: setup.unread.clone(), ..Import::default() };
    let mut looked_up: BTreeSet<(Family, Table)> = BTreeSet::new();
    let mut still: BTreeSet<(Family, Table)> = BTreeSet::new();
    let mut keeps: BTreeSet<Family> =
        Family::BOTH.into_iter().filter(|family| setup.has_unread_rule(*family)).collect();
    for (rule, outcome) in import.outcomes(setup) {
        let table = match &rule.action {
            Action::Lookup(table) if !table.is_kernels() => Some((rule.family, table.clone())),
            _ => None,
        };
        match outcome {
            Ok(Fate::Kernels) => {}
            Ok(Fate::Specific) => import.specific_rules.push(rule.clone()),
            Ok(Fate::Source(way)) => {
                import.take(setup, rule, &way);
                import.source_rules.push(rule.clone());
                looked_up.extend(table);
            }
            Ok(Fate::Replaced(way)) => {
                import.take(setup, rule, &way);
                import.rules.push(rule.clone());
                looked_up.extend(table);
            }
            Err(why) => {
                import.keep(named(rule), &rule.place, why);
                keeps.insert(rule.family);
                still.extend(table);
            }
        }
    }
    // They spare the rules behind them main's specific routes.
    let specific = std::mem::take(&mut import.specific_rules);
    for rule in specific {
        if keeps.contains(&rule.family) {
            let why = "rules that stay may stand behind it".to_owned();
            import.keep(named(&rule), &rule.place, why);
        } else {
            import.specific_rules.push(rule);
        }
    }
    import.take_marks(setup);
    let has_routes = |(family, table): &(Family, Table)| {
        setup.routes.iter().any(|route| route.table == *table && route.family() == *family)
    };
    for (family, table) in looked_up.difference(&still).filter(|key| has_routes(key)) {
        match setup.unread_lookup(*family, table) {
            Some(unread) => {
                let why = "a rule that was not read may look it up".to_owned();
                import.keep(format!("{family} table {table}"), &unread.place, why);
            }
            None => {
                import.tables.insert((*family, table.clone()));
            }
        }
    }
    let is_of_table = |family, table: &Table| {
        import.tables.iter().any(|(its, name)| *its == family && name == table)
    };
    let routes = setup.routes.iter().filter(|route| is_of_table(route.family(), &route.table));
    import.places.extend(routes.map(|route| route.place.clone()));
    for entry in import.uplinks.values_mut() {
        entry.to.sort();
        entry.to.dedup();
    }
    import
}

impl Import {
    fn keep(&mut self, what: String, place: &Place, why: String) {
        self.kept.push(Kept { what, place: place.clone(), why });
    }

    /// What becomes of each rule.
    fn outcomes<'a>(&mut self, setup: &'a Setup) -> Vec<Outcome<'a>> {
        let mut outcomes: Vec<Outcome<'a>> = Vec::new();
        let mut seen: BTreeMap<(Family, String), usize> = BTreeMap::new();
        let mut again: Vec<(usize, &Place)> = Vec::new();
        let mut taken: BTreeMap<IpNet, Device> = BTreeMap::new();
        for rule in &setup.rules {
            match seen.entry((rule.family, rule.to_string())) {
                btree_map::Entry::Occupied(first) => again.push((*first.get(), &rule.place)),
                btree_map::Entry::Vacant(entry) => {
                    entry.insert(outcomes.len());
                    let fate = fate(setup, rule);
                    outcomes
                        .push((rule, fate.and_then(|fate| unless_taken(&mut taken, rule, fate))));
                }
            }
        }
        keep_before_kept(setup, &mut outcomes);
        let goes = |at: &usize| outcomes.get(*at).is_some_and(|(_, outcome)| outcome.is_ok());
        let again = again.into_iter().filter(|(first, _)| goes(first));
        self.places.extend(again.map(|(_, place)| place.clone()));
        outcomes
    }

    /// Tells the uplink what a rule needs.
    fn take(&mut self, setup: &Setup, rule: &Rule, way: &Way) {
        let is_known = main_leads(setup, rule.family, way);
        let entry = self.uplinks.entry(way.device.clone()).or_default();
        entry.instead_of.push(rule.to_string());
        entry.hold |= way.holds;
        for via in way.gateways.iter().filter(|_| !is_known) {
            if !entry.gateways.contains(via) {
                entry.gateways.push(*via);
            }
        }
        if let (Some(to), None) = (rule.to, rule.from) {
            entry.to.push(to);
        }
        if rule.oif.is_some() {
            self.bind_device = true;
        }
        let device = &way.device;
        // Where a rule is for a source, that is chosen before.
        let chooses = rule.from.is_none() && (rule.to.is_some() || rule.oif.is_some());
        for source in way.sources.iter().filter(|_| chooses) {
            self.notes.push(format!(
                "sockets without an address of their own that `{rule}` is about had {source} (`src` in \
                 the table): prroute's routes name none, and the kernel takes one of {device}"
            ));
        }
        match (&rule.iif, rule.from) {
            (Some(iif), _) if iif != "lo" => self.notes.push(format!(
                "`{rule}` decides about packets in transit only, which prroute leaves to main: if \
                 this host routes for others over {iif}, keep the rule and its table"
            )),
            (_, Some(from)) if rule.iif.is_none() && from.prefix_len() < from.max_prefix_len() => {
                self.notes.push(format!(
                    "`{rule}` is taken to be about this host's own addresses on {device}: of packets \
                     in transit from {from} prroute leaves the way to main"
                ));
            }
            _ => {}
        }
    }

    /// Whether the rules of netfilter have any work left.
    fn take_marks(&mut self, setup: &Setup) {
        let goes = |rule: &MarkRule, rules: &[Rule]| match &rule.marking {
            Marking::Set { mark, .. } => {
                rules.iter().any(|it| it.family == rule.family() && is_set_by(it, *mark))
            }
            Marking::Copy => false,
        };
        let is_kept = |rule: &MarkRule| {
            let stay = setup.rules.iter().filter(|it| !self.rules.contains(it)).cloned();
            goes(rule, &stay.collect::<Vec<_>>())
        };
        let (mut kept, mut marks) = (Vec::new(), Vec::new());
        for family in Family::BOTH {
            let all: Vec<&MarkRule> =
                setup.marks.iter().filter(|rule| rule.family() == family).collect();
            let sets = all.iter().filter(|rule| rule.marking != Marking::Copy);
            let unread = setup.unread_look_at_marks(family);
            let (replaced, other): (Vec<&MarkRule>, Vec<&MarkRule>) = sets
                .copied()
                .partition(|rule| goes(rule, &self.rules) && !is_kept(rule) && unread.is_none());
            for rule in &other {
                let why = match unread.is_some() && goes(rule, &self.rules) {
                    true => "a rule that was not read may look at the mark",
                    false => "no rule that prroute replaces looks at the mark",
                };
                kept.push((*rule, why));
            }
            let is_over = other.is_empty() && !replaced.is_empty();
            for rule in all {
                match &rule.marking {
                    Marking::Copy if is_over => marks.push(rule.clone()),
                    Marking::Copy => kept.push((rule, "marks that stay may need it")),
                    Marking::Set { .. } if replaced.contains(&rule) => marks.push(rule.clone()),
                    Marking::Set { .. } => {}
                }
            }
        }
        for (rule, why) in kept {
            let what = format!("{} -A {} {}", rule.program, rule.chain, rule.words.join(" "));
            self.keep(what, &rule.place, why.to_owned());
        }
        self.marks = marks;
    }
}

/// The first rule for a destination counts.
fn unless_taken(
    taken: &mut BTreeMap<IpNet, Device>,
    rule: &Rule,
    fate: Fate,
) -> Result<Fate, String> {
    if let (Fate::Replaced(way), Some(to)) = (&fate, rule.to) {
        if let Some(device) = taken.get(&to).filter(|device| **device != way.device) {
            return Err(format!("an earlier rule sends what goes to {to} by {device}"));
        }
        if matches!(&way.device, Device::Name(name) if name.contains(['*', '?'])) {
            return Err(format!("`to` needs the name of one interface, not {}", way.device));
        }
        taken.insert(to, way.device.clone());
    }
    Ok(fate)
}

/// With its family, which it does not always show.
fn named(rule: &Rule) -> String {
    match rule.family {
        Family::V4 => format!("ip rule {rule}"),
        Family::V6 => format!("ip -6 rule {rule}"),
    }
}

#[cfg(test)]
mod tests;
