//! What default routes say of the connections that take them.

use super::*;
use crate::state::gateways::Health;
use crate::state::observed::{PROTOCOL, RouteMetrics};
use crate::state::succession::{InForce, keep};

/// What main's route says of connections holds for those with an address of the uplink, too.
#[test]
fn a_default_route_says_of_connections_what_mains_says() {
    let mut host = two_networks();
    let of_main = host.0.routes.iter_mut().find(|route| route.is_default()).unwrap();
    of_main.metrics = RouteMetrics::new([(2, 1400)].into_iter());
    let defaults = with(&host, "mtu 1400");
    assert_eq!(defaults.len(), 1, "{defaults:?}");
    assert!(defaults[0].starts_with("ip route add default via 192.168.1.1 dev eth0 table 21001"));
}

/// The kernel changes them with the interface's, and announces neither. A program that makes such a route changes no interface.
#[test]
fn what_the_interface_says_by_router_advertisements_is_not_said_again() {
    let said = |accepts_ra| {
        let mut host = two_networks().change("eth1", |link| link.accepts_ra = accepts_ra);
        let is_its = |route: &&mut Route| {
            route.is_default() && route.next_hops[0].gateway == Some(ip("fe80::2"))
        };
        let of_main = host.0.routes.iter_mut().find(is_its).unwrap();
        of_main.protocol = 9;
        of_main.metrics = RouteMetrics::new([(2, 1400), (8, 1300), (10, 64)].into_iter());
        let ours = with(&host, "add default via fe80::2");
        assert_eq!(ours.len(), 1, "{ours:?}");
        ours[0].split_once("metric 1024").unwrap().1.to_owned()
    };
    assert_eq!(said(true), " advmss 1300");
    assert_eq!(said(false), " mtu 1400 advmss 1300 hoplimit 64");
}

/// A renewal brings another gateway, which has not answered yet: the way that stays in force carries no more than before.
#[test]
fn a_gateway_that_is_kept_in_force_keeps_what_was_said_of_it() {
    let kept = |of_ours: Option<u32>| {
        let mut host = two_networks().neighbour("eth1", "192.168.2.9", NeighbourState::Resolved);
        let mtu = |mtu| RouteMetrics::new([(2, mtu)].into_iter());
        let is_its = |route: &&mut Route| route.is_default() && route.next_hops[0].device == "eth1";
        host.0.routes.iter_mut().find(is_its).unwrap().metrics = mtu(1300);
        if let Some(of_ours) = of_ours {
            let (any, old) = ("0.0.0.0/0", Some("192.168.2.9"));
            host = host.route_with("eth1", any, old, 21_002, 0, PROTOCOL);
            host.0.routes.last_mut().unwrap().metrics = mtu(of_ours);
        }
        let mut uplinks = host.uplinks();
        let (id, generation, family) = (uplinks[1].id, 1, Family::V4);
        let in_force = [InForce { id, generation, family, gateway: ip("192.168.2.9") }];
        keep(&mut uplinks, &host.0, &Health::default(), &in_force);
        let routes = desire(&Config::default(), &host.0, &uplinks, &SavedSysctls::default()).routes;
        let ours = routes.into_iter().find(|route| {
            route.table == 21_002 && route.is_default() && route.family() == Family::V4
        });
        let ours = ours.unwrap();
        (ours.next_hops[0].gateway, ours.metrics.to_string())
    };
    let old = Some(ip("192.168.2.9"));
    assert_eq!(kept(Some(1400)), (old, " mtu 1400".to_owned()));
    // Without a route of ours what is said of the next gateway is the best guess.
    assert_eq!(kept(None), (old, " mtu 1300".to_owned()));
}
