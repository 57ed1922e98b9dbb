mod silence;

use self::silence::silence;
use super::*;
use crate::config::Config;
use crate::state::discover::discover;
use crate::state::fixture::link;
use crate::state::gateways::Gateways;
use crate::state::ids::allocate;
use crate::state::observed::{
    Address, Family, Link, LinkLayer, Neighbour, NextHop, Route, RouteKind, RouteMetrics,
    RouterPreference, TABLE_MAIN,
};

const MS: Duration = Duration::from_millis(1);

fn gateway() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

fn key() -> GatewayKey {
    (Ifindex(7), gateway())
}

fn neighbour(state: NeighbourState) -> Neighbour {
    let (ifindex, address) = (Ifindex(7), gateway());
    Neighbour { ifindex, address, state, managed: true, protocol: 213, confirmed: None }
}

/// An uplink with one gateway.
fn observed(state: Option<NeighbourState>) -> Observed {
    let device = "eth0".to_owned();
    Observed {
        links: vec![link(7, &device, None)],
        addresses: vec![Address {
            ifindex: Ifindex(7),
            net: "192.0.2.2/24".parse().unwrap(),
            scope_global: true,
            tentative: false,
            failed: false,
            no_prefix_route: false,
        }],
        routes: vec![Route {
            table: TABLE_MAIN,
            destination: Family::V4.any(),
            source: None,
            metric: 0,
            preference: RouterPreference::default(),
            metrics: RouteMetrics::default(),
            kind: RouteKind::Unicast,
            protocol: 4,
            scope_link: false,
            next_hops: vec![NextHop {
                ifindex: Ifindex(7),
                device,
                gateway: Some(gateway()),
                onlink: false,
            }],
        }],
        neighbours: state.map(neighbour).into_iter().collect(),
        ..Observed::default()
    }
}

fn watching(state: Option<NeighbourState>, now: Instant) -> Health {
    let observed = observed(state);
    let uplinks = allocate(&[], discover(&Config::default(), &observed, &Health::default()).0);
    assert_eq!(uplinks.len(), 1);
    let mut health = Health::default();
    health.watch(&observed, &uplinks, |_| true, now);
    health
}

/// What is chosen after a look at the kernel in this state.
fn usable(health: &mut Health, state: NeighbourState, now: Instant) -> bool {
    let observed = observed(Some(state));
    health.look(&observed, now);
    let device = discover(&Config::default(), &observed, health).0.remove(0);
    assert_eq!(device.way_out.v4.gateway, Some(gateway()));
    device.way_out.v4.usable
}

/// A cold start must not flap.
#[test]
fn a_gateway_that_is_asked_first_is_usable_for_800_ms() {
    let start = Instant::now();
    for before in [None, Some(NeighbourState::Incomplete)] {
        let mut health = watching(before, start);
        assert_eq!(health.deadline(), Some(start + 800 * MS));
        assert!(usable(&mut health, NeighbourState::Incomplete, start + 799 * MS));
        assert!(!health.expire(start + 799 * MS));
        assert!(health.expire(start + 800 * MS), "news");
        assert!(!health.expire(start + 900 * MS), "once");
        assert!(!usable(&mut health, NeighbourState::Incomplete, start + 900 * MS));
        assert_eq!(health.deadline(), None);
    }
}

#[test]
fn a_gateway_that_answers_is_usable_at_once() {
    let start = Instant::now();
    let mut health = watching(None, start);
    assert!(health.note(key(), NeighbourState::Resolved, start + 2 * MS), "news");
    assert!(!health.note(key(), NeighbourState::Probing, start + 3 * MS), "no news");
    assert!(!health.note(key(), NeighbourState::Resolved, start + 4 * MS), "no news");
    assert_eq!(health.deadline(), None);
    assert!(health.note(key(), NeighbourState::Failed, start + 5000 * MS));
    assert!(health.note(key(), NeighbourState::Resolved, start + 5001 * MS));
    assert!(usable(&mut health, NeighbourState::Resolved, start + 5002 * MS));
}

