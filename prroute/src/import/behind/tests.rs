use crate::import::model::{Device, Setup};
use crate::import::{Import, Notation, read, translate};

const TABLES: &str = "\
ip route add default via 10.0.1.1 dev eth1 table 101
ip route add default via 10.0.2.1 dev eth2 table 102
ip route add default via 10.0.2.1 dev eth2 table 9
ip route add 172.16.0.0/12 via 10.0.2.9 dev eth2 table 9
ip route add 172.16.0.0/12 via 10.0.2.9 dev eth2 table 8
ip route add default dev wg0 table 200
ip route add unreachable default table 201
ip route add default via 10.0.2.1 dev eth2 table 202
ip route add unreachable default metric 99 table 202
iptables -t mangle -A PREROUTING -i eth1 -j CONNMARK --set-mark 1
";
const ADDRESSES: [(&str, &str); 2] = [("eth1", "10.0.1.2/24"), ("eth2", "10.0.2.2/24")];

fn import(rules: &[&str]) -> Import {
    let lines: String = rules.iter().map(|rule| format!("ip rule add {rule}\n")).collect();
    let setup = read(&[(Notation::Script, "s".to_owned(), format!("{TABLES}{lines}"))]);
    assert_eq!(setup.unread, [], "{rules:?}");
    let addresses = ADDRESSES
        .iter()
        .map(|(device, net)| (Device::Name((*device).to_owned()), net.parse().unwrap()));
    translate(&Setup { addresses: addresses.collect(), knows_addresses: true, ..setup })
}

/// Why the first of these rules stays; the others do all the same.
fn why(rules: &[&str]) -> Option<String> {
    let import = import(rules);
    let kept = import.kept.iter().filter(|kept| kept.what.starts_with("ip rule "));
    let kept: Vec<_> = kept.collect();
    let is_first = kept.len() == rules.len();
    assert!(is_first || kept.len() + 1 == rules.len(), "{rules:?}: {kept:?}");
    is_first.then(|| kept[0].why.clone())
}

const SOURCE: &str = "from 10.0.1.2 lookup 101 prio 100";

#[test]
fn a_rule_stays_before_one_that_would_decide_instead() {
    for other in [
        "from 10.0.1.2 prohibit",
        "from 10.0.1.0/24 blackhole",
        "from 10.0.1.0/24 lookup 9",
        "from 10.0.1.2 lookup main",
        "to 10.9.0.0/16 unreachable",
        "fwmark 0x7 prohibit",
        "from 10.0.1.2 ipproto tcp dport 25 prohibit",
        "from 10.0.1.2 iif lo prohibit",
        "from 10.0.1.2 goto 30000",
        "not fwmark 0x7 lookup 8",
        // A part of the destinations, for which prroute's rules do not go before it.
        "lookup 8",
        "from 10.0.1.2 lookup 9 suppress_prefixlength 0",
    ] {
        let other = format!("{other} prio 101");
        let expected = Some("rule 101 behind it would decide instead".to_owned());
        assert_eq!(why(&[SOURCE, &other]), expected, "{other}");
        for elsewhere in ["prio 99", "prio 22000"] {
            let other = other.replace("prio 101", elsewhere);
            assert_eq!(why(&[SOURCE, &other]), None, "{other}");
        }
    }
    let import = import(&[SOURCE, "from 10.0.1.2 prohibit prio 101"]);
    assert!(import.tables.is_empty() && import.uplinks.is_empty(), "{import:?}");
}

#[test]
fn what_decides_about_others_or_nothing_is_in_nobodys_place() {
    for other in [
        "from 10.0.2.0/24 prohibit",
        "from 10.0.1.2 nop",
        "from 10.0.1.2 iif eth2 prohibit",
        "not from 10.0.1.0/24 prohibit",
        "to 10.9.0.0/16 lookup main suppress_prefixlength 0",
        "from 10.0.1.2 lookup local",
        // The same way.
        "from 10.0.1.2 ipproto tcp lookup 101",
        // prroute's rules for sources go before these.
        "prohibit",
        "lookup 9",
        "not fwmark 0xca6c lookup 9",
        "iif lo unreachable",
        "goto 30000",
    ] {
        assert_eq!(why(&[SOURCE, &format!("{other} prio 101")]), None, "{other}");
    }
    let six = import(&[SOURCE, "from 2001:db8::2 prohibit prio 101"]);
    assert_eq!(six.source_rules.len(), 1);
}

