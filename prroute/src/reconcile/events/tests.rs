use std::time::Duration;

use super::*;
use crate::config::Config;
use crate::state::fixture::{found, link};
use crate::state::ids::allocate;
use crate::state::observed::{
    Address, Family, NextHop, Route, RouteKind, RouteMetrics, RouterPreference,
};
use crate::state::uplink::Ifindex;

/// Two NICs, each with a default route.
fn host() -> Observed {
    let mut host = Observed::default();
    for n in [1_u8, 2] {
        let ifindex = Ifindex(u32::from(n));
        let name = format!("eth{n}");
        host.links.push(link(ifindex.0, &name, None));
        host.addresses.push(Address {
            ifindex,
            net: format!("192.0.2.{}/28", u32::from(n) * 16 + 2).parse().unwrap(),
            scope_global: true,
            tentative: false,
            failed: false,
            no_prefix_route: false,
        });
        let gateway = Some(format!("192.0.2.{}", u32::from(n) * 16 + 1).parse().unwrap());
        let hop = NextHop { ifindex, device: name, gateway, onlink: false };
        host.routes.push(Route {
            table: 254,
            destination: Family::V4.any(),
            source: None,
            metric: u32::from(n),
            preference: RouterPreference::default(),
            metrics: RouteMetrics::default(),
            kind: RouteKind::Unicast,
            protocol: 4,
            scope_link: false,
            next_hops: vec![hop],
        });
    }
    host
}

fn uplinks(host: &Observed) -> Vec<Uplink> {
    allocate(&[], found(&Config::default(), host).0)
}

fn said(before: &[Uplink], after: &[Uplink], host: &Observed) -> Vec<(Level, String)> {
    let skipped = found(&Config::default(), host).1;
    let (mut outages, now) = (Outages::default(), Instant::now());
    let events = between(before, after, &skipped, host, &mut outages, now);
    events.into_iter().map(|event| (event.level, event.text)).collect()
}

#[test]
fn a_line_says_what_happened_to_an_uplink() {
    let up = host();
    let before = uplinks(&up);
    let info = |text: &str| (Level::INFO, text.to_owned());
    assert_eq!(
        said(&[], &before, &up),
        [info("eth1: uplink 1, gateway 192.0.2.17"), info("eth2: uplink 2, gateway 192.0.2.33"),]
    );
    assert_eq!(said(&before, &before, &up), []);

    let mut cut = up.clone();
    cut.links[1].carrier = false;
    let after = uplinks(&cut);
    let lost = "eth2: no carrier, its replies follow the routing tables";
    assert_eq!(said(&before, &after, &cut), [(Level::WARN, lost.to_owned())]);
    assert_eq!(said(&after, &before, &up), [info("eth2: up again")]);
    cut.links[1].admin_up = false;
    assert_eq!(
        said(&before, &after, &cut),
        [info("eth2: set down, its replies follow the routing tables")]
    );

    let mut silent = before.clone();
    silent[1].device.way_out.v4.usable = false;
    let text = "eth2: gateway 192.0.2.33 does not answer, its replies follow the routing tables";
    assert_eq!(said(&before, &silent, &up), [(Level::WARN, text.to_owned())]);
    assert_eq!(said(&silent, &before, &up), [info("eth2: gateway 192.0.2.33 answers again")]);
    silent[1].device.hold = true;
    assert!(said(&before, &silent, &up)[0].1.ends_with("its replies are held"));

    let mut bare = up.clone();
    bare.addresses.pop();
    let reason = "eth2: no longer an uplink: no global address";
    assert_eq!(said(&before, &before[..1], &bare), [info(reason)]);
    bare.links.pop();
    assert_eq!(said(&before, &before[..1], &bare), [info("eth2: gone")]);
}

#[test]
fn what_comes_back_is_told_with_how_long_it_was_missing() {
    let (up, start) = (host(), Instant::now());
    let before = uplinks(&up);
    let mut cut = up.clone();
    cut.links[1].carrier = false;
    let down = uplinks(&cut);
    let mut silent = before.clone();
    silent[1].device.way_out.v4.usable = false;
    let mut outages = Outages::default();
    let mut told = |before: &[Uplink], after: &[Uplink], seconds| {
        let now = start + Duration::from_secs(seconds);
        let events = between(before, after, &[], &up, &mut outages, now);
        events.iter().map(Line::from).next().unwrap()
    };
    told(&before, &down, 0);
    let line = told(&down, &before, 75);
    assert_eq!(line.text, "eth2: up again after 1 min 15 s");
    assert_eq!((line.kind, line.uplink.as_deref()), (EventName("uplink-up"), Some("eth2")));
    told(&before, &silent, 80);
    let line = told(&silent, &before, 92);
    assert_eq!(line.text, "eth2: gateway 192.0.2.33 answers again after 12 s");
    assert_eq!(line.gateway, Some("192.0.2.33".parse().unwrap()));
    told(&before, &before[..1], 100);
    let line = told(&before[..1], &before, 160);
    assert!(line.text.ends_with(", back after 1 min 0 s"), "{}", line.text);
}
