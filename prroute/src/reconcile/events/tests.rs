use super::*;
use crate::config::Config;
use crate::state::fixture::{found, link};
use crate::state::ids::allocate;
use crate::state::observed::{Address, Family, NextHop, Route, RouteKind};
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

fn flap(events: &mut Events, now: Instant) -> Vec<(Level, String)> {
    let down = event("eth2", Level::INFO, "eth2: no carrier".to_owned(), true, "uplink-down");
    let up = event("eth2", Level::INFO, "eth2: up again".to_owned(), false, "uplink-up");
    let mut lines = events.round(now, &[down], Counts { added: 0, removed: 4 });
    lines.extend(events.round(now, &[up], Counts { added: 4, removed: 0 }));
    lines.into_iter().map(|line| (line.level, line.text)).collect()
}

#[test]
fn an_uplink_that_flaps_is_told_of_once_a_minute_until_it_stops() {
    let mut events = Events::default();
    let start = Instant::now();
    let uplinks = uplinks(&host());
    let mut lines = Vec::new();
    for n in 0..500 {
        lines.extend(flap(&mut events, start + Duration::from_millis(n * 100)));
    }
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert_eq!(lines[0].1, "eth2: no carrier; rules and routes: 4 removed");
    assert_eq!(events.due(), Some(start + SPAN));
    assert_eq!(events.flush(start + SPAN / 2, &uplinks), []);
    let lines = events.flush(start + SPAN, &uplinks);
    assert_eq!(
        lines[0].1,
        "eth2 flapped 497 times in the last minute, up now; \
         rules and routes: 1988 added, 1988 removed meanwhile"
    );
    // Another uplink is told of as ever.
    let other = event("eth1", Level::WARN, "eth1: silent".to_owned(), true, "gateway-silent");
    assert_eq!(events.round(start + SPAN, &[other], Counts::default())[0].level, Level::WARN);
    let lines = events.flush(start + 2 * SPAN, &uplinks);
    assert_eq!(lines, [(Level::INFO, "eth2 has stopped flapping, up now".to_owned())]);
    assert_eq!(events.due(), None);
    assert_eq!(flap(&mut events, start + 3 * SPAN).len(), 2);
}

#[test]
fn rules_and_routes_that_keep_changing_are_told_of_together() {
    let mut events = Events::default();
    let start = Instant::now();
    let one = Counts { added: 1, removed: 0 };
    let lines: Vec<_> = (0..100).flat_map(|_| events.round(start, &[], one)).collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[0].text, "rules and routes: 1 added");
    let lines = events.flush(start + SPAN, &[]);
    assert_eq!(lines[0].1, "rules and routes: 94 added meanwhile");
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
    assert_eq!((line.kind, line.uplink.as_deref()), (Some("uplink-up"), Some("eth2")));
    told(&before, &silent, 80);
    let line = told(&silent, &before, 92);
    assert_eq!(line.text, "eth2: gateway 192.0.2.33 answers again after 12 s");
    assert_eq!(line.gateway, Some("192.0.2.33".parse().unwrap()));
    told(&before, &before[..1], 100);
    let line = told(&before[..1], &before, 160);
    assert!(line.text.ends_with(", back after 1 min 0 s"), "{}", line.text);
}
