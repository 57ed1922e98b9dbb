use std::net::Ipv4Addr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::route::{RouteAttribute, RouteProtocol, RouteType};
use netlink_packet_route::rule::RuleAttribute;

use super::*;
use crate::state::observed::Address;

fn route(length: u8, table: u32, gateway: bool, protocol: u8) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = length;
    message.header.protocol = RouteProtocol::from(protocol);
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![
        RouteAttribute::Table(table),
        RouteAttribute::Destination(Ipv4Addr::new(10, 0, 0, 0).into()),
        RouteAttribute::Oif(7),
    ];
    if gateway {
        message.attributes.push(RouteAttribute::Gateway(Ipv4Addr::new(192, 0, 2, 1).into()));
    }
    message
}

#[test]
fn routes_that_decide_nothing_may_flap() {
    let mut relevance = Relevance::default();
    let mut judge = |message| relevance.judge(message).routes;
    assert!(!judge(Message::NewRoute(route(24, 100, true, 4))));
    assert!(!judge(Message::DelRoute(route(24, 254, true, 4))));
    assert!(!judge(Message::NewRoute(route(24, 100, false, 4))));
    assert!(judge(Message::NewRoute(route(24, 254, false, 4))), "main's on-link routes");
    assert!(judge(Message::NewRoute(route(0, 100, true, 4))), "default routes anywhere");
    assert!(judge(Message::DelRoute(route(1, 254, true, 4))), "halves too");
    let mut for_some = RouteMessage::default();
    for_some.header.address_family = AddressFamily::Inet6;
    for_some.header.source_prefix_length = 64;
    for_some.header.kind = RouteType::Unicast;
    let source = "2001:db8:2::".parse::<std::net::Ipv6Addr>().unwrap();
    for_some.attributes = vec![
        RouteAttribute::Table(254),
        RouteAttribute::Source(source.into()),
        RouteAttribute::Oif(7),
        RouteAttribute::Gateway(source.into()),
    ];
    assert!(judge(Message::NewRoute(for_some.clone())), "those of some sources too");
    assert!(judge(Message::DelRoute(for_some)), "those of some sources too");
}

/// It is named, and what it takes the place of cannot be put back.
#[test]
fn every_route_of_others_in_our_tables_is_news() {
    let mut relevance = Relevance::default();
    assert!(relevance.judge(Message::NewRoute(route(16, 21_001, true, 4))).routes);
    assert!(relevance.judge(Message::DelRoute(route(16, 21_001, true, 4))).routes);
    let mut refuses = route(16, 21_001, false, 4);
    refuses.header.kind = RouteType::Unreachable;
    assert!(relevance.judge(Message::NewRoute(refuses)).routes);
    assert!(!relevance.judge(Message::NewRoute(route(16, 20_999, true, 4))).routes);
}

#[test]
fn our_own_additions_are_no_news_and_our_losses_are() {
    let mut relevance = Relevance::default();
    assert!(!relevance.judge(Message::NewRoute(route(0, 21_001, true, 213))).is_any());
    assert!(relevance.judge(Message::DelRoute(route(24, 21_001, false, 213))).routes);
    let mut rule = RuleMessage::default();
    rule.header.family = AddressFamily::Inet;
    rule.attributes.push(RuleAttribute::Protocol(RouteProtocol::from(213)));
    assert!(!relevance.judge(Message::NewRule(rule.clone())).is_any());
    assert!(relevance.judge(Message::DelRule(rule)).rules);
    let mut foreign = RuleMessage::default();
    foreign.header.family = AddressFamily::Inet;
    assert!(relevance.judge(Message::NewRule(foreign)).rules);
}

#[test]
fn links_are_news_when_something_that_matters_changed() {
    let link = |mtu| {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.attributes =
            vec![LinkAttribute::IfName("eth0".to_owned()), LinkAttribute::Mtu(mtu)];
        message
    };
    let mut relevance = Relevance::default();
    assert!(relevance.judge(Message::NewLink(link(1500))).links);
    assert!(!relevance.judge(Message::NewLink(link(1500))).links);
    assert!(relevance.judge(Message::NewLink(link(9000))).links);
    assert!(relevance.judge(Message::DelLink(link(9000))).links);
    assert!(relevance.judge(Message::NewLink(link(9000))).links, "it is back");
}

#[test]
fn what_we_delete_ourselves_is_no_news_once() {
    let mut rule = RuleMessage::default();
    rule.header.family = AddressFamily::Inet;
    rule.attributes.push(RuleAttribute::Protocol(RouteProtocol::from(213)));
    let gone = route(24, 21_001, false, 213);
    let plan = Plan {
        ops: vec![
            Op::DeleteRule(decode::rule(&rule).unwrap()),
            Op::DeleteRoute(decode::route(&gone).unwrap()),
        ],
    };
    let mut relevance = Relevance { expected: Expected::of(&plan), ..Relevance::default() };
    assert!(!relevance.judge(Message::DelRule(rule.clone())).is_any());
    assert!(relevance.judge(Message::DelRule(rule)).rules, "somebody else's");
    assert!(!relevance.judge(Message::DelRoute(gone.clone())).is_any());
    assert!(relevance.judge(Message::DelRoute(gone)).routes);
}