#[test]
fn a_gateway_that_falls_silent_is_unusable_after_two_probes() {
    let start = Instant::now();
    let mut health = watching(Some(NeighbourState::Resolved), start);
    assert_eq!(health.deadline(), None);
    let probed = start + 9000 * MS;
    assert!(!health.note(key(), NeighbourState::Probing, probed), "not yet");
    assert!(!health.note(key(), NeighbourState::Probing, probed + 500 * MS));
    assert_eq!(health.deadline(), Some(probed + 1800 * MS), "since the first one");
    assert!(usable(&mut health, NeighbourState::Probing, probed + 1700 * MS), "asked again");
    assert!(!usable(&mut health, NeighbourState::Probing, probed + 1800 * MS));
}

/// The kernel's own retries go from failed to incomplete and back.
#[test]
fn a_failed_gateway_stays_failed_while_it_is_tried_again() {
    let start = Instant::now();
    let mut health = watching(Some(NeighbourState::Failed), start);
    assert!(!health.note(key(), NeighbourState::Incomplete, start + MS));
    assert!(!usable(&mut health, NeighbourState::Incomplete, start + 2 * MS));
    assert!(!health.note(key(), NeighbourState::Failed, start + 3000 * MS), "known");
}

#[test]
fn an_entry_that_was_dropped_is_asked_for_anew() {
    let start = Instant::now();
    let mut health = watching(Some(NeighbourState::Failed), start);
    let gone = observed(None);
    let uplinks = allocate(&[], discover(&Config::default(), &gone, &Health::default()).0);
    health.watch(&gone, &uplinks, |_| true, start + 50 * MS);
    assert_eq!(health.deadline(), Some(start + 850 * MS));
    health.watch(&gone, &uplinks, |_| true, start + 90 * MS);
    assert_eq!(health.deadline(), Some(start + 850 * MS), "not later for looking again");
    health.watch(&gone, &[], |_| true, start + 99 * MS);
    assert_eq!(health.deadline(), None, "no gateway any more");
}

/// The kernel collects entries of failed neighbours, also ones that it keeps resolved.
#[test]
fn a_silent_gateway_stays_failed_when_the_kernel_collects_its_entry() {
    let start = Instant::now();
    let mut health = watching(Some(NeighbourState::Resolved), start);
    health.note(key(), NeighbourState::Probing, start);
    assert!(health.expire(start + 1800 * MS));
    let gone = observed(None);
    let uplinks = allocate(&[], discover(&Config::default(), &gone, &health).0);
    health.watch(&gone, &uplinks, |_| true, start + 5000 * MS);
    assert!(health.has_failed(&gone, key()));
    assert!(!usable(&mut health, NeighbourState::Incomplete, start + 5001 * MS), "asked again");
    assert!(usable(&mut health, NeighbourState::Resolved, start + 5002 * MS), "it answered");
}

/// What others flush again and again is put back after a pause only: meanwhile nobody asks.
#[test]
fn a_gateway_that_nobody_asks_is_not_silent() {
    let start = Instant::now();
    let mut health = watching(Some(NeighbourState::Resolved), start);
    let gone = observed(None);
    let uplinks = allocate(&[], discover(&Config::default(), &gone, &health).0);
    health.watch(&gone, &uplinks, |_| true, start);
    health.expire(start + 5000 * MS);
    assert!(!health.has_failed(&gone, key()));
    // Somebody does, and it has its time to answer.
    assert!(health.note(key(), NeighbourState::Resolved, start + 5001 * MS));
}

#[test]
fn a_gateway_that_had_failed_before_and_is_asked_in_vain_is_silent() {
    let start = Instant::now();
    let mut health = watching(Some(NeighbourState::Failed), start);
    health.note(key(), NeighbourState::Incomplete, start + MS);
    health.note(key(), NeighbourState::Failed, start + 3000 * MS);
    assert!(health.has_failed(&observed(None), key()), "the kernel collected the entry");
}

