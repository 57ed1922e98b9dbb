//! What routes say beside their way (an MTU, a source) prroute's do not say.

use super::files;
use crate::import::{Import, Notation, translate};

fn of(notation: Notation, name: &str, text: &str) -> Import {
    let setup = files(&[(notation, name, text)]);
    assert_eq!(setup.unread, [], "{text}");
    translate(&setup)
}

fn script(lines: &[&str]) -> Import {
    of(Notation::Script, "s", &lines.join("\n"))
}

const DEFAULT: &str = "ip route add default via 10.0.1.1 dev eth1 table 7";
const RULE: &str = "ip rule add from 10.0.1.2 lookup 7";

fn reasons(import: &Import) -> Vec<&str> {
    import.kept.iter().map(|kept| &*kept.why).collect()
}

#[test]
fn a_table_whose_routes_say_more_stays_with_its_rules() {
    for word in [
        "mtu 1400",
        "mtu lock 1400",
        "advmss 1360",
        "initcwnd 20",
        "rto_min 5ms",
        "congctl bbr",
        "realms 3",
        "tos 0x10",
        "hoplimit 3",
    ] {
        let import = script(&[&format!("{DEFAULT} {word}"), RULE]);
        let why = format!(
            "table 7 has `{word}` for `default via 10.0.1.1 dev eth1` (s:1), which prroute's \
             routes have only where main's default route by the same way has it"
        );
        assert_eq!(reasons(&import), [why], "{word}");
        assert!(import.tables.is_empty() && import.source_rules.is_empty(), "{word}");
    }
    for word in ["metric 9 proto static onlink", "hoplimit 64 pref medium", "tos 0"] {
        let import = script(&[&format!("{DEFAULT} {word}"), RULE]);
        assert_eq!((reasons(&import).len(), import.tables.len()), (0, 1), "{word}");
    }
}

#[test]
fn what_main_has_for_the_same_destination_is_not_lost() {
    let link = "ip route add 10.0.1.0/24 dev eth1 mtu 9000";
    let theirs = format!("{link} table 7");
    assert_eq!(reasons(&script(&[DEFAULT, &theirs, link, RULE])), Vec::<&str>::new());
    let other = "ip route add 10.0.1.0/24 dev eth1 mtu 1500";
    assert_eq!(reasons(&script(&[DEFAULT, &theirs, other, RULE])).len(), 1);
}

/// prroute's default routes say of connections what main's by the same way say.
#[test]
fn what_mains_default_route_says_too_is_not_lost() {
    let main = "ip route add default via 10.0.1.1 dev eth1 metric 9";
    for (theirs, mains, stays) in [
        ("mtu 1400", "mtu 1400", 0),
        ("mtu lock 1400 advmss 1360", "mtu lock 1400 advmss 1360", 0),
        ("mtu 1400", "mtu 1300", 1),
        ("mtu 1400", "", 1),
        ("congctl bbr", "congctl bbr", 1),
    ] {
        let import = script(&[&format!("{DEFAULT} {theirs}"), &format!("{main} {mains}"), RULE]);
        assert_eq!(reasons(&import).len(), stays, "{theirs}, {mains}: {:?}", import.kept);
    }
}

#[test]
fn every_notation_has_words_for_it() {
    let networkd = "[Match]\nName=eth1\n[Route]\nGateway=10.0.1.1\nTable=7\nMTUBytes=1400\n\
                    [RoutingPolicyRule]\nFrom=10.0.1.2\nTable=7\n";
    let netplan = "network:\n  ethernets:\n    eth1:\n      routes:\n      \
                   - {to: default, via: 10.0.1.1, table: 7, mtu: 1400}\n      routing-policy:\n      \
                   - {from: 10.0.1.2, table: 7}\n";
    for (notation, name, text, line) in
        [(Notation::Networkd, "a.network", networkd, 3), (Notation::Netplan, "a.yaml", netplan, 5)]
    {
        let import = of(notation, name, text);
        let said =
            format!("table 7 has `mtu 1400` for `default via 10.0.1.1 dev eth1` ({name}:{line})");
        assert!(reasons(&import)[0].starts_with(&said), "{:?}", import.kept);
        assert!(import.tables.is_empty());
    }
}

#[test]
fn a_source_that_a_route_prefers_is_told_where_it_matters() {
    let default = format!("{DEFAULT} src 10.0.1.2");
    let link = "ip route add 10.0.1.0/24 dev eth1 src 10.0.1.2 table 7";
    let to = "ip rule add to 192.0.2.9 lookup 7";
    let second = "ip rule add from 10.0.1.3 lookup 7";
    for (lines, notes) in [
        // The rule has chosen.
        (&[&*default, RULE][..], 0),
        // The interface has no other.
        (&[&default, RULE, to], 0),
        (&[&default, link, to], 0),
        (&[&default, RULE, second, to], 1),
        (&[&default, to], 1),
        (&[&default, second, "ip rule add oif eth1 lookup 7"], 1),
    ] {
        let import = script(lines);
        assert_eq!(
            (reasons(&import).len(), import.notes.len()),
            (0, notes),
            "{lines:?}: {import:?}"
        );
        assert!(import.notes.iter().all(|note| note.contains("had 10.0.1.2 (`src` in the table)")));
        assert_eq!(import.tables.len(), 1);
    }
}

