//! Where the rules for sources stand.
//!
//! They are a block of [`BLOCK`] priorities, as a rule the first ones of our range. A rule of others
//! [that catches everything](super::catch_all) before them would make every reply go its way: then
//! the block stands before that rule. Where it stands is read from the kernel's rules: its first
//! priority has a rule of ours that does nothing. That one is there so that rules without a priority,
//! which the kernel puts before the first one, do not come between those of the block.

use super::catch_all::catch_alls;
use super::observed::{Family, Observed, PROTOCOL, Rule, TABLE_LOCAL};
use super::ours::is_our_rule;
use crate::config::{Config, Ranges};
use ipnet::IpNet;

/// Priorities of the block.
pub const BLOCK: u32 = 100;

/// A block before this one has few places left to go to when the next such rule comes.
const LOW: u32 = 10 * BLOCK;

/// What the block may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moves {
    /// Go before a rule that catches everything.
    pub escape: bool,
    /// Go back to our range when there is none any more.
    pub home: bool,
}

impl Default for Moves {
    fn default() -> Self {
        Self { escape: true, home: false }
    }
}

/// Where one family's block has to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub family: Family,
    /// The first of its priorities.
    pub first: u32,
    /// That of the rules that are in the kernel now.
    pub now: Now,
    /// It is in our range.
    pub home: bool,
    /// Rules that catch everything, and would come before it there.
    pub before: Vec<Rule>,
    /// Rules that catch everything, and come before it all the same.
    pub behind: Vec<Rule>,
    /// Why it stands behind them.
    pub stays: Option<Stays>,
}

/// Where one family's block stands before anything is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// The first of its priorities; without a block that of our range.
    pub first: u32,
    /// Rules that catch everything, and come before it there.
    pub behind: Vec<Rule>,
}

impl Place {
    /// Whether a block that there is has to move: what it is for does not hold there.
    pub(crate) const fn is_to_move(&self) -> bool {
        self.first != self.now.first
    }
}

/// Why the block does not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// The configuration has a `rule-priority`.
    Fixed,
    /// It has moved often in a short time.
    Often,
    /// There are no [`BLOCK`] free priorities in a row.
    NoRoom,
}

/// The place for rules of `sources`, the last of which has the offset `last` in the block.
pub(super) fn choose(
    config: &Config,
    observed: &Observed,
    moves: Moves,
    family: Family,
    sources: &[IpNet],
    last: u32,
) -> Place {
    let ranges = config.ranges;
    let home = ranges.rule_priority;
    let caught = catch_alls(ranges, observed, family, sources);
    let of_family = || observed.rules.iter().filter(move |rule| rule.family == family);
    // It goes behind the rule for the local table, which may come after our range.
    let floor = local(ranges, observed, family).unwrap_or_default();
    let is_behind = |first: u32, rule: &Rule| rule.priority <= first + last;
    let is_good = |first: u32| {
        (first > floor || first == home) && !caught.iter().any(|rule| is_behind(first, rule))
    };

    let current =
        if config.rule_priority_is_fixed { home } else { current(home, family, observed) };
    let (first, stays) = if config.rule_priority_is_fixed {
        (home, Stays::Fixed)
    } else if is_good(current) {
        let returns = moves.home && current < LOW && is_good(home);
        (if returns { home } else { current }, Stays::NoRoom)
    } else if !moves.escape {
        (current, Stays::Often)
    } else if is_good(home) {
        (home, Stays::NoRoom)
    } else {
        let foreign: Vec<u32> = of_family()
            .filter(|rule| !is_our_rule(ranges, rule))
            .map(|rule| rule.priority)
            .collect();
        let end = caught.first().map_or(home, |rule| rule.priority.min(home));
        (window(floor, end, &foreign).unwrap_or(current), Stays::NoRoom)
    };
    let rules = |wanted: &dyn Fn(&Rule) -> bool| -> Vec<Rule> {
        caught.iter().filter(|rule| wanted(rule)).map(|rule| (*rule).clone()).collect()
    };
    let now = Now { first: current, behind: rules(&|rule| is_behind(current, rule)) };
    let behind = rules(&|rule| is_behind(first, rule));
    let before = rules(&|rule| !is_behind(first, rule) && is_behind(home, rule));
    let stays = (!behind.is_empty()).then_some(stays);
    Place { family, first, now, home: first == home, before, behind, stays }
}

/// The priority of the last rule of others for the local table.
pub(super) fn local(ranges: Ranges, observed: &Observed, family: Family) -> Option<u32> {
    let is_local = |rule: &&Rule| {
        rule.family == family && rule.table == TABLE_LOCAL && !is_our_rule(ranges, rule)
    };
    observed.rules.iter().filter(is_local).map(|rule| rule.priority).max()
}

/// Where the block is now: the lowest of our rules that do nothing is its first one.
fn current(home: u32, family: Family, observed: &Observed) -> u32 {
    let is_first = |rule: &&Rule| {
        rule.family == family && rule.protocol == PROTOCOL && rule.priority < home && rule.is_nop()
    };
    observed.rules.iter().filter(is_first).map(|rule| rule.priority).min().unwrap_or(home)
}

/// The highest block above `floor` and below `end` that has no rule of others in it.
fn window(floor: u32, end: u32, foreign: &[u32]) -> Option<u32> {
    let mut end = end;
    loop {
        let first = end.checked_sub(BLOCK).filter(|first| *first > floor)?;
        match foreign.iter().filter(|priority| (first..end).contains(priority)).max() {
            None => return Some(first),
            Some(inside) => end = *inside,
        }
    }
}

#[cfg(test)]
mod tests;
