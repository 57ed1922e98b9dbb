//! What a set-up becomes, rule by rule. They are written as a script: every notation makes the same.

use super::*;
use crate::import::model::Device;
use crate::import::{Notation, read};

fn setup(script: &str) -> Setup {
    let setup = read(&[(Notation::Script, "s".to_owned(), script.to_owned())]);
    assert_eq!(setup.unread, []);
    setup
}

/// As if it were the running host's, with these addresses.
fn on_a_host(script: &str, addresses: &[(&str, &str)]) -> Setup {
    let addresses = addresses
        .iter()
        .map(|(device, net)| (Device::Name((*device).to_owned()), net.parse().unwrap()));
    Setup { addresses: addresses.collect(), knows_addresses: true, ..setup(script) }
}

fn device(name: &str) -> Device {
    Device::Name(name.to_owned())
}

/// The reasons why something stays.
fn reasons(setup: &Setup) -> Vec<String> {
    translate(setup).kept.into_iter().map(|kept| kept.why).collect()
}

const TABLES: &str = "\
ip route add default via 10.0.1.1 dev eth1 table 101
ip route add 10.0.1.0/24 dev eth1 table 101
ip route add default via 10.0.2.1 dev eth2 table 102
";

const ADDRESSES: [(&str, &str); 2] = [("eth1", "10.0.1.2/24"), ("eth2", "10.0.2.2/24")];

fn with(rules: &str) -> Setup {
    on_a_host(&format!("{TABLES}{rules}"), &ADDRESSES)
}

