//! Putting back what others deleted: at once, but not for ever at their pace.
//!
//! ```text
//! loss 1 .. 10: at once     then: after 1 s, 2 s, 4 s .. 60 s     two quiet minutes: from anew
//! ```

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::managers::Losses;
use crate::netlink::Change;
use crate::state::desired::Desired;
use crate::state::observed::{Route, Rule};
use crate::state::plan::{Op, Plan};

/// Repairs without a pause.
const BURST: u32 = 10;
/// Then the pauses begin with this, and double ...
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// ... up to this.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Without a loss for so long, the past is forgotten. Longer than any pause.
const CALM: Duration = Duration::from_secs(120);

/// Whether to put back what was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    Granted,
    NotBefore {
        pause: Duration,
        /// This is the first time it is refused since the last repair.
        first: bool,
    },
}

#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// What was in place after the last round.
    rules: BTreeSet<Rule>,
    routes: BTreeSet<Route>,
    /// Repairs since the last calm.
    done: u32,
    /// The latest of them.
    last: Option<Instant>,
    /// Refused until then.
    due: Option<Instant>,
}

impl Repairs {
    /// What is desired is there, apart from what is still to be put back.
    pub(super) fn in_place(&mut self, desired: &Desired) {
        if self.due.is_none() {
            self.rules.clear();
            self.routes.clear();
        }
        self.rules.extend(desired.rules.iter().cloned());
        self.routes.extend(desired.routes.iter().cloned());
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
        self.due = None;
    }

    /// What a plan puts back that was in place, and that neither the network nor the kernel
    /// took. Routes go by themselves when links and addresses change; rules do not.
    pub(super) fn losses(&self, plan: &Plan, change: Change) -> Losses {
        let by_itself = change.links || change.addresses || change.overrun;
        let rule = |op: &&Op| matches!(op, Op::AddRule(_)) && self.puts_back(op);
        let route = |op: &&Op| !matches!(op, Op::AddRule(_)) && self.puts_back(op);
        Losses {
            rules: plan.ops.iter().filter(rule).count(),
            routes: if by_itself { 0 } else { plan.ops.iter().filter(route).count() },
        }
    }

    fn puts_back(&self, op: &Op) -> bool {
        match op {
            Op::AddRule(rule) => self.rules.contains(rule),
            Op::AddRoute(new) | Op::ReplaceRoute { new, .. } => self.routes.contains(new),
            _ => false,
        }
    }

    /// Takes what is not to be put back now out of a plan.
    pub(super) fn leave_out(&self, plan: &mut Plan) {
        plan.ops.retain(|op| !self.puts_back(op));
    }

    /// When to try again what was refused.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Asks for a repair now.
    pub(super) fn ask(&mut self, now: Instant) -> Permission {
        if self.last.is_some_and(|last| now.duration_since(last) >= CALM) {
            self.done = 0;
        }
        let since = self.last.map(|last| now.duration_since(last));
        let pause = match self.done.checked_sub(BURST) {
            None => Duration::ZERO,
            Some(beyond) => (PAUSE_MIN * 2_u32.saturating_pow(beyond.min(16))).min(PAUSE_MAX),
        };
        match since {
            Some(since) if since < pause => {
                let first = self.due.is_none();
                self.due = self.last.map(|last| last + pause);
                Permission::NotBefore { pause: pause - since, first }
            }
            _ => {
                self.done += 1;
                self.last = Some(now);
                self.due = None;
                Permission::Granted
            }
        }
    }
}

#[cfg(test)]
mod tests;