/// `ip neigh flush` makes an entry fail before it deletes it.
#[test]
fn a_gateway_whose_entry_was_deleted_was_not_silent() {
    let start = Instant::now();
    let mut health = watching(Some(NeighbourState::Resolved), start);
    health.note(key(), NeighbourState::Failed, start);
    let gone = observed(None);
    assert!(!health.has_failed(&gone, key()));
    let uplinks = allocate(&[], discover(&Config::default(), &gone, &health).0);
    health.watch(&gone, &uplinks, |_| true, start + MS);
    assert_eq!(health.deadline(), Some(start + 801 * MS), "asked anew");
}

/// A device that goes down takes entries with it, and we take those of what is no uplink: of one that is back a moment
/// later, whose gateway is asked anew, that is no news.
#[test]
fn an_entry_that_goes_while_its_gateway_is_asked_says_nothing_of_that() {
    let start = Instant::now();
    let mut health = watching(None, start);
    health.note(key(), NeighbourState::Incomplete, start + MS);
    assert!(!health.note(key(), NeighbourState::Failed, start + 2 * MS), "no news");
    assert!(usable(&mut health, NeighbourState::Failed, start + 3 * MS));
    assert_eq!(silence(&health), None);
    assert!(usable(&mut health, NeighbourState::Incomplete, start + 799 * MS), "asked again");
    assert!(health.expire(start + 800 * MS), "and has no more time than others");
    assert!(!usable(&mut health, NeighbourState::Failed, start + 801 * MS));
}

/// The kernel asks faster, or somebody says so: what it does not believe any more is not sent to, whatever its time.
#[test]
fn a_known_gateway_that_the_kernel_gives_up_while_it_is_asked_is_not_sent_to() {
    let start = Instant::now();
    let probed = |later: u32| {
        let mut health = watching(Some(NeighbourState::Resolved), start);
        health.note(key(), NeighbourState::Probing, start);
        let failed = start + later * MS;
        assert!(health.note(key(), NeighbourState::Failed, failed), "news");
        assert!(!health.is_resolved(&observed(Some(NeighbourState::Failed)), key()));
        health
    };
    // Its entry may have gone for another reason: it has the time of one that is asked first, and the others serve meanwhile.
    let mut health = probed(300);
    assert!(usable(&mut health, NeighbourState::Failed, start + 301 * MS));
    assert!(!health.note(key(), NeighbourState::Failed, start + 400 * MS), "known");
    assert_eq!(health.deadline(), Some(start + 800 * MS));
    assert!(health.expire(start + 800 * MS));
    assert!(silence(&health).is_some_and(|silence| silence.seen_to_begin), "it had answered");
    assert!(probed(300).note(key(), NeighbourState::Resolved, start + 500 * MS), "it answers");
    assert!(
        !usable(&mut probed(900), NeighbourState::Failed, start + 901 * MS),
        "its time is over"
    );
}

#[test]
fn gateways_that_nobody_resolves_do_not_fail() {
    let start = Instant::now();
    let none = observed(None);
    let uplinks = allocate(&[], discover(&Config::default(), &none, &Health::default()).0);
    let mut health = Health::default();
    health.watch(&none, &uplinks, |_| false, start);
    assert_eq!(health.deadline(), None);
    assert!(!health.expire(start + 9000 * MS));
}

#[test]
fn gateways_of_ours_are_asked_once_a_period_and_none_that_is_being_asked() {
    let start = Instant::now();
    let observed = observed(Some(NeighbourState::Resolved));
    let uplinks = allocate(&[], discover(&Config::default(), &observed, &Health::default()).0);
    let wanted = crate::state::gateways::to_keep(&observed, &uplinks);
    assert_eq!(wanted.len(), 1);
    let mut gateways = Gateways::new(start);
    gateways.watch(&observed, &uplinks, &wanted, None, start);
    assert_eq!(gateways.next_due(), None, "the administrator wants none");
    gateways.watch(&observed, &uplinks, &wanted, Some(2000 * MS), start);
    assert_eq!(gateways.next_due(), Some(start + 2000 * MS));
    assert!(gateways.take_due(start + 1999 * MS).is_empty());
    assert_eq!(gateways.take_due(start + 2000 * MS), gateways.kept());
    assert!(gateways.take_due(start + 2001 * MS).is_empty(), "asked");
    let (ifindex, address) = key();
    let (at, state) = (start + 2002 * MS, Some(NeighbourState::Probing));
    assert!(!gateways.hear(&[NeighbourEvent { at, ifindex, address, state }]));
    assert_eq!(gateways.next_due(), Some(at + 1800 * MS), "too long for an answer");
    assert_eq!(gateways.take_due(start + 4000 * MS), [], "it is being asked");
}

