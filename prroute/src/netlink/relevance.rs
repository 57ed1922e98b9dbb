//! Which announcements are news.

use std::time::Instant;

use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::rule::RuleMessage;

use super::decode;
use super::fingerprint::Links;
use super::monitor::Change;
use super::resolution::Resolution;
use super::unreadable::{Object, Reread, Unreadable};
use crate::state::observed::{PROTOCOL, RouteKey, RouteKind, Rule, TABLE_MAIN};
use crate::state::plan::{Op, Plan};

/// Tells what matters from what does not, at the price of decoding it.
#[derive(Debug, Default)]
pub(super) struct Relevance {
    links: Links,
    pub(super) gateways: Resolution,
    pub(super) expected: Expected,
    reread: Reread,
}

/// Deletions of our own that will be announced.
#[derive(Debug, Default)]
pub(super) struct Expected {
    rules: Vec<Rule>,
    routes: Vec<RouteKey>,
}

impl Expected {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut expected = Self::default();
        expected.add(plan);
        expected
    }

    pub(super) fn add(&mut self, plan: &Plan) {
        for op in &plan.ops {
            match op {
                Op::DeleteRule(rule) => self.rules.push(rule.clone()),
                Op::DeleteRoute(route) => self.routes.push(route.key()),
                _ => {}
            }
        }
    }

    fn is_rule(&mut self, message: &RuleMessage) -> bool {
        decode::rule(message).is_some_and(|rule| take(&mut self.rules, &rule))
    }

    fn is_route(&mut self, message: &RouteMessage) -> bool {
        is_ours(message)
            && decode::route(message).is_some_and(|route| take(&mut self.routes, &route.key()))
    }
}

/// Takes one out: the next deletion of the same object is somebody else's.
fn take<T: PartialEq>(all: &mut Vec<T>, wanted: &T) -> bool {
    let found = all.iter().position(|one| one == wanted);
    found.map(|index| all.swap_remove(index)).is_some()
}

impl Relevance {
    /// What was announced last may not be what is.
    pub(super) fn forget_links(&mut self) {
        self.links = Links::default();
    }

    /// When something is news although nothing is announced.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.gateways.deadline().into_iter().chain(self.reread.due()).min()
    }

    /// What is news at such a time.
    pub(super) fn expire(&mut self, now: Instant) -> Change {
        let neighbours = self.gateways.expire(now);
        Change { neighbours, overrun: self.reread.expire(now), ..Change::default() }
    }

    /// What cannot be decoded is looked at with a full read, now or soon. A link whose name is not
    /// UTF-8 is none of ours, whatever is announced of it.
    pub(super) fn unreadable(&mut self, message: &Unreadable, now: Instant) -> Change {
        match &message.object {
            Object::Link { ifindex, name: Some(name) } => {
                let links = self.links.unnamed(*ifindex, name, message.gone);
                Change { links, ..Change::default() }
            }
            _ => Change { overrun: self.reread.ask(now), ..Change::default() },
        }
    }

    pub(super) fn judge(&mut self, message: Message) -> Change {
        let mut change = Change::default();
        match message {
            Message::NewLink(link) => change.links = self.links.changed(link),
            Message::DelLink(link) => {
                self.links.removed(&link);
                change.links = true;
            }
            Message::NewAddress(_) => {
                change.addresses = true;
                change.arrived = true;
            }
            Message::DelAddress(_) => change.addresses = true,
            Message::NewRoute(route) => {
                change.routes = !is_ours(&route) && matters(&route);
                change.arrived = change.routes;
            }
            Message::DelRoute(route) => {
                change.routes = matters(&route) && !self.expected.is_route(&route);
            }
            Message::NewRule(rule) => change.rules = !is_our_rule(&rule),
            Message::DelRule(rule) => change.rules = !self.expected.is_rule(&rule),
            Message::NewNeighbour(message) => {
                change.neighbours = decode::neighbour(&message)
                    .is_some_and(|neighbour| self.gateways.note(&neighbour, Instant::now()));
            }
            Message::DelNeighbour(message) => {
                change.neighbours = decode::neighbour(&message)
                    .is_some_and(|neighbour| self.gateways.is_watched(&neighbour));
            }
            _ => {}
        }
        change
    }
}

/// We made it: nothing to learn from it.
fn is_ours(message: &RouteMessage) -> bool {
    u8::from(message.header.protocol) == PROTOCOL
}

fn is_our_rule(message: &RuleMessage) -> bool {
    decode::rule(message).is_some_and(|rule| rule.protocol == PROTOCOL)
}

/// A default route (also one for some sources only, or one that refuses packets), one of ours,
/// main's route to a link, or one to the host itself: what decides about gateways, on-link prefixes,
/// local ones, and what rules of others catch. Other routes may flap.
fn matters(message: &RouteMessage) -> bool {
    let Some(route) = decode::route(message) else { return false };
    if route.protocol == PROTOCOL || route.is_local() {
        return true;
    }
    let on_link = route.next_hops.iter().any(|hop| hop.gateway.is_none());
    match route.kind {
        RouteKind::Unicast => route.is_default_for_some() || (route.table == TABLE_MAIN && on_link),
        kind => route.is_default() && kind.refuses(),
    }
}

#[cfg(test)]
mod tests;
