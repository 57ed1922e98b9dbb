//! Many rules for sources, in sections that are skipped as a whole.
//!
//! The kernel walks its rules one after the other, for every packet that it has to route anew. A
//! packet that comes from elsewhere, or whose socket has no address yet, must not pay for a
//! thousand addresses that are not its own:
//!
//! ```text
//!   base+51  not from <all sources> iif lo goto base+99
//!   base+52  not from <sources of the first section> iif lo goto base+56
//!   base+53  from S to <contested on-link prefix> iif lo lookup T
//!   base+54  from S iif lo lookup main suppress_prefixlength 1   from V iif lo lookup main
//!   base+55  from S iif lo lookup T                              from V iif lo lookup SHARED
//!   base+56  not from <sources of the second section> iif lo goto base+60
//!   ...
//!   base+99  nop
//! ```
//!
//! What is skipped cannot match who skips it, so each shortcut may be missing, or lead nowhere:
//! that costs time, and decides nothing.

use ipnet::IpNet;

use super::rules::offset;
use crate::config::Ranges;
use crate::state::observed::{Family, Rule};
use crate::state::ours::is_our_rule;

/// So many rules for sources may everybody pass.
const FLAT: usize = 16;
/// So many rules need not be divided.
const SMALL: usize = 8;
/// What fits between [`offset::SECTIONS`] and [`offset::SECTIONS_END`].
const SECTIONS: usize = 11;
/// Priorities of a section: its shortcut, and three kinds of rules.
const WIDTH: u32 = 4;

/// One source, with its rules in the order in which they have to be asked. Their priorities are
/// offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) net: IpNet,
    pub(super) rules: Vec<Rule>,
}

/// The last offset that a rule of `entries` gets; `None` without any.
pub(super) fn last(entries: &[Entry]) -> Option<u32> {
    let flat = || entries.iter().flat_map(|entry| &entry.rules).map(|rule| rule.priority).max();
    if weight(entries) <= FLAT { flat() } else { Some(offset::SECTIONS_END) }
}

/// The rules of `entries`, which are of one family and have no source in common, from `base` on.
///
/// `shortcuts`: nothing of others stands between the sections, which would be skipped with them.
pub(super) fn arrange(
    base: u32,
    family: Family,
    mut entries: Vec<Entry>,
    shortcuts: bool,
) -> Vec<Rule> {
    if weight(&entries) <= FLAT {
        let rules = entries.into_iter().flat_map(|entry| entry.rules);
        return rules.map(|rule| Rule { priority: base + rule.priority, ..rule }).collect();
    }
    entries.sort_by_key(|entry| entry.net);
    let (start, end) = (base + offset::SECTIONS, base + offset::SECTIONS_END);
    let sections = divide(&entries);
    let mut rules = Vec::new();
    if shortcuts {
        rules.push(skip(family, start, &entries, end));
        rules.push(Rule::nop(family, end));
    }
    let firsts = (start + 1..end).step_by(WIDTH as usize);
    for (number, (first, section)) in firsts.zip(&sections).enumerate() {
        if shortcuts && sections.len() > 1 {
            let is_last = number + 1 == sections.len();
            rules.push(skip(family, first, section, if is_last { end } else { first + WIDTH }));
        }
        rules.extend(
            section
                .iter()
                .flat_map(|entry| &entry.rules)
                .map(|rule| Rule { priority: first + place(rule.priority), ..rule.clone() }),
        );
    }
    rules
}

/// Whether a rule of others is where the sections are: it has its turn, with whatever source.
pub(super) fn is_inhabited(ranges: Ranges, base: u32, family: Family, rules: &[Rule]) -> bool {
    let sections = base + offset::SECTIONS..=base + offset::SECTIONS_END;
    rules.iter().any(|rule| {
        rule.family == family && sections.contains(&rule.priority) && !is_our_rule(ranges, rule)
    })
}

/// Behind its section's shortcut.
const fn place(offset: u32) -> u32 {
    match offset {
        offset::ON_LINK => 1,
        offset::SPECIFIC | offset::SHARED_MAIN => 2,
        _ => 3,
    }
}

fn weight(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.rules.len()).sum()
}

/// Neighbouring sources stay together. The heaviest section is divided where its addresses are
/// furthest apart; that one is heavier counts from twice the weight on, so that an address more or
/// less seldom changes anything for the others.
fn divide(entries: &[Entry]) -> Vec<&[Entry]> {
    let mut sections = vec![entries];
    while sections.len() < SECTIONS {
        let divisible = |section: &&[Entry]| section.len() > 1 && weight(section) > SMALL;
        let candidates = sections.iter().enumerate().filter(|(_, section)| divisible(section));
        let heaviest = candidates.rev().max_by_key(|(_, section)| weight(section).ilog2());
        let Some((index, section)) = heaviest else { break };
        let apart = |at: &usize| common_bits(&section[at - 1].net, &section[*at].net);
        let at = (1..section.len()).min_by_key(apart).unwrap_or(1);
        let (left, right) = section.split_at(at);
        sections.splice(index..=index, [left, right]);
    }
    sections
}

/// The longest prefix around all of them.
fn cover(section: &[Entry]) -> Option<IpNet> {
    let first = section.first()?.net;
    let bits = section.iter().map(|entry| common_bits(&first, &entry.net)).min()?;
    // For the kernel a source of length 0 is none.
    IpNet::new(first.addr(), bits).ok().filter(|_| bits > 0).map(|net| net.trunc())
}

/// Leading bits that all addresses of both prefixes have in common.
fn common_bits(a: &IpNet, b: &IpNet) -> u8 {
    let differ = match (a, b) {
        (IpNet::V4(a), IpNet::V4(b)) => {
            (a.network().to_bits() ^ b.network().to_bits()).leading_zeros()
        }
        (IpNet::V6(a), IpNet::V6(b)) => {
            (a.network().to_bits() ^ b.network().to_bits()).leading_zeros()
        }
        _ => 0,
    };
    u8::try_from(differ).unwrap_or(u8::MAX).min(a.prefix_len()).min(b.prefix_len())
}

/// Whoever is not of the section goes on at `target`: other sources, packets without a source yet,
/// and forwarded ones.
fn skip(family: Family, priority: u32, section: &[Entry], target: u32) -> Rule {
    Rule {
        source: cover(section),
        iif: Some("lo".to_owned()),
        invert: true,
        goto: Some(target),
        ..Rule::nop(family, priority)
    }
}

#[cfg(test)]
mod tests;