/// A question would make the kernel forget the address that somebody set.
#[test]
fn a_gateway_whose_entry_somebody_makes_permanent_is_news_and_is_asked_no_more() {
    let start = Instant::now();
    let seen = observed(Some(NeighbourState::Resolved));
    let uplinks = allocate(&[], discover(&Config::default(), &seen, &Health::default()).0);
    let wanted = |observed| crate::state::gateways::to_keep(observed, &uplinks);
    let mut gateways = Gateways::new(start);
    gateways.watch(&seen, &uplinks, &wanted(&seen), Some(2000 * MS), start);
    let (ifindex, address) = key();
    let says = |state, at| NeighbourEvent { at, ifindex, address, state: Some(state) };
    let at = start + 1000 * MS;
    assert!(gateways.hear(&[says(NeighbourState::Fixed, at)]), "there is something to be done");
    assert!(!gateways.hear(&[says(NeighbourState::Fixed, at)]), "it is done");
    assert_eq!(gateways.take_due(start + 2000 * MS), [], "not asked, though no round was made yet");
    // The round that follows lets it go.
    let seen = observed(Some(NeighbourState::Fixed));
    gateways.look(&seen, at);
    assert_eq!(wanted(&seen), [].into());
    gateways.watch(&seen, &uplinks, &wanted(&seen), Some(2000 * MS), at);
    assert_eq!(gateways.kept(), []);
    assert!(gateways.health().is_resolved(&seen, key()), "replies go there");
    // And the one after it is taken back is followed again.
    let later = start + 9000 * MS;
    assert!(gateways.hear(&[says(NeighbourState::Resolved, later)]));
    let seen = observed(Some(NeighbourState::Resolved));
    gateways.watch(&seen, &uplinks, &wanted(&seen), Some(2000 * MS), later);
    assert_eq!(gateways.take_due(later + 2000 * MS), gateways.kept());
}

/// A modem (`cdc_mbim`) has an Ethernet header, a tunnel has none: no entry is made before the first packet.
#[test]
fn a_gateway_that_nobody_asks_is_resolved_without_an_entry() {
    let change = |change: fn(&mut Link), state| {
        let mut observed = observed(state);
        change(&mut observed.links[0]);
        observed
    };
    for state in [None, Some(NeighbourState::Failed)] {
        for health in [Health::default(), Health::at_a_glance()] {
            let ask = |observed: &Observed| {
                (health.is_resolved(observed, key()), health.has_failed(observed, key()))
            };
            assert_eq!(ask(&change(|_| {}, state)), (false, state.is_some()));
            assert_eq!(ask(&change(|link| link.noarp = true, state)), (true, false));
            let tunnel = |link: &mut Link| link.link_layer = LinkLayer::None;
            assert_eq!(ask(&change(tunnel, state)), (true, false));
            // IP over InfiniBand has longer addresses, and asks for them.
            let infiniband = |link: &mut Link| {
                (link.link_layer, link.mac) = (LinkLayer::Other(32), None);
            };
            assert_eq!(ask(&change(infiniband, state)), (false, state.is_some()));
        }
    }
    let observed = change(|link| link.noarp = true, None);
    let device = discover(&Config::default(), &observed, &Health::default()).0.remove(0);
    assert!(device.way_out.v4.resolved && !device.way_out.v4.awaits_resolution(), "{device:?}");
}
