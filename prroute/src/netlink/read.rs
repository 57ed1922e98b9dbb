//! Reading the kernel's state.

mod changes;
mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::rule::RuleMessage;
use nix::libc::{RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE};

use self::changes::Changes;
use self::routes::routes_of;
use super::request::Socket;
use super::steady::{Dump, Expiring, RouteItem, skipped};
use super::unreadable::Object;
use super::{Kernel, NetlinkError, decode, encode};
use crate::config::Ranges;
use crate::state::locals::is_host_device;
use crate::state::observed::{
    Address, ArpSettings, Family, Link, Neighbour, NeighbourState, Observed, PROTOCOL, Route, Rule,
    is_global,
};
use crate::state::uplink::{Ifindex, Skipped};
use crate::sysctl;

/// How often, and for how long at most, a dump is repeated when the table changes during it: a
/// program that adds routes all the time must not keep the other tables from being read.
const ATTEMPTS: u32 = 16;
const PATIENCE: Duration = Duration::from_millis(250);
/// For how long it is waited for by who looks once.
const SETTLES: Duration = Duration::from_secs(2);
/// Between two attempts: what one program changes in a burst is over soon.
const PAUSE: Duration = Duration::from_millis(10);

/// Whether to read where `main` leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MainRoutes {
    Skipped,
    Wanted,
}

/// What is read of the kernel's routes.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Where our tables are: of these, routes of others are read too.
    pub ranges: Ranges,
    pub main_routes: MainRoutes,
}

impl Kernel {
    /// The rules of both families, as they are now.
    pub async fn rules(&self) -> Result<Vec<Rule>, NetlinkError> {
        let mut socket = self.socket.lock().await;
        let mut rules = rules_of(&mut socket, Family::V4).await?.found;
        rules.extend(rules_of(&mut socket, Family::V6).await?.found);
        Ok(rules)
    }

    /// The state of the kernel. Every table is consistent in itself, but for IPv6 routes that change all
    /// the time; what changes between two of them is announced to [`super::Monitor`]. One that does not
    /// hold still is as it was before, and [`Observed::unsteady`] says so; links and neighbours are as they were read.
    pub async fn observe(&self) -> Result<Observed, NetlinkError> {
        let (ranges, main_routes) = (Ranges::default(), MainRoutes::Skipped);
        self.observe_with(Wanted { ranges, main_routes }).await
    }

