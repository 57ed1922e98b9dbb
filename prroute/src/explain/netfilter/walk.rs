//! A packet's way through the chains of one hook.

use std::cell::OnceCell;
use std::net::SocketAddr;

use super::machine::{Action, Changes, run};
use super::packet::{Packet, Tracking};
use super::{EGRESS, INGRESS, OUTPUT, PREROUTING};
use crate::netlink::nftables::Verdict;
use crate::netlink::nftables::ruleset::{Base, Chain, Ruleset, Set};
use crate::state::observed::Family;

/// Chains may ask others, which may ask others; the kernel has a limit of 16.
const DEPTH: usize = 16;

/// `NF_IP_PRI_CONNTRACK`: at prerouting and output conntrack has seen a packet from there on.
const CONNTRACK: i32 = -200;

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    Passes,
    Dropped(Place),
    /// It depends on what is not known here.
    Uncertain(Place),
}

/// A rule, or a chain's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) family: &'static str,
    pub(crate) table: String,
    pub(crate) chain: String,
    /// `None`: what no rule decides about.
    pub(crate) handle: Option<u64>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { family, table, chain, handle } = self;
        match handle {
            Some(handle) => write!(f, "nft rule {family} {table} {chain} handle {handle}"),
            None => write!(f, "the policy of nft chain {family} {table} {chain}"),
        }
    }
}

/// What a walk through a hook came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walked {
    pub(crate) passage: Passage,
    /// Rules that a packet may be translated by without that it is known to whom.
    pub(crate) may_be_translated: Option<Place>,
    pub(crate) translated: Option<Translated>,
    /// A rule has set the packet's mark.
    pub(crate) is_marked: bool,
    /// What conntrack has got of it.
    pub(crate) tracking: Tracking,
    /// The rule that did so before a route is looked up for the packet.
    pub(crate) marks_for_routing: Option<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Translated {
    pub(crate) to: SocketAddr,
    pub(crate) by: Place,
}

/// How a chain ends.
enum End {
    /// Nothing was decided.
    Falls,
    Accepts,
    Drops(Place),
    Translates(Translated),
}

/// What might have been decided before.
#[derive(Default)]
struct Perhaps {
    passes: Option<Place>,
    drops: Option<Place>,
    translates: Option<Place>,
}

/// Takes a packet through the chains of a hook (as [`Base::hook`]), in the order of their priorities. A packet
/// that is translated, marked or not tracked goes on so: to the next hook, too.
pub(crate) fn walk(ruleset: &Ruleset, hook: u32, packet: &mut Packet) -> Walked {
    let mut walked = Walked {
        passage: Passage::Passes,
        may_be_translated: None,
        translated: None,
        is_marked: false,
        tracking: packet.tracking,
        marks_for_routing: None,
    };
    let marked_by = OnceCell::new();
    let changes = Changes::default();
    changes.tracking.set(packet.tracking);
    let mut chains: Vec<(Base, &Chain)> = ruleset
        .chains
        .iter()
        .filter(|chain| is_of(chain.table.family, packet.family()))
        .filter(|chain| is_on(chain, hook, packet))
        .filter_map(|chain| Some((chain.base.filter(|base| base.hook == hook)?, chain)))
        .collect();
    chains.sort_by_key(|(base, _)| base.priority);
    for (base, chain) in chains {
        let is_translated = walked.translated.is_some();
        let is_untracked = packet.tracking == Tracking::Untracked;
        if base.is_nat && (packet.is_reply || !packet.is_first || is_translated || is_untracked) {
            continue;
        }
        let mut perhaps = Perhaps::default();
        let may_untrack = match hook {
            PREROUTING | OUTPUT => base.priority < CONNTRACK,
            hook => hook == INGRESS,
        };
        let walker =
            Walker { ruleset, packet, changes: &changes, may_untrack, marked_by: &marked_by };
        let end = walker.chain(chain, &mut perhaps, Entered { depth: 0, is_certain: true });
        if walked.may_be_translated.is_none() {
            walked.may_be_translated = perhaps.translates.take();
        }
        let passage = match end {
            End::Drops(place) => dropped(place, &perhaps),
            End::Falls if base.drops => dropped(policy(chain), &perhaps),
            End::Falls | End::Accepts => perhaps.drops.map_or(Passage::Passes, Passage::Uncertain),
            End::Translates(to) if packet.tracking == Tracking::Unknown => {
                walked.may_be_translated.get_or_insert(to.by);
                Passage::Passes
            }
            End::Translates(to) => {
                packet.destination = to.to;
                walked.translated = Some(to);
                Passage::Passes
            }
        };
        packet.is_marked |= changes.is_marked.get();
        walked.is_marked = changes.is_marked.get();
        packet.tracking = changes.tracking.get();
        walked.tracking = packet.tracking;
        if matches!(hook, INGRESS | PREROUTING) || base.reroutes {
            walked.marks_for_routing = marked_by.get().cloned();
        }
        match (passage, &walked.passage) {
            (dropped @ Passage::Dropped(_), _) => {
                walked.passage = dropped;
                return walked;
            }
            (uncertain @ Passage::Uncertain(_), Passage::Passes) => walked.passage = uncertain,
            _ => {}
        }
    }
    walked
}

