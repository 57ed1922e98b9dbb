//! The request's way: from the interface that it comes in by to who hears it.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use nix::errno::Errno;

use super::Course;
use super::address::{self, Target, holders};
use super::forwarding;
use super::guest::{self, Guest};
use super::host::Host;
use super::listener::{self, Listener};
use super::nat::{self, Nat};
use super::netfilter::{
    self, EGRESS, FORWARD, INGRESS, INPUT, POSTROUTING, PREROUTING, Packet, Tracking, Walked, walk,
};
use super::program;
use super::question::{Question, TCP};
use super::rehearse::Rehearser;
use super::rp_filter::{self, RpFilter};
use super::rule::{self, Selected};
use super::step::Stage;
use super::uplink;
use crate::netlink::{Direction, RouteAnswer, RouteQuestion, conntrack};
use crate::state::observed::{Family, Link, RP_FILTER_STRICT, Rule, TABLE_LOCAL};
use crate::state::uplink::Ifindex;
use crate::sysctl;

/// Who has got the request.
pub(super) struct Received {
    /// The address that was asked, or what that is translated to.
    pub(super) server: SocketAddr,
    /// The interface of the guest that it was forwarded to.
    pub(super) guest: Option<Ifindex>,
    /// The socket that hears it.
    pub(super) listener: Option<Listener>,
    /// It opens its connection.
    pub(super) is_first: bool,
    /// The link-layer address that it would come from, where that is known.
    pub(super) sender: Option<[u8; 6]>,
    /// It has a mark that is not known.
    pub(super) is_marked: bool,
    /// What conntrack has got of it.
    pub(super) tracking: Tracking,
}

/// `None`: its way ends before somebody hears it.
pub(super) async fn follow(
    host: &Host<'_>,
    course: &mut Course,
    question: &Question,
    iif: &Link,
    rehearser: &mut Option<Rehearser>,
) -> Result<Option<Received>> {
    if !course.take(uplink::judge(iif, host.uplinks.of(iif.ifindex))) {
        return Ok(None);
    }
    let beside = host.beside(iif.ifindex, question.client.ip());
    let sender = match beside {
        Some(address) => host.mac(iif.ifindex, address).await,
        None => None,
    };
    let program = host.program(iif.ifindex, Direction::Ingress, || match rehearser.as_mut() {
        Some(rehearser) => rehearser.comes_in(iif.ifindex, sender),
        None => Err("no program is loaded".to_owned()),
    });
    if !course.take(program::comes_in(&iif.name, &program, host.uplinks)) {
        return Ok(None);
    }
    let (nat, is_first, before) = translation(host, question, iif).await?;
    if !course.take(nat::judge(&nat, question.local)) {
        return Ok(None);
    }
    let server = nat.server(question.local);
    let answer = routed(host, question, server, iif.ifindex).await?;
    let by_mark = by_mark(host, question, server, iif, answer.as_ref().ok());
    let marked = netfilter::marked(Stage::NetfilterIn, &before, by_mark);
    let is_decided_by_mark = marked.is_some();
    if let Some(step) = marked {
        course.take(step);
    }
    let checked = filtered(host, question, iif, answer.as_ref().err().copied());
    if !course.take(rp_filter::judge(&checked)) {
        return Ok(None);
    }
    let target = Target {
        observed: host.observed,
        uplinks: host.uplinks,
        client: question.client.ip(),
        local: question.local.ip(),
        server: server.ip(),
        answer: &answer,
    };
    if !course.take(address::judge(&target)) {
        return Ok(None);
    }
    let is_local = answer.as_ref().is_ok_and(RouteAnswer::is_local);
    if !is_local && !course.take(forwarded(server.ip(), iif, answer.is_err())) {
        return Ok(None);
    }
    let Ok(route) = answer else { return Ok(None) };
    let guest = route.device.filter(|_| !is_local);
    let mut packet = packet(host, question, server, iif.ifindex, is_first);
    packet.is_local = is_local;
    (packet.is_marked, packet.tracking) = left_by(&before);
    packet.output = guest.map(|device| host.port(device));
    let hooks = if is_local { &[INPUT][..] } else { &[FORWARD, POSTROUTING, EGRESS] };
    let mut walks = Vec::from(before);
    walks.extend(hooks.iter().map(|hook| walk(&host.rules.ruleset, *hook, &mut packet)));
    let Packet { is_marked, tracking, .. } = packet;
    // A connection needs its later segments, too.
    if is_first && question.number() == TCP {
        let fresh = Packet { is_marked: false, tracking: Tracking::Tracked, ..packet.clone() };
        let mut later =
            Packet { is_first: false, destination: question.local, output: None, ..fresh };
        let before = BEFORE_ROUTING.map(|hook| walk(&host.rules.ruleset, hook, &mut later));
        let (is_marked, tracking) = left_by(&before);
        let mut later = Packet { is_first: false, is_marked, tracking, ..packet };
        walks.extend(before);
        walks.extend(hooks.iter().map(|hook| walk(&host.rules.ruleset, *hook, &mut later)));
    }
    let marked = netfilter::marked(Stage::NetfilterIn, &walks, by_mark);
    if let Some(step) = marked.filter(|_| !is_decided_by_mark) {
        course.take(step);
    }
    let unread = host.rules.unread(question.family());
    if !course.take(netfilter::judge(Stage::NetfilterIn, "", &walks, unread)) {
        return Ok(None);
    }
    let received =
        Received { server, guest, listener: None, is_first, sender, is_marked, tracking };
    match guest {
        Some(device) => {
            let via = route.gateway.unwrap_or(server.ip());
            let step = behind(host, server, device, via).await;
            Ok(course.take(step).then_some(received))
        }
        None => {
            let listener = Listener::of(question, server, iif.ifindex);
            let step = listener::judge(question, server, &listener, |it| host.name(it));
            Ok(course.take(step).then_some(Received { listener: Some(listener), ..received }))
        }
    }
}

