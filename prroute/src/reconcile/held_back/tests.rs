use super::*;
use crate::state::fixture::two_networks;

fn eth2() -> Uplink {
    let mut uplink = two_networks().uplinks().swap_remove(1);
    uplink.device.name = "eth2".to_owned();
    uplink
}

fn event(name: &str, level: Level, text: &str, is_loss: bool) -> Event {
    let (name, text, kind) = (name.to_owned(), text.to_owned(), EventName("uplink-down"));
    Event { name, level, text, is_loss, kind, gateway: None }
}

fn flap(events: &mut Events, now: Instant) -> Vec<(Level, String)> {
    let down = event("eth2", Level::INFO, "eth2: no carrier", true);
    let up = event("eth2", Level::INFO, "eth2: up again", false);
    let mut lines = events.round(now, &[down], Counts { added: 0, removed: 4 });
    lines.extend(events.round(now, &[up], Counts { added: 4, removed: 0 }));
    lines.into_iter().map(|line| (line.level, line.text)).collect()
}

#[test]
fn an_uplink_that_flaps_is_told_of_once_a_minute_until_it_stops() {
    let mut events = Events::default();
    let start = Instant::now();
    let uplinks = vec![eth2()];
    let mut lines = Vec::new();
    for n in 0..500 {
        lines.extend(flap(&mut events, start + Duration::from_millis(n * 100)));
    }
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert_eq!(lines[0].1, "eth2: no carrier; rules and routes: 4 removed");
    assert_eq!(events.due(), Some(start + SPAN));
    assert_eq!(events.flush(start + SPAN / 2, &uplinks), None);
    let line = events.flush(start + SPAN, &uplinks).unwrap();
    assert_eq!(line.kind, EventName("flapping"));
    assert_eq!(
        line.text,
        "eth2 flapped 497 times in the last minute, up now; \
         rules and routes: 1988 added, 1988 removed meanwhile"
    );
    // Another uplink is told of as ever.
    let other = event("eth1", Level::WARN, "eth1: silent", true);
    assert_eq!(events.round(start + SPAN, &[other], Counts::default())[0].level, Level::WARN);
    let line = events.flush(start + 2 * SPAN, &uplinks).unwrap();
    assert_eq!(
        (line.level, line.text.as_str()),
        (Level::INFO, "eth2 has stopped flapping, up now")
    );
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
    let line = events.flush(start + SPAN, &[]).unwrap();
    assert_eq!((line.kind, line.text.as_str()), (RULES, "rules and routes: 94 added meanwhile"));
}
