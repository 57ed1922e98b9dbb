//! Which notifications require a new round.

use std::collections::BTreeSet;
use std::time::Instant;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::rule::RuleMessage;

use super::decode;
use super::fingerprint::Links;
use super::interest::Interest;
use super::monitor::Change;
use super::unreadable::{Object, Reread, Unreadable};
use crate::config::Ranges;
use crate::state::gateways::GatewayKey;
use crate::state::observed::{
    Family, MainRoute, Neighbour, NeighbourEvent, Observed, PROTOCOL, Route, RouteKey, Rule,
    TABLE_MAIN,
};
use crate::state::plan::{Op, Plan};
use crate::state::uplink::{Discovered, Ifindex, Uplink};

/// Events of gateways that may wait to be handed out; with more of them everything is read again.
const EVENTS: usize = 4096;

/// Decides it by the decoded message.
#[derive(Debug, Default)]
pub(super) struct Relevance {
    links: Links,
    /// Neighbours whose events are passed on, ...
    pub(super) watched: BTreeSet<GatewayKey>,
    /// ... and those events, oldest first.
    pub(super) neighbours: Vec<NeighbourEvent>,
    pub(super) expected: Expected,
    pub(super) routes: WatchedRoutes,
    reread: Reread,
}

/// Routes that are news: what the desired state depends on, and what may have taken the place of it. The
/// kernel announces of a route that is replaced only the other one.
#[derive(Debug, Default)]
pub(super) struct WatchedRoutes {
    interest: Interest,
    /// Prefixes on the links of uplinks.
    on_link: BTreeSet<IpNet>,
    /// Interfaces that are uplinks, where the datapath keeps own sources: what main routes over them is a
    /// fact of the datapath.
    over: BTreeSet<Ifindex>,
    /// What main is known to route over them.
    known: BTreeSet<IpNet>,
}

impl WatchedRoutes {
    pub(super) fn of(ranges: Ranges, observed: &Observed, uplinks: &[Uplink]) -> Self {
        let asks = |uplink: &&Uplink| {
            let own_source = uplink.device.own_source;
            Family::BOTH.into_iter().any(|family| own_source.is_datapath(family))
        };
        let devices = || uplinks.iter().filter(asks).map(|uplink| &uplink.device);
        Self {
            interest: Interest::of(ranges, &observed.addresses),
            on_link: uplinks.iter().flat_map(|u| u.device.on_link.iter().copied()).collect(),
            over: devices().flat_map(Discovered::devices).collect(),
            known: devices().flat_map(|device| device.main_routes.iter().copied()).collect(),
        }
    }

    fn has(&self, route: &Route) -> bool {
        self.interest.matters(route) || self.is_in_place_of_one(route) || self.is_fact(route)
    }

    /// Whatever kind of route it is, and in whichever table: those of other managers have on-link routes
    /// that count, too.
    fn is_in_place_of_one(&self, route: &Route) -> bool {
        route.is_default_for_some() || self.on_link.contains(&route.destination)
    }

    fn is_fact(&self, route: &Route) -> bool {
        let is_over = |hop: MainRoute| self.over.contains(&hop.ifindex);
        !self.over.is_empty()
            && route.table == TABLE_MAIN
            && (self.known.contains(&route.destination) || route.main_routes().any(is_over))
    }
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

/// Removes one expected deletion: a second deletion of the same object was made by others.
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
        self.reread.due()
    }

    /// What is news at such a time.
    pub(super) fn expire(&mut self, now: Instant) -> Change {
        Change { overrun: self.reread.expire(now), ..Change::default() }
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
                change.routes = !is_ours(&route) && self.matters(&route);
                change.arrived = change.routes;
            }
            Message::DelRoute(route) => {
                change.routes = self.matters(&route) && !self.expected.is_route(&route);
            }
            Message::NewRule(rule) => change.rules = !is_our_rule(&rule),
            Message::DelRule(rule) => change.rules = !self.expected.is_rule(&rule),
            Message::NewNeighbour(message) => change.overrun = !self.keep(&message, false),
            Message::DelNeighbour(message) => change.overrun = !self.keep(&message, true),
            _ => {}
        }
        change
    }

    /// Keeps the event of a neighbour that is watched. `false`: there is no room for it.
    fn keep(&mut self, message: &NeighbourMessage, is_gone: bool) -> bool {
        let Some(neighbour) = decode::neighbour(message) else { return true };
        let Neighbour { ifindex, address, state, .. } = neighbour;
        let is_watched = self.watched.contains(&(ifindex, address));
        let has_room = self.neighbours.len() < EVENTS;
        if is_watched && has_room {
            let (at, state) = (Instant::now(), (!is_gone).then_some(state));
            self.neighbours.push(NeighbourEvent { at, ifindex, address, state });
        }
        !is_watched || has_room
    }

    fn matters(&self, message: &RouteMessage) -> bool {
        decode::route(message).is_some_and(|route| self.routes.has(&route))
    }
}

/// We made it: nothing to learn from it.
fn is_ours(message: &RouteMessage) -> bool {
    u8::from(message.header.protocol) == PROTOCOL
}

fn is_our_rule(message: &RuleMessage) -> bool {
    decode::rule(message).is_some_and(|rule| rule.protocol == PROTOCOL)
}

#[cfg(test)]
mod tests;
