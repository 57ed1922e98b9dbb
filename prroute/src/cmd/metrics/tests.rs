use std::path::Path;
use std::time::Duration;

use prroute_common::reason::Reason;

use super::super::figures::{Figures, Findings, Gateway, Table, Uplink, Way};
use super::{open_metrics, prometheus};
use crate::instance::Instance;
use crate::netlink::Direction;

fn default_instance() -> Instance {
    "default".parse().unwrap()
}

fn an_uplink(name: &str) -> Uplink {
    let gateway = |address: &str, usable, answer_age| Gateway {
        address: address.parse().unwrap(),
        usable,
        answer_age,
    };
    Uplink {
        name: name.to_owned(),
        up: true,
        attached: vec![(Direction::Ingress, true), (Direction::Egress, false)],
        gateways: vec![
            gateway("192.0.2.1", true, Some(Duration::from_millis(1_500))),
            gateway("2001:db8::1", false, None),
        ],
        packets: Reason::ALL.iter().map(|reason| (reason.name(), *reason as u64)).collect(),
    }
}

fn figures() -> Figures {
    let table = |family, name| Table { family, name, capacity: 65_536, entries: 40, live: 7 };
    let finding = |severity, kind: &str, count| Findings { severity, kind: kind.to_owned(), count };
    Figures {
        daemon: true,
        observing: Some(true),
        wrong_uplinks: vec![Way {
            uplink: "eth1".to_owned(),
            left_by: "eth0".to_owned(),
            packets: 9,
        }],
        hook: "tcx".into(),
        uplinks: vec![an_uplink("eth0")],
        socket_calls: vec![("source", 6)],
        tables: vec![table("ipv4", "flows"), table("ipv6", "new")],
        evictions: Some([4, 5]),
        findings: vec![finding("fault", "program-missing", 2), finding("notice", "leftover", 1)],
        heals: Some(12),
        reload_success: Some(false),
        configuration_read: Some(1_700_000_000),
        probe_interval: Some(2),
    }
}

fn expect_example(name: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(name);
    if std::env::var_os("PRROUTE_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let example = std::fs::read_to_string(&path).unwrap_or_default();
    let change = example.lines().zip(now.lines()).find(|(example, now)| example != now);
    assert!(example == now, "{}: example and now: {change:?}", path.display());
}

#[test]
fn both_texts_are_as_the_examples_say() {
    let text = open_metrics(&default_instance(), figures()).unwrap();
    expect_example("metrics.txt", &text);
    expect_example("metrics.prom", &prometheus(&text));
}

#[test]
fn without_anything_there_it_is_said_that_no_daemon_runs() {
    let text = open_metrics(&default_instance(), Figures::default()).unwrap();
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let [up, build] = samples[..] else { panic!("{text}") };
    assert_eq!(up, "prroute_up 0");
    assert!(build.starts_with("prroute_build_info{") && build.contains("hook=\"none\""), "{build}");
    assert!(text.ends_with("# EOF\n"));
}

/// Only root sees whether programs are attached.
#[test]
fn without_root_and_a_daemon_the_hook_is_not_known() {
    let text = open_metrics(&default_instance(), Figures::unseen()).unwrap();
    assert!(text.contains("hook=\"unknown\"") && text.contains("prroute_up 0"), "{text}");
}

#[test]
fn names_of_interfaces_are_escaped() {
    let uplinks = vec![an_uplink("a\"b\\\u{1b}[m")];
    let text =
        open_metrics(&default_instance(), Figures { uplinks, ..Figures::default() }).unwrap();
    let expected = "prroute_uplink_up{uplink=\"a\\\"b\\\\\\\\u{1b}[m\"} 1";
    assert!(text.lines().any(|line| line == expected), "{expected}\n{text}");
}

#[test]
fn several_instances_on_one_host_are_told_apart() {
    let text = open_metrics(&"blue".parse().unwrap(), figures()).unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.contains("{prroute_instance=\"blue\""), "{line}");
    }
}
