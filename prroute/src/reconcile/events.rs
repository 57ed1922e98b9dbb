//! What the log says of a round: one line, in the terms of the network. Single operations are for
//! those who debug.
//!
//! An uplink that flaps is told of for the first times, and then once a minute; so is what else keeps
//! changing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tracing::Level;

use crate::reconcile::outages::{Missing, Outages};
use crate::reconcile::window::Window;
use crate::state::observed::Observed;
use crate::state::plan::{Op, Plan};
use crate::state::uplink::{Discovered, Skipped, Uplink};

/// Something happened to an uplink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Of the interface.
    pub(super) name: String,
    pub(super) level: Level,
    pub(super) text: String,
    /// It carries replies no longer, or less well.
    pub(super) is_loss: bool,
    /// What happened, in one word for programs that read the journal.
    kind: &'static str,
    gateway: Option<IpAddr>,
}

/// A line of the log, and what the journal has beside its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) text: String,
    kind: Option<&'static str>,
    uplink: Option<String>,
    gateway: Option<IpAddr>,
}

impl From<(Level, String)> for Line {
    fn from((level, text): (Level, String)) -> Self {
        Self { level, text, kind: None, uplink: None, gateway: None }
    }
}

impl From<&Event> for Line {
    fn from(event: &Event) -> Self {
        let Event { name, level, text, kind, gateway, .. } = event;
        let (kind, uplink) = (Some(*kind), Some(name.clone()));
        Self { level: *level, text: text.clone(), kind, uplink, gateway: *gateway }
    }
}

/// What happened between two looks at the network, in the uplinks' order.
pub(super) fn between(
    before: &[Uplink],
    after: &[Uplink],
    skipped: &[Skipped],
    observed: &Observed,
    outages: &mut Outages,
    now: Instant,
) -> Vec<Event> {
    let mut events = Vec::new();
    let same = |a: &Uplink, b: &Uplink| (a.id, a.generation) == (b.id, b.generation);
    for old in before.iter().filter(|old| !after.iter().any(|new| same(old, new))) {
        let name = &old.device.name;
        let reason = skipped.iter().find(|skipped| skipped.name == *name);
        let text = match reason {
            Some(Skipped { reason, .. }) => format!("{name}: no longer an uplink: {reason}"),
            None => format!("{name}: gone"),
        };
        outages.begin(name, Missing::Uplink, now);
        events.push(event(name, Level::INFO, text, true, "uplink-gone"));
    }
    for new in after {
        match before.iter().find(|old| same(old, new)) {
            None => {
                let name = &new.device.name;
                let mut text = introduce(new);
                let back = outages.end(name, Missing::Uplink, now);
                if !back.is_empty() {
                    text.push_str(&format!(", back{back}"));
                }
                events.push(event(name, Level::INFO, text, false, "uplink-new"));
            }
            Some(old) => changes(&old.device, &new.device, observed, (outages, now), &mut events),
        }
    }
    events
}

fn event(name: &str, level: Level, text: String, is_loss: bool, kind: &'static str) -> Event {
    Event { name: name.to_owned(), level, text, is_loss, kind, gateway: None }
}

fn introduce(uplink: &Uplink) -> String {
    let device = &uplink.device;
    let mut text = format!("{}: uplink {}", device.name, uplink.id);
    let gateways: Vec<String> =
        device.way_out.iter().filter_map(|out| out.gateway).map(|g| g.to_string()).collect();
    match gateways.as_slice() {
        [] => text.push_str(", no gateway known"),
        known => text.push_str(&format!(", gateway {}", known.join(" and "))),
    }
    for stacked in &device.stacked {
        text.push_str(&format!(", with {}", stacked.name));
    }
    if !device.up {
        text.push_str(", down");
    }
    text
}

