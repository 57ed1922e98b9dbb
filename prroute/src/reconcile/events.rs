//! What happened to uplinks and their gateways between two looks at the network, in the terms of the
//! network.

use std::net::IpAddr;
use std::time::Instant;

use tracing::Level;

use crate::reconcile::lines::{EventName, Line};
use crate::reconcile::outages::{Missing, Outages};
use crate::state::observed::Observed;
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
    pub(super) kind: EventName,
    pub(super) gateway: Option<IpAddr>,
}

impl From<&Event> for Line {
    fn from(event: &Event) -> Self {
        let Event { name, level, text, kind, gateway, .. } = event;
        let uplink = Some(name.clone());
        Self { level: *level, text: text.clone(), kind: *kind, uplink, gateway: *gateway }
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
        events.push(event(name, Level::INFO, text, true, EventName("uplink-gone")));
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
                events.push(event(name, Level::INFO, text, false, EventName("uplink-new")));
            }
            Some(old) => changes(&old.device, &new.device, observed, (outages, now), &mut events),
        }
    }
    events
}

fn event(name: &str, level: Level, text: String, is_loss: bool, kind: EventName) -> Event {
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
        say(
            Level::INFO,
            format!("{} was renamed to {name}", old.name),
            false,
            EventName("renamed"),
        );
    }
    for stacked in new.stacked.iter().filter(|device| !old.stacked.contains(device)) {
        let text = format!("{name}: {} counts as this uplink", stacked.name);
        say(Level::INFO, text, false, EventName("stacked"));
    }
    let elsewhere =
        if new.hold { "its replies are held" } else { "its replies follow the routing tables" };
    match (old.up, new.up) {
        (true, false) => {
            let set_down = observed.link(new.ifindex).is_some_and(|link| !link.admin_up);
            let (level, what) =
                if set_down { (Level::INFO, "set down") } else { (Level::WARN, "no carrier") };
            outages.begin(name, Missing::Link, now);
            say(level, format!("{name}: {what}, {elsewhere}"), true, EventName("uplink-down"));
        }
        (false, true) => {
            let after = outages.end(name, Missing::Link, now);
            say(Level::INFO, format!("{name}: up again{after}"), false, EventName("uplink-up"));
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
                say(Level::INFO, text, false, EventName("gateway-changed"));
            }
            (None, Some(is)) => {
                say(Level::INFO, format!("{name}: gateway {is}"), false, EventName("gateway-new"));
            }
            (Some(was), None) => {
                say(
                    Level::INFO,
                    format!("{name}: gateway {was} is gone"),
                    true,
                    EventName("gateway-gone"),
                );
            }
            _ => {}
        }
        if let Some(gateway) = is.gateway.filter(|_| new.up && old.up) {
            let missing = Missing::Gateway(gateway);
            match (was.usable, is.usable) {
                (true, false) => {
                    outages.begin(name, missing, now);
                    let text = format!("{name}: gateway {gateway} does not answer, {elsewhere}");
                    say(Level::WARN, text, true, EventName("gateway-silent"));
                }
                (false, true) => {
                    let after = outages.end(name, missing, now);
                    let text = format!("{name}: gateway {gateway} answers again{after}");
                    say(Level::INFO, text, false, EventName("gateway-back"));
                }
                _ => {}
            }
        }
        for event in &mut events[before..] {
            event.gateway = is.gateway.or(was.gateway);
        }
    }
}

#[cfg(test)]
mod tests;
