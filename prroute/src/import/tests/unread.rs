//! What was not read may need what would be removed: that stays.

use super::{files, removal};
use crate::import::{Import, Notation, notation_of_text, translate};

/// Two tables and what leads into them, all of it readable. No rule is before another one that may come to stay.
const READABLE: &str = "\
ip route add default via 10.0.1.1 dev eth1 table 101
ip rule add from 10.0.1.2 lookup 101 prio 40000
ip route add default via 10.0.2.1 dev eth2 table 102
iptables -t mangle -A PREROUTING -i eth2 -j MARK --set-mark 1
ip rule add fwmark 1 lookup 102 prio 10
ip -6 route add default via fe80::1 dev eth1 table 101
ip -6 rule add from 2001:db8::2 lookup 101
";

fn import(lines: &[&str]) -> Import {
    let text = format!("{}\n{READABLE}", lines.join("\n"));
    translate(&files(&[(Notation::Script, "s", &text)]))
}

/// Why rules or tables stay.
fn reasons(import: &Import) -> Vec<String> {
    import.kept.iter().map(|kept| format!("{}: {}", kept.what, kept.why)).collect()
}

fn flushes(import: &Import) -> Vec<String> {
    let commands = removal(import).into_iter();
    commands.filter_map(|line| Some(line.split_once("route flush table ")?.1.to_owned())).collect()
}

#[test]
fn all_that_was_read_is_replaced() {
    let import = import(&[]);
    assert_eq!(reasons(&import), Vec::<String>::new());
    assert_eq!(flushes(&import), ["101", "102", "101"]);
}

#[test]
fn a_table_that_an_unread_rule_may_look_up_is_not_emptied() {
    for (rule, left) in [
        ("ip rule add from $VIP lookup 101", &["102"][..]),
        ("ip -4 rule add from $VIP lookup 101", &["102", "101"]),
        ("ip rule add from 10.0.1.9 $MORE lookup 101", &["102", "101"]),
        ("$IP rule add from 10.0.1.9 lookup 102", &["101", "101"]),
        ("eval \"ip rule add from 10.0.1.9 lookup 102\"", &["101", "101"]),
        ("ip -6 rule add from $VIP table $TABLE", &["101", "102"]),
        ("ip rule add $RULE", &[]),
        ("ip rule add from 10.0.1.9 tab 101", &["101"]),
    ] {
        let import = import(&[rule]);
        assert_eq!(flushes(&import), left, "{rule}");
        let why = "a rule that was not read may look it up";
        assert!(import.kept.iter().any(|kept| kept.why == why), "{rule}: {:?}", import.kept);
        // The rules that were read are replaced.
        assert_eq!(import.source_rules.len(), 2, "{rule}");
    }
}

#[test]
fn a_table_of_which_a_route_was_not_read_stays_with_its_rules() {
    for (route, said) in [
        ("ip route add 10.9.0.0/16 via $GW table 101", "a route of table 101 was not read: s:1"),
        ("ip route add 10.9.0.0/16 encap x table 101", "a route of table 101 was not read: s:1"),
        ("ip route add 10.9.0.0/16 nhid 7 table 101", "a route of table 101 was not read: s:1"),
        ("ip route add throw 10.9.0.0/16 table 101", "table 101 leaves what goes to 10.9.0.0/16"),
        ("ip route add 10.9.0.0/16 via $1 table $2", "a route that may be of table 101 was not"),
        ("ip route add 10.9.0.0/16 $MORE", "a route that may be of table 101 was not read: s:1"),
        ("ip -batch /etc/more", "a route that may be of table 101 was not read: s:1"),
    ] {
        let import = import(&[route]);
        let source = "ip rule priority 40000 from 10.0.1.2/32 lookup 101: ";
        let kept = reasons(&import);
        assert!(kept[0].strip_prefix(source).is_some_and(|why| why.starts_with(said)), "{kept:?}");
        // IPv4 and IPv6 have tables of their own.
        let is_any = route.starts_with("ip -batch");
        assert_eq!(import.source_rules.len(), usize::from(!is_any), "{route}");
        let is_known = route.ends_with("101");
        assert_eq!(import.rules.len(), usize::from(is_known), "{route}");
    }
}

