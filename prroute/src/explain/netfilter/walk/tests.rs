use nix::libc;

use super::super::packet::tests::packet;
use super::*;
use crate::explain::question::{TCP, UDP};
use crate::netlink::nftables::Expression;
use crate::netlink::nftables::ruleset::{Rule, Table};

fn table() -> Table {
    Table { family: "inet", name: "fwx".to_owned() }
}

fn base(priority: i32, drops: bool) -> Option<Base> {
    Some(Base { hook: OUTPUT, priority, is_nat: false, reroutes: false, drops })
}

fn chain(name: &str, base: Option<Base>, rules: &[&[Expression]]) -> Chain {
    let rule = |(at, expressions): (usize, &&[Expression])| Rule {
        handle: at as u64 + 1,
        expressions: expressions.to_vec(),
    };
    let rules = rules.iter().enumerate().map(rule).collect();
    Chain { table: table(), name: name.to_owned(), base, devices: Vec::new(), rules }
}

fn decide(verdict: Verdict) -> Expression {
    Expression::Decide(verdict)
}

fn limit() -> Expression {
    Expression::Chooses("limit".to_owned())
}

fn passage(chains: Vec<Chain>) -> Passage {
    let ruleset = Ruleset { chains, ..Ruleset::default() };
    let mut reply = packet(TCP, "198.51.100.10:80", "203.0.113.11:40000", Some("eth0"));
    walk(&ruleset, OUTPUT, &mut reply).passage
}

fn named(passage: &Passage) -> String {
    match passage {
        Passage::Passes => "passes".to_owned(),
        Passage::Dropped(place) => format!("dropped by {place}"),
        Passage::Uncertain(place) => format!("perhaps, by {place}"),
    }
}

#[test]
fn a_drop_is_named_with_its_rule_or_policy() {
    assert_eq!(passage(vec![]), Passage::Passes);
    let drops = chain("o", base(0, false), &[&[decide(Verdict::Drop)]]);
    assert_eq!(named(&passage(vec![drops])), "dropped by nft rule inet fwx o handle 1");
    let policy = chain("o", base(0, true), &[]);
    assert_eq!(named(&passage(vec![policy])), "dropped by the policy of nft chain inet fwx o");
}

#[test]
fn an_accept_ends_its_chain_and_no_other() {
    let accepts = |drops| chain("first", base(-10, drops), &[&[decide(Verdict::Accept)]]);
    assert_eq!(passage(vec![accepts(true)]), Passage::Passes);
    let drops = chain("second", base(10, false), &[&[decide(Verdict::Drop)]]);
    let both = passage(vec![drops, accepts(false)]);
    assert_eq!(named(&both), "dropped by nft rule inet fwx second handle 1");
}

#[test]
fn chains_are_asked_and_come_back() {
    let jumps = |verdict: Verdict| {
        chain("o", base(0, false), &[&[decide(verdict)], &[decide(Verdict::Drop)]])
    };
    let returns =
        || chain("other", None, &[&[decide(Verdict::Return)], &[decide(Verdict::Accept)]]);
    let jumped = passage(vec![jumps(Verdict::Jump("other".to_owned())), returns()]);
    assert_eq!(named(&jumped), "dropped by nft rule inet fwx o handle 2");
    let went = passage(vec![jumps(Verdict::Goto("other".to_owned())), returns()]);
    assert_eq!(went, Passage::Passes);
    let accepts = chain("other", None, &[&[decide(Verdict::Accept)]]);
    let jumped = passage(vec![jumps(Verdict::Jump("other".to_owned())), accepts]);
    assert_eq!(jumped, Passage::Passes);
    let circle = chain("o", base(0, false), &[&[decide(Verdict::Jump("o".to_owned()))]]);
    assert_eq!(passage(vec![circle]), Passage::Passes, "the kernel has no circles");
}

#[test]
fn what_may_decide_makes_the_end_uncertain() {
    let may_drop = chain("o", base(0, false), &[&[limit(), decide(Verdict::Drop)]]);
    assert_eq!(named(&passage(vec![may_drop])), "perhaps, by nft rule inet fwx o handle 1");
    let rules: [&[Expression]; 2] = [&[limit(), decide(Verdict::Accept)], &[decide(Verdict::Drop)]];
    let may_pass = chain("o", base(0, false), &rules);
    assert_eq!(named(&passage(vec![may_pass])), "perhaps, by nft rule inet fwx o handle 1");
    let may_accept = chain("o", base(0, false), &[&[limit(), decide(Verdict::Accept)]]);
    assert_eq!(passage(vec![may_accept]), Passage::Passes, "either way");
}