fn changes(
    old: &Discovered,
    new: &Discovered,
    observed: &Observed,
    (outages, now): (&mut Outages, Instant),
    events: &mut Vec<Event>,
) {
    let name = &new.name;
    let mut say = |level, text, is_loss, kind| events.push(event(name, level, text, is_loss, kind));
    if old.name != new.name {
        say(Level::INFO, format!("{} was renamed to {name}", old.name), false, "renamed");
    }
    for stacked in new.stacked.iter().filter(|device| !old.stacked.contains(device)) {
        let text = format!("{name}: {} counts as this uplink", stacked.name);
        say(Level::INFO, text, false, "stacked");
    }
    let elsewhere =
        if new.hold { "its replies are held" } else { "its replies follow the routing tables" };
    match (old.up, new.up) {
        (true, false) => {
            let set_down = observed.link(new.ifindex).is_some_and(|link| !link.admin_up);
            let (level, what) =
                if set_down { (Level::INFO, "set down") } else { (Level::WARN, "no carrier") };
            outages.begin(name, Missing::Link, now);
            say(level, format!("{name}: {what}, {elsewhere}"), true, "uplink-down");
        }
        (false, true) => {
            let after = outages.end(name, Missing::Link, now);
            say(Level::INFO, format!("{name}: up again{after}"), false, "uplink-up");
        }
        _ => {}
    }
    for (was, is) in old.way_out.iter().zip(new.way_out.iter()) {
        let before = events.len();
        let mut say =
            |level, text, is_loss, kind| events.push(event(name, level, text, is_loss, kind));
        match (was.gateway, is.gateway) {
            (Some(was), Some(is)) if was != is => {
                let text = format!("{name}: gateway {is} instead of {was}");
                say(Level::INFO, text, false, "gateway-changed");
            }
            (None, Some(is)) => {
                say(Level::INFO, format!("{name}: gateway {is}"), false, "gateway-new");
            }
            (Some(was), None) => {
                say(Level::INFO, format!("{name}: gateway {was} is gone"), true, "gateway-gone");
            }
            _ => {}
        }
        if let Some(gateway) = is.gateway.filter(|_| new.up && old.up) {
            let missing = Missing::Gateway(gateway);
            match (was.usable, is.usable) {
                (true, false) => {
                    outages.begin(name, missing, now);
                    let text = format!("{name}: gateway {gateway} does not answer, {elsewhere}");
                    say(Level::WARN, text, true, "gateway-silent");
                }
                (false, true) => {
                    let after = outages.end(name, missing, now);
                    let text = format!("{name}: gateway {gateway} answers again{after}");
                    say(Level::INFO, text, false, "gateway-back");
                }
                _ => {}
            }
        }
        for event in &mut events[before..] {
            event.gateway = is.gateway.or(was.gateway);
        }
    }
}

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
                        (line.level, line.kind, line.gateway) =
                            (*level, Some(event.kind), event.gateway);
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
                _ => lines.extend(counts.map(|counts| (Level::INFO, counts).into())),
            }
        }
        lines
    }

    /// When what was held back is to be told.
    pub(super) fn due(&self) -> Option<Instant> {
        self.uplinks.values().chain([&self.others]).filter_map(|window| window.due(SPAN)).min()
    }

    /// Tells it. `uplinks`: how they are now.
    pub(super) fn flush(&mut self, now: Instant, uplinks: &[Uplink]) -> Vec<(Level, String)> {
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
        let others = self.others.flush(now, SPAN).is_some();
        if others || !said.is_empty() {
            said.extend(self.counts.take().map(|counts| format!("{counts} meanwhile")));
        }
        if said.is_empty() { Vec::new() } else { vec![(Level::INFO, said.join("; "))] }
    }
}

/// Writes lines to the log.
pub(super) fn write(lines: &[(Level, String)]) {
    lines.iter().cloned().map(Line::from).for_each(|line| write_line(&line));
}

/// What is beside the text becomes fields of the journal, and is not shown elsewhere.
pub(super) fn write_line(line: &Line) {
    let Line { level, text, kind, uplink, gateway } = line;
    let (uplink, gateway) = (uplink.as_deref(), gateway.map(|gateway| gateway.to_string()));
    let gateway = gateway.as_deref();
    match *level {
        Level::ERROR => tracing::error!(event = *kind, uplink, gateway, "{text}"),
        Level::WARN => tracing::warn!(event = *kind, uplink, gateway, "{text}"),
        _ => tracing::info!(event = *kind, uplink, gateway, "{text}"),
    }
}

#[cfg(test)]
mod tests;