#[test]
fn mains_routes_may_be_unread() {
    let import = import(&["ip route add default via $GW dev eth1", "ip route add $NET dev eth1"]);
    assert_eq!(reasons(&import), Vec::<String>::new());
    assert_eq!(import.unread.len(), 2);
}

#[test]
fn a_mark_that_an_unread_rule_may_set_keeps_its_rule() {
    for set in [
        "iptables -t mangle -A PREROUTING -i eth1 -j MARK --or-mark 1",
        "iptables -t mangle -R PREROUTING 1 -i eth1 -j MARK --set-mark 1",
        "$IPT -t mangle -A PREROUTING -i eth1 -j MARK --set-mark 1",
    ] {
        let import = import(&[set]);
        assert_eq!(
            reasons(&import),
            [
                "ip rule priority 10 from all fwmark 0x1 lookup 102: what may set this mark was not read: s:1",
                "iptables -A PREROUTING -i eth2 -j MARK --set-mark 1: no rule that prroute \
                 replaces looks at the mark",
            ],
            "{set}"
        );
        assert_eq!(flushes(&import), ["101", "101"], "{set}");
    }
    // A rule that looks at the mark still needs it.
    let import = import(&["ip rule add fwmark 1 from $VIP lookup 7"]);
    assert!(import.marks.is_empty() && import.rules.len() == 1, "{import:?}");
}

#[test]
fn every_notation_says_which_table_it_is() {
    let networkd = |more: &str| format!("[Match]\nName=eth1\n{more}");
    for (notation, name, text, left) in [
        (Notation::Ifcfg, "route-eth1", "10.9.0.0/16 via x table 101".to_owned(), "102 101"),
        (Notation::Ifcfg, "rule6-eth1", "from x table 101".to_owned(), "101 102"),
        (
            Notation::Ifcfg,
            "ifcfg-eth1",
            "ROUTING_RULE_0=\"priority 5 from x table 101\"".to_owned(),
            "102 101",
        ),
        (
            Notation::Ifcfg,
            "ifcfg-eth1",
            "ROUTING_RULE6_0='priority 5 from 2001:db8::9 tabel 101'".to_owned(),
            "101 102",
        ),
        (Notation::Ifcfg, "ifcfg-eth1", "IPV4_ROUTE_TABLE=101".to_owned(), "102 101"),
        (Notation::Ifcfg, "ifcfg-eth1", "IPV6_ROUTE_TABLE=101\n".to_owned(), "101 102"),
        (
            Notation::Networkd,
            "a.network",
            networkd("[Route]\nTable=101\nDestination=10.9.0.0/16\nMultiPathRoute=10.0.1.9@eth1"),
            "102 101",
        ),
        (
            Notation::Networkd,
            "a.network",
            networkd("[Route]\nGateway=_dhcp4\nTable=101\n"),
            "102",
        ),
        (Notation::Networkd, "a.network", networkd("[DHCPv4]\nRouteTable=101\n"), "102 101"),
        (
            Notation::Networkd,
            "a.network",
            networkd("[RoutingPolicyRule]\nFrom=10.0.1.9\nTable=101\nNew=1\n"),
            "102 101",
        ),
        (
            Notation::Netplan,
            "a.yaml",
            "network:\n  ethernets:\n    eth1:\n      routes:\n      - {to: 10.9.0.0/16, via: x, table: 101}\n"
                .to_owned(),
            "102 101",
        ),
        (
            Notation::Netplan,
            "a.yaml",
            "network:\n  ethernets:\n    eth1:\n      match: {driver: virtio_net}\n      routes:\n      - {to: default, via: 10.0.1.1, table: 101}\n"
                .to_owned(),
            "102 101",
        ),
        (Notation::Netplan, "a.yaml", "network:\n  vrfs:\n    v: {table: 101}\n".to_owned(), "102"),
        (Notation::Netplan, "a.yaml", "network: [\n".to_owned(), ""),
    ] {
        let import =
            translate(&files(&[(notation, name, &text), (Notation::Script, "s", READABLE)]));
        assert_eq!(flushes(&import).join(" "), left, "{text}: {:?}", import.kept);
        assert_eq!(import.unread.len(), 1, "{text}");
    }
}