#[test]
fn a_first_packet_is_translated_and_goes_on_so() {
    let nat = Some(Base {
        hook: PREROUTING,
        priority: -100,
        is_nat: true,
        reroutes: false,
        drops: false,
    });
    let port = Some(80);
    let address = Some([172, 17, 0, 2].into());
    let chains = vec![chain("pre", nat, &[&[Expression::Translate { address, port }]])];
    let ruleset = Ruleset { chains, ..Ruleset::default() };
    let mut request = packet(TCP, "203.0.113.11:40000", "198.51.100.10:8080", None);
    let walked = walk(&ruleset, PREROUTING, &mut request);
    assert_eq!(walked.translated.map(|it| it.to), Some("172.17.0.2:80".parse().unwrap()));
    assert_eq!(request.destination, "172.17.0.2:80".parse().unwrap());
    request.is_first = false;
    assert_eq!(walk(&ruleset, PREROUTING, &mut request).translated, None, "conntrack knows it");
}

/// A mark that one hook gives is asked for at the next one: by what it was set to is not known.
#[test]
fn a_mark_goes_with_the_packet_from_hook_to_hook() {
    const INPUT: u32 = 1;
    const MARK: u32 = libc::NFT_META_MARK.cast_unsigned();
    let base =
        |hook, drops| Some(Base { hook, priority: 0, is_nat: false, reroutes: false, drops });
    let asks = [
        Expression::Meta { key: MARK, to: 1 },
        Expression::Compare { operation: 0, from: 1, with: vec![1, 0, 0, 0] },
        decide(Verdict::Accept),
    ];
    let marks: &[&[Expression]] = &[&[Expression::Marks]];
    let chains = |marks| {
        vec![chain("pre", base(PREROUTING, false), marks), chain("in", base(INPUT, true), &[&asks])]
    };
    let last = |marks| {
        let ruleset = Ruleset { chains: chains(marks), ..Ruleset::default() };
        let mut request = packet(TCP, "203.0.113.11:40000", "198.51.100.10:80", None);
        let [_, last] = [PREROUTING, INPUT].map(|hook| walk(&ruleset, hook, &mut request));
        last.passage
    };
    assert_eq!(named(&last(marks)), "perhaps, by nft rule inet fwx in handle 1");
    assert_eq!(named(&last(&[])), "dropped by the policy of nft chain inet fwx in");
}

/// Routes are looked up after prerouting, and again after chains of the type route.
#[test]
fn a_mark_counts_for_routing_where_a_route_is_looked_up_after_it() {
    const POSTROUTING: u32 = 4;
    let marked = |hook, reroutes| {
        let base = Some(Base { hook, priority: 0, is_nat: false, reroutes, drops: false });
        let chains = vec![chain("m", base, &[&[limit()], &[Expression::Marks]])];
        let ruleset = Ruleset { chains, ..Ruleset::default() };
        let walked =
            walk(&ruleset, hook, &mut packet(TCP, "203.0.113.11:4", "198.51.100.10:80", None));
        assert!(walked.is_marked);
        walked.marks_for_routing.map(|place| place.to_string())
    };
    let rule = Some("nft rule inet fwx m handle 2".to_owned());
    assert_eq!(marked(PREROUTING, false), rule);
    assert_eq!(marked(OUTPUT, true), rule);
    assert_eq!(marked(OUTPUT, false), None);
    assert_eq!(marked(POSTROUTING, false), None);
}

const UNTRACKED: u32 = 1 << 6;
const NEW: u32 = 1 << 3;

fn at(hook: u32, priority: i32, drops: bool) -> Option<Base> {
    Some(Base { hook, priority, is_nat: false, reroutes: false, drops })
}

/// `ct state STATE accept`.
fn accepts(state: u32) -> [Expression; 4] {
    let (mask, zero) = (state.to_ne_bytes().to_vec(), vec![0; 4]);
    [
        Expression::Connection { key: 0, to: 1 },
        Expression::Mask { from: 1, to: 1, mask, xor: zero.clone() },
        Expression::Compare { operation: 1, from: 1, with: zero },
        decide(Verdict::Accept),
    ]
}

