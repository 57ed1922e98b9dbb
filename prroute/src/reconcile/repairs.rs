//! Rules and routes that others deleted, and settings that they set back: what of a plan puts them back, and how fast.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::managers::Losses;
use crate::netlink::Change;
use crate::reconcile::allowance::{Allowance, Permission};
use crate::reconcile::moves::MoveLimit;
use crate::state::desired::Desired;
use crate::state::gateways::KeptGateway;
use crate::state::observed::{Route, Rule};
use crate::state::plan::{NeighbourKey, Op, Plan};
use crate::state::saved_sysctls::SavedSysctls;

/// Routes that are missed so soon after a link or an address changed went with it.
const STIR: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Repairs {
    /// What was in place after the last round.
    rules: BTreeSet<Rule>,
    routes: BTreeSet<Route>,
    /// Entries that the kernel keeps for us.
    neighbours: BTreeSet<NeighbourKey>,
    /// Devices whose reverse-path filter we made loose.
    loosened: BTreeSet<u32>,
    allowance: Allowance,
    /// When a link or an address changed last.
    stirred: Option<Instant>,
    /// What was announced before rounds that compared nothing, because a table did not hold still.
    unanswered: Change,
    /// Where the rules for sources may go to be first again.
    pub(super) moves: MoveLimit,
}

impl Repairs {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            rules: BTreeSet::new(),
            routes: BTreeSet::new(),
            neighbours: BTreeSet::new(),
            loosened: BTreeSet::new(),
            allowance: Allowance::default(),
            stirred: None,
            unanswered: Change::default(),
            moves: MoveLimit::new(now),
        }
    }

    /// What is desired is there, apart from what is still to be put back.
    pub(super) fn in_place(&mut self, desired: &Desired) {
        if self.allowance.due().is_none() {
            self.rules.clear();
            self.routes.clear();
        }
        self.rules.extend(desired.rules.iter().cloned());
        self.routes.extend(desired.routes.iter().cloned());
    }

    /// These filters are as they were set, apart from what is still to be put back.
    pub(super) fn loosened(&mut self, sysctls: &SavedSysctls) {
        let applied = sysctls.rp_filter.iter().filter(|(_, saved)| saved.applied);
        self.loosened = applied.map(|(ifindex, _)| *ifindex).collect();
    }

    /// Gateways' entries are there. Where the kernel does not keep them resolved, it may collect them.
    pub(super) fn kept(&mut self, gateways: &[KeptGateway]) {
        if self.allowance.due().is_none() {
            self.neighbours.clear();
        }
        let managed = gateways.iter().filter(|gateway| gateway.managed);
        self.neighbours.extend(managed.map(|gateway| gateway.key.clone()));
    }

    /// What a later round will add is not in place yet, and cannot be lost.
    pub(super) fn not_yet(&mut self, rest: &Plan) {
        for op in &rest.ops {
            match op {
                Op::AddRule(rule) => {
                    self.rules.remove(rule);
                }
                Op::AddRoute(new) | Op::ReplaceRoute { new, .. } => {
                    self.routes.remove(new);
                }
                _ => {}
            }
        }
    }

    /// Nothing is to be put back (any more).
    pub(super) const fn nothing_lost(&mut self) {
        self.allowance.nothing_lost();
    }

    /// A table does not hold still, and nothing is compared: the next round misses what went with these changes.
    pub(super) const fn compared_nothing(&mut self, change: Change) {
        self.unanswered.merge(change);
    }

    /// What a plan puts back that was in place, and that neither the network nor the kernel
    /// took. Routes and neighbour entries go by themselves when links and addresses change, and that
    /// may have been heard of before they were missed; rules do not.
    pub(super) fn losses(&mut self, plan: &Plan, mut change: Change, now: Instant) -> Losses {
        change.merge(std::mem::take(&mut self.unanswered));
        if change.links || change.addresses || change.overrun {
            self.stirred = Some(now);
        }
        let by_itself = self.stirred.is_some_and(|then| now.duration_since(then) < STIR);
        let mut losses = Losses::default();
        for op in plan.ops.iter().filter(|op| self.puts_back(op)) {
            match op {
                Op::AddRule(_) => losses.rules += 1,
                Op::LoosenRpFilter(_) => losses.filters += 1,
                _ if by_itself => {}
                Op::ManageNeighbour(_) => losses.neighbours += 1,
                _ => losses.routes += 1,
            }
        }
        losses
    }

    fn puts_back(&self, op: &Op) -> bool {
        match op {
            Op::AddRule(rule) => self.rules.contains(rule),
            Op::AddRoute(new) | Op::ReplaceRoute { new, .. } => self.routes.contains(new),
            Op::ManageNeighbour(key) => self.neighbours.contains(key),
            Op::LoosenRpFilter(change) => self.loosened.contains(&change.ifindex.0),
            _ => false,
        }
    }

    /// Takes what is not to be put back now out of a plan.
    pub(super) fn leave_out(&self, plan: &mut Plan) {
        plan.ops.retain(|op| !self.puts_back(op));
    }

    /// When to try again what was refused.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.allowance.due()
    }

    /// Asks for a repair now.
    pub(super) fn ask(&mut self, now: Instant) -> Permission {
        self.allowance.ask(now)
    }
}

#[cfg(test)]
mod tests;