/// Unless a rule before may have let it pass.
fn dropped(place: Place, perhaps: &Perhaps) -> Passage {
    match &perhaps.passes {
        Some(before) => Passage::Uncertain(before.clone()),
        None => Passage::Dropped(place),
    }
}

fn is_of(table: &str, family: Family) -> bool {
    match family {
        Family::V4 => matches!(table, "ip" | "inet" | "netdev"),
        Family::V6 => matches!(table, "ip6" | "inet" | "netdev"),
    }
}

/// Whether a chain is on the packet's interface, where it has interfaces.
fn is_on(chain: &Chain, hook: u32, packet: &Packet) -> bool {
    let port = match hook {
        INGRESS => &packet.input,
        EGRESS => &packet.output,
        _ => return true,
    };
    let is_it = |device: &String, name: &str| match device.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => device == name,
    };
    port.as_ref().is_some_and(|port| chain.devices.iter().any(|it| is_it(it, &port.name)))
}

fn place(chain: &Chain, handle: Option<u64>) -> Place {
    let (table, name) = (chain.table.name.clone(), chain.name.clone());
    Place { family: chain.table.family, table, chain: name, handle }
}

fn policy(chain: &Chain) -> Place {
    place(chain, None)
}

struct Walker<'a> {
    ruleset: &'a Ruleset,
    packet: &'a Packet,
    changes: &'a Changes,
    /// Conntrack has not seen the packet yet.
    may_untrack: bool,
    /// The first rule that has set the mark at this hook.
    marked_by: &'a OnceCell<Place>,
}

/// How a packet comes to a chain.
#[derive(Clone, Copy)]
struct Entered {
    depth: usize,
    /// It does come there.
    is_certain: bool,
}

impl Walker<'_> {
    fn chain(&self, chain: &Chain, perhaps: &mut Perhaps, entered: Entered) -> End {
        let set = |name: &str| -> Option<Set> {
            let is_it = |set: &&Set| set.table == chain.table && set.name == name;
            self.ruleset.sets.iter().find(is_it).cloned()
        };
        for rule in &chain.rules {
            let here = || place(chain, Some(rule.handle));
            let is_met = entered.is_certain && perhaps.passes.is_none();
            let becomes = if is_met { Tracking::Untracked } else { Tracking::Unknown };
            self.changes.notrack.set(self.may_untrack.then_some(becomes));
            let ruled = run(&rule.expressions, self.packet, self.changes, set);
            if self.changes.is_marked.get() {
                self.marked_by.get_or_init(here);
            }
            let Some(ruled) = ruled else { continue };
            let below =
                Entered { depth: entered.depth + 1, is_certain: is_met && ruled.is_certain };
            let end = match ruled.action {
                Action::Translate { address, port } => {
                    let old = self.packet.destination;
                    let to =
                        SocketAddr::new(address.unwrap_or(old.ip()), port.unwrap_or(old.port()));
                    End::Translates(Translated { to, by: here() })
                }
                Action::TranslateSomewhere => {
                    perhaps.translates.get_or_insert_with(here);
                    End::Accepts
                }
                Action::Decide(Verdict::Accept) => End::Accepts,
                Action::Decide(Verdict::Drop) => End::Drops(here()),
                Action::Decide(Verdict::Continue) => continue,
                Action::Decide(Verdict::Return) if ruled.is_certain => return End::Falls,
                Action::Decide(Verdict::Return | Verdict::Unknown) => {
                    perhaps.passes.get_or_insert_with(here);
                    perhaps.drops.get_or_insert_with(here);
                    continue;
                }
                Action::Decide(Verdict::Jump(name)) => {
                    match self.other(chain, &name, perhaps, below) {
                        End::Falls => continue,
                        end => end,
                    }
                }
                Action::Decide(Verdict::Goto(name)) => {
                    match self.other(chain, &name, perhaps, below) {
                        End::Falls if ruled.is_certain => return End::Falls,
                        End::Falls => continue,
                        end => end,
                    }
                }
            };
            if ruled.is_certain {
                return end;
            }
            match end {
                End::Falls => {}
                End::Accepts => drop(perhaps.passes.get_or_insert_with(here)),
                End::Drops(place) => drop(perhaps.drops.get_or_insert(place)),
                End::Translates(to) => drop(perhaps.translates.get_or_insert(to.by)),
            }
        }
        End::Falls
    }

    fn other(&self, from: &Chain, name: &str, perhaps: &mut Perhaps, entered: Entered) -> End {
        let is_it = |chain: &&Chain| chain.table == from.table && chain.name == name;
        match self.ruleset.chains.iter().find(is_it) {
            Some(chain) if entered.depth <= DEPTH => self.chain(chain, perhaps, entered),
            _ => End::Falls,
        }
    }
}

#[cfg(test)]
mod tests;
