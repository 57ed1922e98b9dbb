use super::*;

fn place() -> Place {
    Place { source: "test".into(), line: Some(1) }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn read(text: &str) -> Result<String, String> {
    rule(&words(text), Family::V4, place()).map(|rule| rule.to_string())
}

#[test]
fn a_rule_is_written_as_it_was_read() {
    for text in [
        "priority 10003 from 10.0.0.204 lookup 10003",
        "from all iif eth0 lookup admin",
        "priority 0 from all to 1.1.1.1 lookup 10",
        "from all fwmark 0x1 lookup eth1",
        "priority 30000 from all lookup main suppress_prefixlength 0",
        "priority 9 not from 10.0.0.0/8 fwmark 0x1/0xff oif eth1 ipproto tcp dport 22 lookup 5",
        "priority 7 from all unreachable",
    ] {
        let written = read(text).unwrap();
        assert_eq!(written.replace("/32", ""), text);
    }
}

#[test]
fn other_words_for_the_same_are_known() {
    assert_eq!(read("dev eth0 table 7 pref 9").unwrap(), "priority 9 from all iif eth0 lookup 7");
    assert_eq!(read("to default lookup main").unwrap(), "from all lookup main");
}

#[test]
fn what_is_no_rule_is_named() {
    assert_eq!(read("from 10.0.0.1 lookup").unwrap_err(), "nothing stands behind `lookup`");
    assert_eq!(read("form 10.0.0.1").unwrap_err(), "`form` is not understood");
    let said = read("from 10.0.0.300 lookup 5").unwrap_err();
    assert_eq!(said, "`from 10.0.0.300`: neither an address nor a prefix");
    assert_eq!(read("fwmark x lookup 5").unwrap_err(), "`fwmark x`: not a mark");
}

fn way(text: &str) -> Result<Route, String> {
    let context = Context { family: Family::V4, table: Table::MAIN, device: None };
    route(&words(text), context, place())
}

#[test]
fn routes_have_a_family_a_table_and_a_way() {
    let read = way("default via 10.255.72.1 dev eth1 table users").unwrap();
    assert_eq!(read.to_string(), "default via 10.255.72.1 dev eth1");
    assert_eq!(read.table, Table::Name("users".to_owned()));
    let read = way("default via fe80::1 dev ens6 metric 1024 pref medium").unwrap();
    assert_eq!((read.family(), read.metric), (Family::V6, 1024));
    let read = way("10.0.0.0/24 dev ens6 scope link src 10.0.0.204").unwrap();
    assert_eq!(read.to_string(), "10.0.0.0/24 dev ens6");
    let read = way("default nexthop via 10.0.0.1 dev a nexthop via 10.0.1.1 dev b").unwrap();
    assert_eq!(read.hops.len(), 2);
    assert_eq!(way("blackhole 10.0.0.0/8").unwrap().hops, []);
}

#[test]
fn a_name_with_a_space_in_it_is_a_mistake() {
    let said = way("default via 10.255.72.1 dev eth 1 table users").unwrap_err();
    assert_eq!(said, "`1` is not understood");
}