/// A request through prerouting, with rules at that priority, and input, which accepts one state alone.
fn through(priority: i32, raw: &[&[Expression]], accepted: &[Expression]) -> String {
    const INPUT: u32 = 1;
    let chains = vec![
        chain("raw", at(PREROUTING, priority, false), raw),
        chain("in", at(INPUT, 0, true), &[accepted]),
    ];
    let ruleset = Ruleset { chains, ..Ruleset::default() };
    let mut request = packet(UDP, "203.0.113.11:40000", "198.51.100.10:53", None);
    let [_, last] = [PREROUTING, INPUT].map(|hook| walk(&ruleset, hook, &mut request));
    named(&last.passage)
}

#[test]
fn what_conntrack_passes_over_is_neither_new_nor_established() {
    const RAW: i32 = -300;
    let untracks: &[&[Expression]] = &[&[Expression::Untracks]];
    let policy = "dropped by the policy of nft chain inet fwx in";
    assert_eq!(through(RAW, untracks, &accepts(UNTRACKED)), "passes");
    assert_eq!(through(RAW, untracks, &accepts(NEW)), policy);
    assert_eq!(through(RAW, &[], &accepts(UNTRACKED)), policy);
    assert_eq!(through(RAW, &[], &accepts(NEW)), "passes");
    // Conntrack has seen it there.
    assert_eq!(through(-150, untracks, &accepts(NEW)), "passes");
    // iptables has another number for it.
    let iptables = |mask| [Expression::State { mask, inverted: false }, decide(Verdict::Accept)];
    assert_eq!(through(RAW, untracks, &iptables(1 << 8)), "passes");
    assert_eq!(through(RAW, untracks, &iptables(1 << 6)), policy);
}

#[test]
fn where_it_is_not_known_whether_conntrack_sees_it_its_state_is_not_known() {
    let unknown = "perhaps, by nft rule inet fwx in handle 1";
    let rule: &[&[Expression]] = &[&[limit(), Expression::Untracks]];
    let after: &[&[Expression]] = &[&[limit(), decide(Verdict::Accept)], &[Expression::Untracks]];
    for raw in [rule, after] {
        for state in [NEW, UNTRACKED] {
            assert_eq!(through(-300, raw, &accepts(state)), unknown, "{raw:?}");
        }
    }
}

#[test]
fn what_conntrack_passes_over_is_not_translated() {
    let nat = Some(Base { is_nat: true, ..at(PREROUTING, -100, false).unwrap() });
    let to = Expression::Translate { address: Some([172, 17, 0, 2].into()), port: None };
    let walked = |raw: &[Expression]| {
        let raw = chain("raw", at(PREROUTING, -300, false), &[raw]);
        let chains = vec![raw, chain("nat", nat, &[std::slice::from_ref(&to)])];
        let ruleset = Ruleset { chains, ..Ruleset::default() };
        let mut request = packet(UDP, "203.0.113.11:40000", "198.51.100.10:53", None);
        let walked = walk(&ruleset, PREROUTING, &mut request);
        (walked.translated.is_some(), walked.may_be_translated.is_some())
    };
    assert_eq!(walked(&[]), (true, false));
    assert_eq!(walked(&[Expression::Untracks]), (false, false));
    assert_eq!(walked(&[limit(), Expression::Untracks]), (false, true));
}

#[test]
fn chains_of_other_interfaces_are_passed_by() {
    let walked = |hook, devices: &[&str], output: Option<&str>| {
        let devices = devices.iter().map(|&device| device.to_owned()).collect();
        let table = Table { family: "netdev", ..table() };
        let drops = chain("dev", at(hook, 0, false), &[&[decide(Verdict::Drop)]]);
        let chains = vec![Chain { table, devices, ..drops }];
        let ruleset = Ruleset { chains, ..Ruleset::default() };
        let mut request = packet(UDP, "203.0.113.11:40000", "198.51.100.10:53", output);
        named(&walk(&ruleset, hook, &mut request).passage)
    };
    let dropped = "dropped by nft rule netdev fwx dev handle 1";
    assert_eq!(walked(INGRESS, &["eth0", "eth1"], None), dropped);
    assert_eq!(walked(INGRESS, &["eth0", "eth*"], None), dropped);
    assert_eq!(walked(INGRESS, &["eth0", "eth"], None), "passes");
    assert_eq!(walked(EGRESS, &["eth0"], Some("eth0")), dropped);
    assert_eq!(walked(EGRESS, &["eth1"], Some("eth0")), "passes");
    assert_eq!(walked(EGRESS, &["eth0"], None), "passes");
}