    /// The state once all tables hold still, which [`Self::observe`] gives up sooner: where nobody looks again,
    /// nothing may be missing.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to tell. What changes for longer than two seconds is as it was read, and
    /// [`Observed::unsteady`] says so.
    pub async fn observe_settled(&self) -> Result<Observed, NetlinkError> {
        let limit = Instant::now() + SETTLES;
        loop {
            let observed = self.observe().await?;
            if !observed.unsteady || Instant::now() >= limit {
                return Ok(observed);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// As [`Self::observe`], of our tables elsewhere, and where `main` leads to, if that is wanted.
    pub async fn observe_with(&self, wanted: Wanted) -> Result<Observed, NetlinkError> {
        let mut socket = self.socket.lock().await;
        let mut before = self.steady.lock().await;
        let mut unsteady = false;
        let mut lost = Vec::new();
        let links = links(&mut socket).await?;
        let links = links.with_last(&before.links, &mut lost, Object::may_be_link, |l| l.ifindex);
        let mut links = links.found;
        before.links = Some(links.clone());
        let unreadable: Vec<Skipped> =
            lost.iter().filter_map(|message| skipped(message, &links)).collect();
        for link in &mut links {
            link.rp_filter = sysctl::rp_filter_of(&link.name, link.ifindex).ok().flatten();
        }
        let addresses = addresses(&mut socket).await?;
        let key = |address: &Address| (address.ifindex, address.net);
        let addresses =
            addresses.with_last(&before.addresses, &mut lost, Object::may_be_address, key);
        let addresses = addresses.or_before(&mut before.addresses, &mut unsteady);
        let (mut routes, mut found_main) = (Vec::new(), Vec::new());
        let mut next_expiry: Option<Duration> = None;
        let (mut rules, mut unreadable_rules) = (Vec::new(), Vec::new());
        for family in Family::BOTH {
            let last = before.routes.entry(family).or_default();
            let found = routes_of(&mut socket, family, &addresses, wanted, last.as_deref()).await?;
            let may_be = |object: &Object, (item, _): &Expiring| item.is_about(object);
            let found = found.with_last(last, &mut lost, may_be, |(item, _)| item.key());
            let found = found.or_before(last, &mut unsteady);
            for (item, validity) in found {
                next_expiry = next_expiry.into_iter().chain(validity).min();
                match item {
                    RouteItem::Whole(route) => routes.push(route),
                    RouteItem::Main { route, .. } => found_main.push(route),
                }
            }
            let found = rules_of(&mut socket, family).await?;
            let errors = found.unreadable.iter().map(|message| message.error.clone());
            unreadable_rules.extend(errors.map(|error| (family, error)));
            let last = before.rules.entry(family).or_default();
            let found = found.with_last(last, &mut lost, Object::may_be_rule, Rule::clone);
            let found = found.or_before(last, &mut unsteady);
            rules.extend(found);
        }
        name_devices(&mut routes, &links, &unreadable);
        let neighbours = neighbours(&mut socket, &routes).await?;
        let key = |neighbour: &Neighbour| (neighbour.ifindex, neighbour.address);
        let last = &before.neighbours;
        let neighbours = neighbours.with_last(last, &mut lost, Object::may_be_neighbour, key).found;
        before.neighbours = Some(neighbours.clone());
        before.say(&lost);
        let rp_filter_all = sysctl::rp_filter("all").ok();
        let arp = arp(&links, &addresses);
        let reverse_path_filters = self.filters.lock().await.recent();
        Ok(Observed {
            links,
            addresses,
            routes,
            main_routes: found_main,
            rules,
            neighbours,
            rp_filter_all,
            arp,
            reverse_path_filters,
            next_expiry,
            unsteady,
            unreadable,
            unreadable_rules,
        })
    }
}

/// Of `all` and of what has a link-layer address, where an address could be meant to be kept silent.
fn arp(links: &[Link], addresses: &[Address]) -> Vec<ArpSettings> {
    let host = links.iter().filter(|link| is_host_device(link));
    let is_global4 = |a: &Address| a.net.addr().is_ipv4() && is_global(&a.net.addr());
    let has_address = |link: &Link| {
        addresses.iter().any(|a| a.ifindex == link.ifindex && a.scope_global && is_global4(a))
    };
    if !host.into_iter().any(has_address) {
        return Vec::new();
    }
    let ports = links.iter().filter(|link| link.mac.is_some() && link.master.is_none());
    let names = ports.map(|link| link.name.as_str());
    ["all"].into_iter().chain(names).filter_map(|name| sysctl::arp(name).ok()).collect()
}

/// What tells that a table changed while it was read.
#[derive(Clone, Copy)]
pub(super) enum Marked {
    /// The answer itself, as far as the kernel knows.
    ByKernel,
    /// What is announced to this multicast group: an answer that goes on where it was, by number, repeats or
    /// leaves out some when others come or go, and says nothing.
    ByAnnouncements(u32),
}

/// Repeats a dump until the table holds still, within limits.
pub(super) async fn dump<T>(
    socket: &mut Socket,
    what: &'static str,
    request: RouteNetlinkMessage,
    marked: Marked,
    mut keep: impl FnMut(&mut Vec<T>, RouteNetlinkMessage),
) -> Result<Dump<T>, NetlinkError> {
    let limit = Instant::now() + PATIENCE;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        let object = |object| match object {
            Ok(message) => keep(&mut found, message),
            Err(message) => unreadable.push(message),
        };
        let changes = match marked {
            Marked::ByKernel => None,
            Marked::ByAnnouncements(group) => Some(Changes::listen(group)?),
        };
        let whole = socket.dump(request.clone(), object).await;
        match whole.map(|whole| whole && !changes.is_some_and(|all| all.were_announced())) {
            Ok(true) => return Ok(Dump { found, unreadable, steady: true }),
            Ok(false) if attempts < ATTEMPTS && Instant::now() < limit => {
                tracing::debug!("{what} changed while being read; reading again");
                tokio::time::sleep(PAUSE).await;
            }
            Ok(false) => {
                tracing::debug!("{what} changed during each of {attempts} attempts to read them");
                return Ok(Dump { found, unreadable, steady: false });
            }
            Err(source) => {
                return Err(NetlinkError::Refused { operation: format!("read {what}"), source });
            }
        }
    }
}

async fn links(socket: &mut Socket) -> Result<Dump<Link>, NetlinkError> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    dump(
        socket,
        "links",
        RouteNetlinkMessage::GetLink(request),
        Marked::ByKernel,
        |all, message| {
            if let RouteNetlinkMessage::NewLink(message) = message {
                all.push(decode::link(message));
            }
        },
    )
    .await
}

async fn addresses(socket: &mut Socket) -> Result<Dump<Address>, NetlinkError> {
    let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    dump(socket, "addresses", request, Marked::ByKernel, |all, message| {
        if let RouteNetlinkMessage::NewAddress(message) = message {
            all.extend(decode::address(&message));
        }
    })
    .await
}

async fn rules_of(socket: &mut Socket, family: Family) -> Result<Dump<Rule>, NetlinkError> {
    let mut request = RuleMessage::default();
    request.header.family = encode::family(family);
    let marked = Marked::ByAnnouncements(match family {
        Family::V4 => RTNLGRP_IPV4_RULE,
        Family::V6 => RTNLGRP_IPV6_RULE,
    });
    let request = RouteNetlinkMessage::GetRule(request);
    let read = dump(socket, "rules", request, marked, |all, message| {
        if let RouteNetlinkMessage::NewRule(message) = message {
            all.extend(decode::rule(&message));
        }
    });
    match read.await {
        Err(NetlinkError::Refused { source, .. }) if source.is_unknown_family() => {
            Ok(Dump { found: Vec::new(), unreadable: Vec::new(), steady: true })
        }
        read => read,
    }
}

pub(super) fn name_devices(routes: &mut [Route], links: &[Link], unreadable: &[Skipped]) {
    let unreadable = unreadable.iter().map(|link| (link.ifindex, link.name.as_str()));
    let links = links.iter().map(|link| (link.ifindex, link.name.as_str()));
    let names: BTreeMap<Ifindex, &str> = unreadable.chain(links).collect();
    for hop in routes.iter_mut().flat_map(|route| &mut route.next_hops) {
        if let Some(name) = names.get(&hop.ifindex) {
            (*name).clone_into(&mut hop.device);
        }
    }
}

/// Neighbours that are gateways, ours, or fixed: a host may have thousands of others.
async fn neighbours(
    socket: &mut Socket,
    routes: &[Route],
) -> Result<Dump<Neighbour>, NetlinkError> {
    let hops = routes.iter().flat_map(|route| &route.next_hops);
    let gateways: BTreeSet<(Ifindex, IpAddr)> =
        hops.filter_map(|hop| Some((hop.ifindex, hop.gateway?))).collect();
    let request = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
    dump(socket, "neighbours", request, Marked::ByKernel, |all, message| {
        let RouteNetlinkMessage::NewNeighbour(message) = message else { return };
        let Some(neighbour) = decode::neighbour(&message) else { return };
        let ours = neighbour.protocol == PROTOCOL;
        let fixed = neighbour.state == NeighbourState::Fixed && !neighbour.address.is_multicast();
        if ours || fixed || gateways.contains(&(neighbour.ifindex, neighbour.address)) {
            all.push(neighbour);
        }
    })
    .await
}