/// prroute's rules for them stay where they are; for packets in transit it has none.
#[test]
fn rules_without_a_source_stay_before_what_decides_about_all() {
    for (rule, ends) in [
        ("to 192.0.2.14 lookup 101", 22_000),
        ("oif eth1 lookup 101", 22_000),
        ("iif eth1 lookup 101", 32_766),
        ("fwmark 1 lookup 101", 32_766),
    ] {
        let rule = format!("{rule} prio 100");
        for (priority, stays) in [(100, true), (ends - 1, true), (ends, false)] {
            for other in ["prohibit", "lookup 9"] {
                let other = format!("{other} prio {priority}");
                assert_eq!(why(&[&rule, &other]).is_some(), stays, "{rule}, {other}");
            }
        }
    }
    assert!(why(&[MARKED, "from 10.0.1.2 prohibit prio 101"]).is_some());
    assert_eq!(why(&[MARKED, "fwmark 0x2/0x2 prohibit prio 101"]), None);
    assert_eq!(why(&["oif eth1 lookup 101 prio 100", "oif eth2 prohibit prio 101"]), None);
    assert_eq!(why(&["iif eth1 lookup 101 prio 100", "from 10.0.1.2 prohibit prio 101"]), None);
}

const MARKED: &str = "fwmark 1 lookup 101 prio 100";

/// The programs bring back what leaves by another uplink than it came in by: nothing that leaves elsewhere, or is refused.
#[test]
fn a_rule_about_marks_stays_before_one_that_leads_where_no_program_is() {
    let second = "from 10.0.2.2 lookup 102 prio 300";
    let marks_of = |others: &[&str]| {
        let import = import(&[&[MARKED, second], others].concat());
        let kept = import.kept.into_iter().find(|kept| kept.what.contains(" fwmark 0x1 "));
        assert_eq!(kept.is_none(), import.marks.len() == 1, "{others:?}");
        kept.map(|kept| kept.why)
    };
    let stays = Some("rule 200 behind it would decide instead".to_owned());
    for (table, expected) in [
        ("200", &stays),
        ("201", &stays),
        // It refuses when the interface is down.
        ("202", &stays),
        // A route of its own, and no route that was read.
        ("9", &stays),
        ("7", &stays),
        ("101", &None),
        ("102", &None),
        // What decides without it, too.
        ("main", &None),
    ] {
        for words in ["", " iif docker0"] {
            let other = format!("from 172.17.0.0/16{words} lookup {table} prio 200");
            assert_eq!(marks_of(&[&other]), *expected, "{other}");
        }
    }
    // Which interfaces are uplinks is known of those alone that the configuration names.
    let other = "from 172.17.0.0/16 lookup 102 prio 200";
    assert_eq!(why(&[MARKED, other]), stays);
    let refused = "from 10.0.2.2 fwmark 0x2/0x3 prohibit prio 301";
    let expected = Some("rule 300 behind it would decide instead".to_owned());
    assert_eq!(marks_of(&[other, refused]), expected, "the rule that led over eth2 stays, too");
}

#[test]
fn a_rule_about_marks_stays_before_a_table_of_which_a_route_was_not_read() {
    let script = |more: &str| {
        format!(
            "{TABLES}{more}ip rule add {MARKED}\nip rule add from 10.0.2.2 lookup 102 prio 300\n\
             ip route add default via 10.0.2.1 dev eth2 table 204\n\
             ip rule add from 172.17.0.0/16 ipproto tcp lookup 204 prio 200\n"
        )
    };
    for (more, goes) in [("", true), ("ip route add 10.9.0.0/16 via $GW table 204\n", false)] {
        let setup = read(&[(Notation::Script, "s".to_owned(), script(more))]);
        let import = translate(&setup);
        assert_eq!((import.rules.len(), import.marks.len()), (goes.into(), goes.into()), "{more}");
    }
}

#[test]
fn a_priority_that_is_not_known_may_be_any() {
    for rules in [
        ["from 10.0.1.2 lookup 101", "from 10.0.1.2 prohibit prio 5"],
        ["from 10.0.1.2 lookup 101", "from 10.0.1.2 prohibit prio 30000"],
    ] {
        assert!(why(&rules).unwrap().ends_with(" behind it would decide instead"), "{rules:?}");
    }
    assert_eq!(
        why(&[SOURCE, "from 10.0.1.2 prohibit"]).unwrap(),
        "`from 10.0.1.2/32 prohibit` may be behind it, and would decide instead"
    );
}

#[test]
fn what_stays_may_be_behind_another() {
    let import = import(&[
        "to 192.0.2.14 lookup 102 prio 99",
        SOURCE,
        "from 10.0.1.2 to 192.0.2.99 prohibit prio 101",
        "from 10.0.2.2 lookup 102 prio 102",
    ]);
    let rules = import.kept.iter().filter(|kept| kept.what.starts_with("ip rule "));
    assert_eq!(
        rules.map(|kept| &*kept.why).collect::<Vec<_>>(),
        [
            "rule 100 behind it would decide instead",
            "rule 101 behind it would decide instead",
            "it looks nothing up, and stays in force beside prroute",
        ]
    );
    assert_eq!(import.source_rules.len(), 1);
    assert!(import.tables.is_empty(), "a rule that stays looks it up: {:?}", import.tables);
}

#[test]
fn a_rule_that_another_one_goes_on_at_stays() {
    let expected = Some("rule 50 goes on at it".to_owned());
    assert_eq!(why(&[SOURCE, "from 10.0.1.2 goto 100 prio 50"]), expected);
}
