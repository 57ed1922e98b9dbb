//! The reply's way: from who answers to the next hop on the link.

use anyhow::Result;

use super::Course;
use super::host::Host;
use super::netfilter::{
    self, EGRESS, FORWARD, INGRESS, OUTPUT, POSTROUTING, PREROUTING, Packet, Tracking, Walked, walk,
};
use super::next_hop::{self, Exit, Hop};
use super::program::{self, Decision, NextHop, Outcome};
use super::question::{ICMP, ICMPV6, Question, TCP};
use super::rehearse::Rehearser;
use super::request::Received;
use super::route::{self, Answers, Reply};
use super::rule::{self, Selected};
use super::step::Stage;
use super::verdict::Leaves;
use crate::netlink::{Direction, RouteAnswer, RouteQuestion};
use crate::state::observed::{Link, PROTOCOL, Rule};
use crate::state::uplink::{Ifindex, Uplink};
use crate::sysctl;

/// `None`: it does not leave.
pub(super) async fn follow(
    host: &Host<'_>,
    course: &mut Course,
    question: &Question,
    iif: &Link,
    received: &Received,
    rehearser: &mut Option<Rehearser>,
) -> Result<Option<Leaves>> {
    let answers = answers(host, question, received).await?;
    let (rule, by_mark) = rules(host, question, received, &answers);
    let marked = marked_before(host, question, received, by_mark);
    let is_decided_by_mark = marked.is_some();
    if let Some(step) = marked {
        course.take(step);
    }
    if let Ok(route) = &answers.route {
        course.take(rule::judge(rule, route));
    }
    let may_be_open = received
        .listener
        .as_ref()
        .is_some_and(|listener| listener.may_send_without_source(question.number()));
    let reply = Reply {
        source: received.server.ip(),
        to: question.client.ip(),
        source_is_open: may_be_open && !host.has_socket_programs(),
    };
    if !course.take(route::judge(reply, &answers, |it| host.name(it))) {
        return Ok(None);
    }
    let Ok(route) = &answers.route else { return Ok(None) };
    let Some(by) = route.device.and_then(|device| host.observed.link(device)) else {
        return Ok(None);
    };
    let walks = walks(host, question, received, by);
    let marked = netfilter::marked(Stage::NetfilterOut, &walks, by_mark);
    if let Some(step) = marked.filter(|_| !is_decided_by_mark) {
        course.take(step);
    }
    let (seen, unread) = (format!("sees oif {}", by.name), host.rules.unread(question.family()));
    if !course.take(netfilter::judge(Stage::NetfilterOut, &seen, &walks, unread)) {
        return Ok(None);
    }
    let hooked = host.hooked(by.ifindex, Direction::Egress);
    let next = host.mac(by.ifindex, route.gateway.unwrap_or(question.client.ip())).await;
    let program = host.program(hooked, Direction::Egress, || match rehearser.as_mut() {
        Some(rehearser) => rehearser.leaves(hooked, received.guest, next),
        None => Err("no program is loaded".to_owned()),
    });
    let device = (by.name.as_str(), by.ifindex);
    let step = program::leaves(device, (&iif.name, iif.ifindex), &program, host.uplinks);
    if !course.take(step) {
        return Ok(None);
    }
    let decision = program.decision();
    let exit = exit(host, question, received, route, (by, decision)).await;
    if !course.take(next_hop::judge(&exit)) {
        return Ok(None);
    }
    let by_rule = !exit.is_moved && rule.is_some_and(|rule| rule.protocol == PROTOCOL);
    let has_flow = decision.is_some_and(|decision| decision.about_flow.is_some());
    Ok(Some(Leaves {
        via: exit.via(),
        link_layer_address: exit.link_layer_address(),
        moved_from: exit.is_moved.then(|| by.name.clone()),
        is_right: host.uplinks.is_same(exit.link.ifindex, iif.ifindex),
        by_rule,
        has_flow,
        device: exit.link.name,
    }))
}

async fn answers(host: &Host<'_>, question: &Question, received: &Received) -> Result<Answers> {
    let asked = RouteQuestion {
        iif: received.guest,
        oif: received.listener.as_ref().and_then(super::listener::Listener::device),
        protocol: question.number(),
        ports: (received.server.port(), question.client.port()),
        uid: received.listener.as_ref().and_then(super::listener::Listener::uid),
        ..RouteQuestion::own(question.client.ip(), Some(received.server.ip()))
    };
    let route = host.kernel.route(&asked).await?;
    let entry = host.kernel.route_entry(&asked).await?.ok();
    let without_source = match received.guest {
        None => host.kernel.route(&RouteQuestion { from: None, ..asked }).await?.ok(),
        Some(_) => None,
    };
    Ok(Answers { route, entry, without_source })
}

/// The rule that leads to the reply's route, and the one by which it may take another one with a mark.
fn rules<'a>(
    host: &Host<'a>,
    question: &Question,
    received: &Received,
    answers: &Answers,
) -> (Option<&'a Rule>, Option<&'a Rule>) {
    let iif = received.guest.map_or_else(|| "lo".to_owned(), |device| host.name(device));
    let bound = received.listener.as_ref().and_then(super::listener::Listener::device);
    let oif = bound.map(|device| host.name(device));
    let selected = Selected {
        source: received.server.ip(),
        destination: question.client.ip(),
        iif: &iif,
        oif: oif.as_deref(),
    };
    let rules = &host.observed.rules;
    let leading = answers.route.as_ref().ok().and_then(|route| {
        rule::leading_to(rules, &selected, answers.entry.as_ref().unwrap_or(route))
    });
    (leading, rule::by_mark(rules, &selected, leading))
}