/// NetworkManager keeps rules in the interface's file.
#[test]
fn a_table_that_a_rule_in_the_interfaces_file_looks_up_is_not_emptied() {
    for (rule, tables) in [
        ("priority 5 from 10.0.1.9 sport 80 table 101", "102 101"),
        ("priority 5 from 10.0.1.9 table 101", "101 102 101"),
        ("priority 5 from 10.0.1.9 table 7", "101 102 101"),
    ] {
        let text = format!("DEVICE=eth1\nROUTING_RULE_0=\"{rule}\"\n");
        let import = translate(&files(&[
            (Notation::Ifcfg, "ifcfg-eth1", &text),
            (Notation::Script, "s", READABLE),
        ]));
        assert_eq!(flushes(&import).join(" "), tables, "{rule}: {:?}", import.kept);
        let all = import.source_rules.iter().map(ToString::to_string);
        let kept = import.kept.iter().map(|kept| kept.what.clone());
        let mut said = all.chain(kept);
        assert!(said.any(|words| words.contains("priority 5 from 10.0.1.9/32")), "{rule}");
    }
}

/// A connection of NetworkManager, a unit and what a later networkd has are no files of networkd that were read.
#[test]
fn other_files_with_sections_keep_what_they_may_need() {
    for (text, said) in [
        (
            "[connection]\nid=eth1\n[ipv4]\nrouting-rule1=priority 5 from 10.0.1.9 table 101\n[link]\n",
            "x:1: connections of NetworkManager are not read: import the running host instead",
        ),
        (
            "[Unit]\n[Service]\nExecStart=ip rule add from 10.0.1.9 lookup 101\n",
            "x:1: [Unit] is no section that is known here, and may make rules and routes: import \
             the running host instead",
        ),
        ("[NetDev]\nKind=vrf\n[VRF]\nTable=101\n", "x:3: a VRF has routes and rules of its own"),
        (
            "[WireGuard]\nRouteTable=101\n[WireGuardPeer]\n",
            "x:2: routes to what a peer may send are not read",
        ),
    ] {
        let files =
            files(&[(notation_of_text(text), "x", text), (Notation::Script, "s", READABLE)]);
        let import = translate(&files);
        let unread: Vec<_> = import.unread.iter().map(ToString::to_string).collect();
        assert!(unread.len() == 1 && unread[0].starts_with(said), "{unread:?}");
        assert!(!flushes(&import).contains(&"101".to_owned()), "{text}: {:?}", import.kept);
    }
    for text in
        ["[Match]\nName=eth9\n[Link]\n[DHCPv4]\n[Bridge]\n[CAKE]\n[X-A]\n", "[NetDev]\n[Bond]\n"]
    {
        let files = files(&[(Notation::Networkd, "x", text), (Notation::Script, "s", READABLE)]);
        assert_eq!((files.unread.len(), flushes(&translate(&files)).len()), (0, 3), "{text}");
    }
}

#[test]
fn both_texts_say_what_was_not_read() {
    let import = import(&["ip rule add from $VIP lookup 101"]);
    let script = import.removal(&"default".parse().unwrap(), &[]);
    for text in [import.configuration(), script] {
        assert!(text.contains("\n# * s:1: what `$VIP` stands for is known to the shell"), "{text}");
    }
}