#[test]
fn a_source_rule_needs_no_more_than_its_gateway() {
    let import = translate(&with("ip rule add from 10.0.1.2 lookup 101 pref 5"));
    let entry = &import.uplinks[&device("eth1")];
    assert_eq!(entry.gateways, ["10.0.1.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(import.kept, []);
    assert_eq!(import.source_rules.len(), 1);
    assert_eq!(import.tables, BTreeSet::from([(Family::V4, Table::Number(101))]));
}

#[test]
fn a_gateway_that_main_has_is_not_written_down() {
    let import = translate(&with(
        "ip route add default via 10.0.1.1 dev eth1 metric 9\nip rule add from 10.0.1.2 table 101",
    ));
    assert_eq!(import.uplinks[&device("eth1")].gateways, Vec::<IpAddr>::new());
}

/// `ip route add` refuses the second of them, and what configures interfaces puts it in the first one's place.
#[test]
fn of_two_default_routes_of_one_metric_main_may_have_either() {
    let import = translate(&with(
        "ip route add default via 10.0.1.1 dev eth1\nip route add default via 10.0.2.1 dev eth2\n\
         ip rule add from 10.0.1.2 table 101",
    ));
    let expected = ["10.0.1.1".parse::<IpAddr>().unwrap()];
    assert_eq!(import.uplinks[&device("eth1")].gateways, expected);
}

#[test]
fn destinations_become_those_of_the_uplink() {
    let import = translate(&with(
        "ip rule add to 192.0.2.14 lookup 101\nip rule add to 198.51.100.0/24 lookup 101",
    ));
    let to: Vec<_> = import.uplinks[&device("eth1")].to.iter().map(ToString::to_string).collect();
    assert_eq!(to, ["192.0.2.14/32", "198.51.100.0/24"]);
    let twice = "ip rule add to 192.0.2.14 lookup 101\nip rule add to 192.0.2.14 lookup 102";
    assert_eq!(
        reasons(&with(twice)),
        [
            "`from all to 192.0.2.14/32 lookup 102` may be behind it, and would decide instead",
            "an earlier rule sends what goes to 192.0.2.14/32 by eth1"
        ]
    );
    assert!(reasons(&with("ip rule add to 0.0.0.0/1 lookup 101"))[0].contains("default route"));
    assert!(
        reasons(&with("ip rule add to 224.0.0.0/4 lookup 101"))[0].contains("cannot be reached")
    );
}

#[test]
fn a_rule_for_the_device_an_application_is_bound_to_is_an_option() {
    let import = translate(&with("ip rule add oif eth1 lookup 101"));
    assert!(import.bind_device && import.kept.is_empty());
    assert!(reasons(&with("ip rule add oif eth2 lookup 101"))[0].contains("leave by eth1"));
}

#[test]
fn what_is_said_of_packets_in_transit_is_told() {
    let import = translate(&with("ip rule add iif eth1 lookup 101"));
    assert!(import.kept.is_empty() && import.notes[0].contains("packets in transit"));
    assert!(reasons(&with("ip rule add iif eth2 lookup 101"))[0].contains("leave by eth1"));
    assert!(
        reasons(&with("ip rule add from 192.168.0.0/16 lookup 101"))[0].contains("no such address")
    );
}

#[test]
fn a_source_that_leaves_by_another_interface_stays() {
    let said = reasons(&with("ip rule add from 10.0.2.2 lookup 101"));
    assert_eq!(
        said,
        ["10.0.2.2 is an address of eth2: prroute sends what has it by eth2, not by eth1"]
    );
}

#[test]
fn tables_that_say_more_stay_with_their_rules() {
    let more = "ip route add 172.16.0.0/12 via 10.0.1.9 dev eth1 table 101\n";
    let rule = "ip rule add from 10.0.1.2 lookup 101";
    let import = translate(&with(&format!("{more}{rule}")));
    assert!(import.kept[0].why.contains("route to 172.16.0.0/12"), "{:?}", import.kept);
    assert!(import.tables.is_empty() && import.source_rules.is_empty());
    // The command that is advised is for that route.
    for (more, words) in [
        ("172.16.0.0/12 via 10.0.1.9 dev eth1", ""),
        ("172.16.0.0/12 dev eth1 src 10.0.1.2", ""),
        ("172.16.0.0/12 nexthop via 10.0.1.9 dev eth1 nexthop via 10.0.1.8 dev eth1", ""),
        ("unreachable", "172.16.0.0/12"),
        ("blackhole", "172.16.0.0/12"),
        ("prohibit", "172.16.0.0/12"),
    ] {
        let said = &reasons(&with(&format!("ip route add {more} {words} table 101\n{rule}")))[0];
        if words.is_empty() {
            assert!(said.ends_with(&format!(" (ip route add {more})")), "{said}");
        } else {
            let refusal = format!(
                "table 101 refuses some destinations (`{more} {words}`), and prroute's tables refuse no \
                 single prefix"
            );
            assert_eq!(*said, refusal);
        }
    }
    // Where main has the same, nothing is lost.
    let main = "ip route add 172.16.0.0/12 via 10.0.1.9 dev eth1\n";
    assert_eq!(reasons(&with(&format!("{more}{main}{rule}"))), Vec::<String>::new());
}

#[test]
fn a_table_is_understood_or_it_is_said_why_not() {
    for (routes, said) in [
        ("", "no IPv4 route of table 9 was read"),
        ("ip route add 10.0.1.0/24 dev eth1 table 9", "table 9 has no default route"),
        (
            "ip route add default nexthop via 10.0.1.1 dev eth1 nexthop via 10.0.2.1 dev eth2 table 9",
            "table 9 leads over several interfaces",
        ),
        (
            "ip route add default via 10.0.3.1 table 9",
            "it is not said which interface table 9 leads over",
        ),
    ] {
        assert_eq!(
            reasons(&with(&format!("{routes}\nip rule add from 10.0.1.2 lookup 9"))),
            [said]
        );
    }
    // The gateway's link tells the interface; a refusal behind it holds packets.
    let import = translate(&with(
        "ip route add default via 10.0.1.1 table 9\nip route add unreachable default metric 99 table 9\n\
         ip rule add from 10.0.1.2 lookup 9",
    ));
    assert!(import.uplinks[&device("eth1")].hold, "{import:?}");
}

#[test]
fn a_table_that_another_rule_looks_up_is_not_emptied() {
    let import = translate(&with(
        "ip rule add from 10.0.1.2 lookup 101\nip rule add from 10.0.1.2 ipproto tcp lookup 101",
    ));
    assert_eq!((import.source_rules.len(), import.kept.len()), (1, 1));
    assert!(import.tables.is_empty());
}

/// The kill switch of an address's way would kill all that it sends.
#[test]
fn a_rule_before_one_that_stays_and_refuses_stays_with_its_table() {
    let import = translate(&with(
        "ip rule add from 10.0.1.2 lookup 101 prio 100\nip rule add from 10.0.1.2 prohibit prio 101",
    ));
    assert_eq!((&import.source_rules, import.kept.len()), (&vec![], 2), "{import:?}");
    assert!(import.tables.is_empty() && import.uplinks.is_empty(), "{import:?}");
    assert_eq!(import.kept[0].why, "rule 101 behind it would decide instead");
}

#[test]
fn what_prroute_does_not_look_at_stays() {
    for rule in [
        "not from 10.0.1.2 lookup 101",
        "from 10.0.1.2 sport 80 lookup 101",
        "lookup 101",
        "fwmark 0x1 lookup 101",
        "from 10.0.1.2 to 10.9.0.0/16 lookup 101",
        "to 10.9.0.0/16 lookup main",
        "from 10.0.1.2 unreachable",
        "from 10.0.1.2 lookup 101 suppress_prefixlength 0",
    ] {
        let import = translate(&with(&format!("ip rule add {rule}")));
        assert_eq!(import.kept.len(), 1, "{rule}");
        assert!(import.uplinks.is_empty(), "{rule}");
    }
}

#[test]
fn the_rules_of_the_kernel_are_nothing_to_replace() {
    let import = translate(&setup("0: from all lookup local\n32766: from all lookup main\n"));
    assert!(import.is_empty());
}

#[test]
fn mains_specific_routes_are_asked_by_prroute_itself() {
    let specific = "ip rule add lookup main suppress_prefixlength 0 pref 4\n";
    let import =
        translate(&with(&format!("{specific}ip rule add from 10.0.1.2 lookup 101 pref 5\n")));
    assert_eq!((import.specific_rules.len(), import.kept.len()), (1, 0));
    let import = translate(&with(&format!("{specific}ip rule add lookup 7 pref 6\n")));
    assert_eq!((import.specific_rules.len(), import.kept.len()), (0, 2));
}

const MARKS: &str = "\
iptables -t mangle -A PREROUTING -m connmark ! --mark 0x0 -j CONNMARK --restore-mark
iptables -t mangle -A PREROUTING -i eth1 -m conntrack --ctstate NEW -j CONNMARK --set-mark 0x1
";

#[test]
fn marks_of_connections_are_replaced_with_their_rule() {
    let import = translate(&with(&format!("{MARKS}ip rule add fwmark 0x1 lookup 101\n")));
    assert_eq!(import.kept, []);
    assert_eq!((import.rules.len(), import.marks.len()), (1, 2));
    assert_eq!(import.uplinks.len(), 1);
}

#[test]
fn marks_that_something_else_needs_stay() {
    // Other packets get it, or other ways lead on from it.
    for (more, rule) in [
        ("", "fwmark 0x1 lookup 102"),
        (
            "iptables -t mangle -A PREROUTING -i eth2 -j MARK --set-mark 1\n",
            "fwmark 0x1 lookup 101",
        ),
        ("", "fwmark 0x2 lookup 101"),
    ] {
        let import = translate(&with(&format!("{MARKS}{more}ip rule add {rule}\n")));
        assert!(import.marks.is_empty() && import.rules.is_empty(), "{rule}: {import:?}");
        assert!(
            import.kept.iter().any(|kept| kept.what.starts_with("iptables -A PREROUTING")),
            "{rule}"
        );
    }
    // What copies marks does so for all of them.
    let other = "iptables -t mangle -A PREROUTING -i eth2 -j CONNMARK --set-mark 0x8\n";
    let import = translate(&with(&format!("{MARKS}{other}ip rule add fwmark 0x1 lookup 101\n")));
    assert_eq!((import.rules.len(), import.marks.len(), import.kept.len()), (1, 1, 2));
}

/// What `prroute export` makes is taken back by `import`.
#[test]
fn what_was_exported_can_be_imported() {
    let import = translate(&with(
        "ip rule add from 10.0.1.0/24 iif lo lookup main suppress_prefixlength 1 pref 20020\n\
         ip rule add from 10.0.1.0/24 iif lo lookup 101 pref 20030\n",
    ));
    assert_eq!((import.kept, import.notes), (vec![], vec![]));
    assert_eq!((import.source_rules.len(), import.specific_rules.len()), (1, 1));
}

#[test]
fn what_is_said_twice_is_replaced_once() {
    let rule = "ip rule add from 10.0.1.2 lookup 101 pref 5\n";
    let import = translate(&with(&rule.repeat(2)));
    assert_eq!(
        (import.source_rules.len(), import.uplinks[&device("eth1")].instead_of.len()),
        (1, 1)
    );
    // Nothing is to be deleted where it is configured, either.
    let stays = "ip rule add from 10.0.1.2 sport 80 lookup 101\n";
    assert_eq!(translate(&with(&stays.repeat(2))).places, []);
}