/// Of a route that is replaced only the other one is announced.
#[test]
fn what_may_have_replaced_an_on_link_route_is_news() {
    let mut relevance = Relevance::default();
    let other = |table| route(16, table, true, 4);
    assert!(!relevance.judge(Message::NewRoute(other(254))).routes);
    let mut refuses = other(254);
    refuses.header.kind = RouteType::BlackHole;
    relevance.routes.on_link.insert("10.0.0.0/16".parse().unwrap());
    assert!(relevance.judge(Message::NewRoute(other(254))).routes, "a gateway's");
    assert!(relevance.judge(Message::NewRoute(refuses)).routes, "one that refuses packets");
    assert!(relevance.judge(Message::NewRoute(other(100))).routes, "in a table of another manager");
    let narrower = route(24, 254, true, 4);
    assert!(!relevance.judge(Message::NewRoute(narrower)).routes, "another destination");
}

/// Nor is it said what kind of default route there was before.
#[test]
fn a_default_route_of_any_kind_is_news() {
    for kind in [RouteType::BlackHole, RouteType::Throw, RouteType::Unreachable] {
        let mut message = route(0, 254, true, 4);
        message.header.kind = kind;
        assert!(Relevance::default().judge(Message::NewRoute(message)).routes, "{kind:?}");
    }
}

/// A manager that keeps an interface's routes in a table of its own.
#[test]
fn on_link_routes_of_other_tables_are_news_where_they_hold_an_own_address() {
    let mut relevance = Relevance::default();
    let message = route(24, 100, false, 4);
    assert!(!relevance.judge(Message::DelRoute(message.clone())).routes);
    let address = Address {
        ifindex: Ifindex(7),
        net: "10.0.0.10/24".parse().unwrap(),
        scope_global: true,
        tentative: false,
        failed: false,
        no_prefix_route: true,
    };
    relevance.routes.interest = Interest::of(Ranges::default(), &[address]);
    assert!(relevance.judge(Message::NewRoute(message.clone())).routes);
    assert!(relevance.judge(Message::DelRoute(message)).routes);
}

/// Where the datapath keeps own sources, what main routes over uplinks is a fact.
#[test]
fn main_routes_over_uplinks_are_news_where_they_are_facts() {
    let other_device = |mut message: RouteMessage| {
        message.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::Oif(_)));
        message.attributes.push(RouteAttribute::Oif(9));
        message
    };
    let (main, elsewhere) = (route(24, 254, true, 4), route(24, 100, true, 4));
    let mut relevance = Relevance::default();
    relevance.routes.over.insert(Ifindex(7));
    assert!(relevance.judge(Message::NewRoute(main.clone())).routes);
    assert!(relevance.judge(Message::DelRoute(main.clone())).routes);
    assert!(!relevance.judge(Message::NewRoute(elsewhere)).routes, "another table");
    assert!(!relevance.judge(Message::NewRoute(other_device(main.clone()))).routes);
    // It may have taken the place of one over an uplink.
    relevance.routes.known.insert("10.0.0.0/24".parse().unwrap());
    assert!(relevance.judge(Message::NewRoute(other_device(main.clone()))).routes);
    relevance.routes = WatchedRoutes::default();
    assert!(!relevance.judge(Message::NewRoute(main)).routes);
}

/// A busy host has thousands of neighbours.
#[test]
fn only_events_of_watched_neighbours_are_passed_on_and_they_are_bounded() {
    let event = |last: u8| {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = 7;
        let address = Ipv4Addr::new(192, 0, 2, last);
        message.attributes.push(NeighbourAttribute::Destination(address.into()));
        message
    };
    let mut relevance = Relevance::default();
    relevance.watched.insert((Ifindex(7), "192.0.2.1".parse().unwrap()));
    for message in [Message::NewNeighbour(event(2)), Message::DelNeighbour(event(2))] {
        assert!(!relevance.judge(message).is_any());
    }
    assert!(relevance.neighbours.is_empty());
    assert!(!relevance.judge(Message::DelNeighbour(event(1))).is_any());
    assert_eq!(relevance.neighbours[0].state, None);
    let overrun = || relevance.judge(Message::NewNeighbour(event(1))).overrun;
    assert_eq!(std::iter::repeat_with(overrun).take(EVENTS + 1).filter(|is| *is).count(), 2);
    assert_eq!(relevance.neighbours.len(), EVENTS);
}
