use super::*;
use crate::config::Config;
use crate::state::discover::discover;
use crate::state::fixture::link;
use crate::state::ids::allocate;
use crate::state::observed::{Address, Family, NextHop, Route, RouteKind, TABLE_MAIN};

const MS: Duration = Duration::from_millis(1);

fn gateway() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

fn neighbour(state: NeighbourState) -> Neighbour {
    Neighbour { ifindex: Ifindex(7), address: gateway(), state, managed: true, protocol: 213 }
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

fn watching(state: Option<NeighbourState>, now: Instant) -> Resolution {
    let observed = observed(state);
    let uplinks = allocate(&[], discover(&Config::default(), &observed).0);
    assert_eq!(uplinks.len(), 1);
    let mut resolution = Resolution::default();
    resolution.watch(&observed, &uplinks, |_| true, now);
    resolution
}

/// What a look at the kernel in this state says after being corrected.
fn usable(resolution: &mut Resolution, state: NeighbourState, now: Instant) -> bool {
    let mut observed = observed(Some(state));
    resolution.correct(&mut observed, now);
    let device = discover(&Config::default(), &observed).0.remove(0);
    assert_eq!(device.way_out.v4.gateway, Some(gateway()));
    device.way_out.v4.usable
}

/// A cold start must not flap.
#[test]
fn a_gateway_that_is_asked_first_is_usable_for_800_ms() {
    let start = Instant::now();
    for before in [None, Some(NeighbourState::Incomplete)] {
        let mut resolution = watching(before, start);
        assert_eq!(resolution.deadline(), Some(start + 800 * MS));
        assert!(usable(&mut resolution, NeighbourState::Incomplete, start + 799 * MS));
        assert!(!resolution.expire(start + 799 * MS));
        assert!(resolution.expire(start + 800 * MS), "news");
        assert!(!resolution.expire(start + 900 * MS), "once");
        assert!(!usable(&mut resolution, NeighbourState::Incomplete, start + 900 * MS));
        assert_eq!(resolution.deadline(), None);
    }
}

#[test]
fn a_gateway_that_answers_is_usable_at_once() {
    let start = Instant::now();
    let mut resolution = watching(None, start);
    assert!(resolution.note(&neighbour(NeighbourState::Resolved), start + 2 * MS), "news");
    assert!(!resolution.note(&neighbour(NeighbourState::Probing), start + 3 * MS), "no news");
    assert!(!resolution.note(&neighbour(NeighbourState::Resolved), start + 4 * MS), "no news");
    assert_eq!(resolution.deadline(), None);
    assert!(resolution.note(&neighbour(NeighbourState::Failed), start + 5000 * MS));
    assert!(resolution.note(&neighbour(NeighbourState::Resolved), start + 5001 * MS));
    assert!(usable(&mut resolution, NeighbourState::Resolved, start + 5002 * MS));
}

#[test]
fn a_gateway_that_falls_silent_is_unusable_after_two_probes() {
    let start = Instant::now();
    let mut resolution = watching(Some(NeighbourState::Resolved), start);
    assert_eq!(resolution.deadline(), None);
    let probed = start + 9000 * MS;
    assert!(!resolution.note(&neighbour(NeighbourState::Probing), probed), "not yet");
    assert!(!resolution.note(&neighbour(NeighbourState::Probing), probed + 500 * MS));
    assert_eq!(resolution.deadline(), Some(probed + 1800 * MS), "since the first one");
    assert!(usable(&mut resolution, NeighbourState::Probing, probed + 1700 * MS), "asked again");
    assert!(!usable(&mut resolution, NeighbourState::Probing, probed + 1800 * MS));
}

/// The kernel's own retries go from failed to incomplete and back.
#[test]
fn a_failed_gateway_stays_failed_while_it_is_tried_again() {
    let start = Instant::now();
    let mut resolution = watching(Some(NeighbourState::Failed), start);
    assert!(!resolution.note(&neighbour(NeighbourState::Incomplete), start + MS));
    assert!(!usable(&mut resolution, NeighbourState::Incomplete, start + 2 * MS));
    assert!(!resolution.note(&neighbour(NeighbourState::Failed), start + 3000 * MS), "known");
}

#[test]
fn an_entry_that_was_dropped_is_asked_for_anew() {
    let start = Instant::now();
    let mut resolution = watching(Some(NeighbourState::Failed), start);
    let gone = observed(None);
    let uplinks = allocate(&[], discover(&Config::default(), &gone).0);
    resolution.watch(&gone, &uplinks, |_| true, start + 50 * MS);
    assert_eq!(resolution.deadline(), Some(start + 850 * MS));
    resolution.watch(&gone, &uplinks, |_| true, start + 90 * MS);
    assert_eq!(resolution.deadline(), Some(start + 850 * MS), "not later for looking again");
    resolution.watch(&gone, &[], |_| true, start + 99 * MS);
    assert_eq!(resolution.deadline(), None, "no gateway any more");
}

#[test]
fn gateways_that_nobody_resolves_do_not_fail() {
    let start = Instant::now();
    let none = observed(None);
    let uplinks = allocate(&[], discover(&Config::default(), &none).0);
    let mut resolution = Resolution::default();
    resolution.watch(&none, &uplinks, |_| false, start);
    assert_eq!(resolution.deadline(), None);
    assert!(!resolution.expire(start + 9000 * MS));
}
