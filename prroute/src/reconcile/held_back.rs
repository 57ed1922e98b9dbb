//! What the log says of a round: one line for each uplink. Single operations are for those who debug.
//!
//! An uplink that flaps is told of for the first times, and then once a minute; so is what else keeps
//! changing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::Level;

use crate::reconcile::events::Event;
use crate::reconcile::lines::{EventName, Line};
use crate::reconcile::window::Window;
use crate::state::plan::{Op, Plan};
use crate::state::uplink::Uplink;

/// Rules and routes that were changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) added: usize,
    pub(super) removed: usize,
}

impl Counts {
    pub(super) fn of(plan: &Plan) -> Self {
        let count = |is: fn(&Op) -> bool| plan.ops.iter().filter(|op| is(op)).count();
        Self {
            added: count(|op| {
                matches!(op, Op::AddRule(_) | Op::AddRoute(_) | Op::ReplaceRoute { .. })
            }),
            removed: count(|op| matches!(op, Op::DeleteRule(_) | Op::DeleteRoute(_))),
        }
    }

    const fn add(&mut self, other: Self) {
        self.added += other.added;
        self.removed += other.removed;
    }

    fn take(&mut self) -> Option<String> {
        let text = match std::mem::take(self) {
            Self { added: 0, removed: 0 } => return None,
            Self { added, removed: 0 } => format!("{added} added"),
            Self { added: 0, removed } => format!("{removed} removed"),
            Self { added, removed } => format!("{added} added, {removed} removed"),
        };
        Some(format!("rules and routes: {text}"))
    }
}

/// Rules and routes of prroute's were added or removed.
const RULES: EventName = EventName("rules-and-routes");

/// Lines about each uplink, and about rules and routes, that are written as they come: so many ...
const FREE: u32 = 6;
/// ... in this time.
const SPAN: Duration = Duration::from_secs(60);

/// What is written, and what is held back to be told together.
#[derive(Debug, Default)]
pub(super) struct Events {
    uplinks: BTreeMap<String, Window>,
    others: Window,
    counts: Counts,
}

impl Events {
    /// The lines for a round: one for each uplink, and rules and routes.
    pub(super) fn round(&mut self, now: Instant, events: &[Event], counts: Counts) -> Vec<Line> {
        self.counts.add(counts);
        let mut lines: Vec<Line> = Vec::new();
        let mut latest = None;
        let mut held = false;
        for event in events {
            let Event { name, level, text, .. } = event;
            let window = self.uplinks.entry(name.clone()).or_default();
            if !window.says(now, FREE, SPAN, event.is_loss) {
                held = true;
                continue;
            }
            match lines.last_mut().filter(|_| latest == Some(name)) {
                Some(line) => {
                    // The journal's words are those of the worst that happened.
                    if *level < line.level {
                        (line.level, line.kind, line.gateway) = (*level, event.kind, event.gateway);
                    }
                    line.text.push_str("; ");
                    line.text.push_str(text);
                }
                None => lines.push(event.into()),
            }
            latest = Some(name);
        }
        let flapping = held || self.uplinks.values().any(Window::is_holding);
        if self.counts != Counts::default()
            && !flapping
            && (!lines.is_empty() || self.others.says(now, FREE, SPAN, true))
        {
            let counts = self.counts.take();
            match lines.as_mut_slice() {
                [line] => line.text.extend(counts.map(|counts| format!("; {counts}"))),
                _ => lines.extend(counts.map(|counts| Line::new(Level::INFO, RULES, counts))),
            }
        }
        lines
    }

    /// When what was held back is to be told.
    pub(super) fn due(&self) -> Option<Instant> {
        self.uplinks.values().chain([&self.others]).filter_map(|window| window.due(SPAN)).min()
    }

    /// Tells it. `uplinks`: how they are now.
    pub(super) fn flush(&mut self, now: Instant, uplinks: &[Uplink]) -> Option<Line> {
        let mut said = Vec::new();
        for (name, window) in &mut self.uplinks {
            let Some(losses) = window.flush(now, SPAN) else { continue };
            let state = match uplinks.iter().find(|uplink| uplink.device.name == *name) {
                None => "not an uplink now",
                Some(uplink) if uplink.device.up => "up now",
                Some(_) => "down now",
            };
            said.push(match losses {
                0 => format!("{name} has stopped flapping, {state}"),
                1 => format!("{name} flapped once in the last minute, {state}"),
                count => format!("{name} flapped {count} times in the last minute, {state}"),
            });
        }
        self.uplinks.retain(|_, window| !window.is_over(now, SPAN));
        let (others, is_flapping) = (self.others.flush(now, SPAN).is_some(), !said.is_empty());
        if others || !said.is_empty() {
            said.extend(self.counts.take().map(|counts| format!("{counts} meanwhile")));
        }
        let kind = if is_flapping { EventName("flapping") } else { RULES };
        (!said.is_empty()).then(|| Line::new(Level::INFO, kind, said.join("; ")))
    }
}

#[cfg(test)]
mod tests;