/// Of a reply that has a mark before its route is looked up.
fn marked_before(
    host: &Host<'_>,
    question: &Question,
    received: &Received,
    by_mark: Option<&Rule>,
) -> Option<super::Step> {
    const STAGE: Stage = Stage::NetfilterOut;
    if received.guest.is_some() {
        let mut walks = Vec::new();
        for is_first in segments(received) {
            let mut packet = packet(host, question, received, is_first);
            let hooks = [INGRESS, PREROUTING];
            walks.extend(hooks.map(|hook| walk(&host.rules.ruleset, hook, &mut packet)));
        }
        return netfilter::marked(STAGE, &walks, by_mark);
    }
    let by = has_mark_of_request(question, received)?;
    by_mark
        .map(|rule| netfilter::by_mark(STAGE, &format!("it has its request's mark ({by})"), rule))
}

/// The sysctl by which a reply of the host's own has the mark of its request.
fn has_mark_of_request(question: &Question, received: &Received) -> Option<&'static str> {
    let (is_on, name) = match question.number() {
        TCP => (sysctl::accepts_marks(), "tcp_fwmark_accept"),
        ICMP | ICMPV6 => (sysctl::reflects_marks(question.family()), "fwmark_reflect"),
        _ => return None,
    };
    (received.is_marked && received.guest.is_none() && is_on).then_some(name)
}

/// The answer to what opens a connection, and what follows it.
const fn segments(received: &Received) -> [bool; 2] {
    [received.is_first, false]
}

fn packet(host: &Host<'_>, question: &Question, received: &Received, is_first: bool) -> Packet {
    Packet {
        protocol: question.number(),
        source: received.server,
        destination: question.client,
        input: received.guest.map(|device| host.port(device)),
        output: None,
        is_reply: true,
        is_first,
        is_local: false,
        is_marked: has_mark_of_request(question, received).is_some(),
        // Where its request was passed over conntrack has no connection that it belongs to.
        tracking: match received.tracking {
            Tracking::Tracked => Tracking::Tracked,
            Tracking::Untracked | Tracking::Unknown => Tracking::Unknown,
        },
    }
}

/// What netfilter does with a reply that routing sends to `by`.
fn walks(host: &Host<'_>, question: &Question, received: &Received, by: &Link) -> Vec<Walked> {
    let mut walks = Vec::new();
    let rules = &host.rules.ruleset;
    let first = if received.guest.is_some() { FORWARD } else { OUTPUT };
    for is_first in segments(received) {
        let mut packet = packet(host, question, received, is_first);
        if received.guest.is_some() {
            walks.extend([INGRESS, PREROUTING].map(|hook| walk(rules, hook, &mut packet)));
        }
        packet.output = Some(host.port(by.ifindex));
        walks.extend([first, POSTROUTING, EGRESS].map(|hook| walk(rules, hook, &mut packet)));
    }
    walks
}

/// Where the reply leaves: as routing chose, or as the program moves it.
async fn exit(
    host: &Host<'_>,
    question: &Question,
    received: &Received,
    route: &RouteAnswer,
    (by, decision): (&Link, Option<&Decision>),
) -> Exit {
    let moved = decision.filter(|decision| decision.outcome == Outcome::Moves);
    let target = moved.and_then(|decision| host.uplinks.with_id(decision.target?));
    let link = target.and_then(|target| host.observed.link(target.device.ifindex));
    let link = link.unwrap_or(by).clone();
    let hop = match (moved, target) {
        // Who asks is not known where the programs were told somebody.
        (Some(Decision { next_hop: NextHop::Router(mac), .. }), _)
            if !question.is_flow && received.sender != Some(*mac) =>
        {
            Hop::Requester
        }
        (Some(decision), Some(target)) if decision.next_hop != NextHop::AsItIs => {
            hop_on(host, question, target, decision.next_hop).await
        }
        _ if !link.has_neighbours() => Hop::Device,
        _ => neighbour(host, link.ifindex, route.gateway.unwrap_or(question.client.ip())).await,
    };
    Exit { hop, is_moved: moved.is_some(), route_mtu: route.mtu, chosen_mtu: by.mtu, link }
}

async fn hop_on(host: &Host<'_>, question: &Question, target: &Uplink, next_hop: NextHop) -> Hop {
    let device = &target.device;
    let address = match next_hop {
        NextHop::Router(mac) => return Hop::Router(mac),
        NextHop::Device => return Hop::Device,
        NextHop::AsItIs | NextHop::Destination => Some(question.client.ip()),
        NextHop::Gateway => device.way_out[question.family()].gateway,
        NextHop::SubnetGateway => {
            let source = question.local.ip();
            let by_source = device.gateways_by_source();
            by_source.iter().find(|it| it.net.contains(&source)).map(|it| it.gateway)
        }
    };
    match address {
        Some(address) => neighbour(host, device.ifindex, address).await,
        None => Hop::Unknown(format!("the gateway of {} is not known", device.name)),
    }
}

async fn neighbour(host: &Host<'_>, on: Ifindex, address: std::net::IpAddr) -> Hop {
    match host.neighbour(on, address).await {
        Ok(known) => Hop::Neighbour { address, known },
        Err(why) => Hop::Unknown(why),
    }
}