/// Where a packet meets netfilter before it is routed.
const BEFORE_ROUTING: [u32; 2] = [INGRESS, PREROUTING];

/// What those have left: whether it is marked, and what conntrack has got of it.
fn left_by([at_ingress, at_prerouting]: &[Walked; 2]) -> (bool, Tracking) {
    (at_ingress.is_marked || at_prerouting.is_marked, at_prerouting.tracking)
}

/// To whom the request is translated, whether it opens its connection, and what netfilter does with it
/// before it is routed.
async fn translation(
    host: &Host<'_>,
    question: &Question,
    iif: &Link,
) -> Result<(Nat, bool, [Walked; 2])> {
    let Question { client, local, is_flow, .. } = *question;
    let (tracked, untold) = match question.has_ports() || question.is_echo() {
        true => match conntrack::server_of(question.number(), client, local) {
            // The port of an echo's reply says nothing.
            Ok(server) if question.is_echo() => {
                (server.map(|server| SocketAddr::new(server.ip(), local.port())), None)
            }
            Ok(server) => (server, None),
            Err(error) => (None, Some(error.to_string())),
        },
        false => (None, None),
    };
    let is_first = !is_flow && tracked.is_none();
    let mut packet = packet(host, question, local, iif.ifindex, is_first);
    let answer = routed(host, question, local, iif.ifindex).await?;
    packet.is_local = answer.is_ok_and(|answer| answer.is_local())
        || !holders(host.observed, local.ip()).is_empty();
    let walks = BEFORE_ROUTING.map(|hook| walk(&host.rules.ruleset, hook, &mut packet));
    let [_, walked] = &walks;
    let has_nat = |tables: &[String]| tables.iter().any(|table| table == "nat");
    let legacy = has_nat(host.rules.legacy(question.family()));
    let unread = legacy.then(|| "iptables-legacy's table nat is not read".to_owned());
    let nat = Nat {
        tracked: tracked.filter(|_| walked.tracking != Tracking::Untracked),
        untold,
        by_rule: walked.translated.clone(),
        perhaps: walked.may_be_translated.clone(),
        unread: unread.or_else(|| host.rules.ruleset.unread.clone()),
    };
    Ok((nat, is_first, walks))
}

/// What the kernel does with the request.
async fn routed(
    host: &Host<'_>,
    question: &Question,
    server: SocketAddr,
    iif: Ifindex,
) -> Result<Result<RouteAnswer, Errno>> {
    let asked = RouteQuestion {
        iif: Some(iif),
        protocol: question.number(),
        ports: (question.client.port(), server.port()),
        ..RouteQuestion::own(server.ip(), Some(question.client.ip()))
    };
    Ok(host.kernel.route(&asked).await?)
}

/// The rule by which the request may take another route with a mark than without.
fn by_mark<'a>(
    host: &Host<'a>,
    question: &Question,
    server: SocketAddr,
    iif: &Link,
    route: Option<&RouteAnswer>,
) -> Option<&'a Rule> {
    let rules = &host.observed.rules;
    let packet = Selected {
        source: question.client.ip(),
        destination: server.ip(),
        iif: &iif.name,
        oif: None,
    };
    let is_local =
        route.is_some_and(RouteAnswer::is_local) || !holders(host.observed, server.ip()).is_empty();
    let is_strict = host.observed.rp_filter_all.max(iif.rp_filter) == Some(RP_FILTER_STRICT);
    let leading = match route {
        // The route back is looked up with the mark, too.
        _ if is_strict && sysctl::filters_by_mark(&iif.name) => None,
        _ if is_local => {
            let of_family = rules.iter().filter(|rule| rule.family == question.family());
            of_family.filter(|rule| rule.table == TABLE_LOCAL).min_by_key(|rule| rule.priority)
        }
        Some(route) => rule::leading_to(rules, &packet, route),
        None => None,
    };
    rule::by_mark(rules, &packet, leading)
}

fn packet(
    host: &Host<'_>,
    question: &Question,
    server: SocketAddr,
    iif: Ifindex,
    is_first: bool,
) -> Packet {
    Packet {
        protocol: question.number(),
        source: question.client,
        destination: server,
        input: Some(host.port(iif)),
        output: None,
        is_reply: false,
        is_first,
        is_local: false,
        is_marked: false,
        tracking: Tracking::Tracked,
    }
}

fn filtered<'a>(
    host: &Host<'_>,
    question: &Question,
    iif: &'a Link,
    refused: Option<Errno>,
) -> RpFilter<'a> {
    let client = question.client.ip();
    RpFilter {
        device: &iif.name,
        values: host.observed.rp_filter_all.zip(iif.rp_filter),
        client,
        client_is_host: !holders(host.observed, client).is_empty(),
        refused,
    }
}

fn forwarded(server: IpAddr, iif: &Link, is_refused: bool) -> super::Step {
    let forwards = match Family::of(&server) {
        Family::V4 => sysctl::is_forwarding(&iif.name),
        Family::V6 => sysctl::is_forwarding_ipv6(),
    };
    forwarding::judge(server, &iif.name, forwards.ok(), is_refused)
}

async fn behind(host: &Host<'_>, server: SocketAddr, device: Ifindex, via: IpAddr) -> super::Step {
    let name = host.name(device);
    let link = host.observed.link(device);
    guest::judge(&Guest {
        address: server.ip(),
        device: &name,
        is_up: link.is_some_and(|link| link.admin_up && link.carrier),
        is_uplink: host.uplinks.of(device).is_some(),
        neighbour: host.neighbour(device, via).await.ok().flatten(),
    })
}