fn gateways(lines: &[&str]) -> Vec<String> {
    let import = script(lines);
    assert_eq!((reasons(&import).len(), import.tables.len()), (0, 1), "{lines:?}: {import:?}");
    let gateways = import.uplinks.values().flat_map(|entry| &entry.gateways);
    gateways.map(ToString::to_string).collect()
}

/// Where the first gateway does not answer, the others are what is left.
#[test]
fn every_gateway_of_a_table_is_taken_over() {
    let table = [
        "ip route add default via 10.0.1.254 dev eth1 metric 20 table 7",
        "ip route add default via 10.0.1.1 dev eth1 metric 10 table 7",
        RULE,
    ];
    let first = "ip route add default via 10.0.1.1 dev eth1 metric 10";
    let second = "ip route add default via 10.0.1.254 dev eth1 metric";
    let both = ["10.0.1.1", "10.0.1.254"];
    let none: [&str; 0] = [];
    let with = |mains: &[&str]| gateways(&[&table[..], mains].concat());
    assert_eq!(with(&[]), both);
    // Main's are known to prroute, in its order.
    assert_eq!(with(&[first]), both);
    assert_eq!(with(&[first, &format!("{second} 20")]), none);
    assert_eq!(with(&[first, &format!("{second} 5")]), both);
    assert_eq!(with(&[&format!("{second} 20")]), both);
    let twice = ["ip route add default via 10.0.1.1 dev eth1 metric 30 table 7"];
    assert_eq!(gateways(&[&table[1..], &twice[..]].concat()), ["10.0.1.1"]);
}

/// prroute takes main's first gateway over the interface, whatever the table has.
#[test]
fn a_gateway_is_left_out_where_main_prefers_no_other_one_over_the_interface() {
    let first = "ip route add default via 10.0.1.1 dev eth1 metric 100";
    let one = ["10.0.1.1"];
    let none: [&str; 0] = [];
    for (mains, expected) in [
        (&[first][..], &none[..]),
        (&[first, "ip route add default via 10.0.1.254 dev eth1 metric 200"], &none),
        (&[first, "ip route add default via 10.0.1.254 dev eth1 metric 50"], &one),
        (&[first, "ip route add default dev eth1 metric 50"], &one),
        // Either may be the first.
        (&[first, "ip route add default via 10.0.1.254 dev eth1 metric 100"], &one),
        (
            &["ip route add default nexthop via 10.0.1.1 dev eth1 nexthop via 10.0.1.254 dev eth1"],
            &one,
        ),
        (&[first, "ip route add default via 10.0.9.1 dev eth9 metric 50"], &none),
        // The interface is its link's, or not known.
        (
            &[
                first,
                "ip route add 10.0.1.0/24 dev eth1",
                "ip route add default via 10.0.1.254 metric 50",
            ],
            &one,
        ),
        (&[first, "ip route add default via 10.0.1.254 metric 50"], &one),
        (&[first, "ip route add default via 10.0.1.1 dev eth1 metric 50"], &none),
    ] {
        assert_eq!(gateways(&[&[DEFAULT, RULE][..], mains].concat()), expected, "{mains:?}");
    }
    let unread = "ip route add default via $GW dev eth1 metric 50";
    let script = [DEFAULT, RULE, first, unread].join("\n");
    let import = translate(&files(&[(Notation::Script, "s", &script)]));
    assert_eq!(import.uplinks.values().next().unwrap().gateways.len(), 1, "{import:?}");
}

/// The kernel gives an IPv6 route without a metric 1024.
#[test]
fn gateways_of_ipv6_go_by_the_kernels_metrics() {
    let rule = "ip -6 rule add from 2001:db8::2 lookup 7";
    let table = "ip -6 route add default via fe80::1 dev eth1 table 7";
    let route =
        |via: &str, words: &str| format!("ip -6 route add default via {via} dev eth1 {words}");
    let plain = route("fe80::1", "");
    let none: [&str; 0] = [];
    assert_eq!(gateways(&[table, rule, &plain, &route("fe80::2", "metric 2000")]), none);
    assert_eq!(gateways(&[table, rule, &plain, &route("fe80::2", "metric 50")]), ["fe80::1"]);
    let second = route("fe80::2", "metric 50 table 7");
    assert_eq!(gateways(&[table, &second, rule]), ["fe80::2", "fe80::1"]);
}

#[test]
fn a_table_with_default_routes_of_two_kinds_stays() {
    for (second, why) in [
        ("dev eth1 metric 20", "table 7 has default routes with a gateway and without one"),
        ("via 10.0.2.1 dev eth2 metric 20", "table 7 leads over several interfaces"),
        ("via 10.0.2.1 metric 20", "table 7 leads over several interfaces"),
    ] {
        let second = format!("ip route add default {second} table 7");
        assert_eq!(reasons(&script(&[DEFAULT, &second, RULE])), [why]);
    }
}
