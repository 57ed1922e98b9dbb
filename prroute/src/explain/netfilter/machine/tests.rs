use super::super::packet::tests::packet;
use super::*;
use crate::explain::question::{TCP, UDP};
use crate::netlink::nftables::ruleset::Table;

const DROP: Expression = Expression::Decide(Verdict::Drop);
const OIFNAME: u32 = libc::NFT_META_OIFNAME as u32;
const L4PROTO: u32 = libc::NFT_META_L4PROTO as u32;

fn meta(key: u32) -> Expression {
    Expression::Meta { key, to: 1 }
}

fn payload(offset: u32, length: u32) -> Expression {
    Expression::Payload { base: 2, offset, length, to: 1 }
}

fn equals(with: &[u8]) -> Expression {
    Expression::Compare { operation: 0, from: 1, with: with.to_vec() }
}

fn reply() -> Packet {
    packet(TCP, "198.51.100.10:8080", "203.0.113.11:40000", Some("eth0"))
}

fn ruled(expressions: &[Expression]) -> Option<bool> {
    let ruled = run(expressions, &reply(), &Changes::default(), |_| None)?;
    assert_eq!(ruled.action, Action::Decide(Verdict::Drop));
    Some(ruled.is_certain)
}

fn name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

#[test]
fn what_a_rule_asks_is_compared_as_the_kernel_does() {
    let port = [payload(0, 2), equals(&8080_u16.to_be_bytes())];
    let of = |device: &str| [meta(OIFNAME), equals(&name(device))];
    let rule = |parts: &[&[Expression]]| [&parts.concat()[..], &[DROP]].concat();
    assert_eq!(ruled(&rule(&[&of("eth0"), &port])), Some(true));
    assert_eq!(ruled(&rule(&[&of("eth1"), &port])), None);
    assert_eq!(ruled(&rule(&[&of("eth"), &port])), None, "all sixteen bytes count");
    let beginning = [meta(OIFNAME), equals(b"eth")];
    assert_eq!(ruled(&rule(&[&beginning])), Some(true), "`oifname eth*`");
    let udp = [meta(L4PROTO), equals(&[UDP])];
    assert_eq!(ruled(&rule(&[&udp, &port])), None);
    let range = Expression::Range {
        from: 1,
        first: 8000_u16.to_be_bytes().to_vec(),
        last: 9000_u16.to_be_bytes().to_vec(),
        outside: false,
    };
    assert_eq!(ruled(&[payload(0, 2), range, DROP]), Some(true));
}

#[test]
fn what_is_not_known_makes_a_rule_uncertain_and_no_more() {
    let limit = Expression::Chooses("limit".to_owned());
    assert_eq!(ruled(&[limit.clone(), DROP]), Some(false));
    let wrong_port = [payload(0, 2), equals(&80_u16.to_be_bytes())];
    assert_eq!(ruled(&[&[limit][..], &wrong_port, &[DROP]].concat()), None);
    let number = [payload(4, 4), equals(&[0; 4]), DROP];
    assert_eq!(ruled(&number), Some(false), "a sequence number");
}

#[test]
fn what_is_not_understood_leaves_no_register_as_it_was() {
    let protocol = [meta(L4PROTO), equals(&[TCP])];
    let loads = |load: Expression| [&protocol[..], &[load, equals(&[1]), DROP]].concat();
    assert_eq!(ruled(&loads(Expression::Chooses("exthdr".to_owned()))), Some(false));
    assert_eq!(ruled(&loads(Expression::Unknown { to: 1 })), Some(false));
    // Two registers of 4 bytes, of which the second lies in what is loaded into the first.
    let second = Expression::Value { value: vec![0; 4], to: 13 };
    let compares = Expression::Compare { operation: 1, from: 13, with: vec![0; 4] };
    let long = [second.clone(), Expression::Unknown { to: 1 }, compares.clone(), DROP];
    assert_eq!(ruled(&long), Some(false), "20 bytes, an IPv6 address and a port");
    let other = [Expression::Unknown { to: 1 }, second, compares, DROP];
    assert_eq!(ruled(&other), None, "it is known what was loaded last");
}

#[test]
fn states_are_compared_by_their_bits() {
    let state = |mask: u32| {
        let zero = vec![0; 4];
        let mask = mask.to_ne_bytes().to_vec();
        [
            Expression::Connection { key: 0, to: 1 },
            Expression::Mask { from: 1, to: 1, mask, xor: zero.clone() },
            Expression::Compare { operation: 1, from: 1, with: zero },
            DROP,
        ]
    };
    assert_eq!(ruled(&state(1 << 1 | 1 << 2)), Some(true), "established, related");
    assert_eq!(ruled(&state(1 << 3)), None, "new");
}

#[test]
fn a_set_has_keys_ranges_and_decisions() {
    let element = |port: u16, ends: bool, verdict: Option<Verdict>| Element {
        key: port.to_be_bytes().to_vec(),
        last: None,
        ends,
        verdict,
    };
    let table = Table { family: "inet", name: "filter".to_owned() };
    let with = |elements: &[Element], inverted: bool, decides: bool| {
        let elements = elements.to_vec();
        let set = Set { table: table.clone(), name: "ports".to_owned(), elements };
        let set_name = "ports".to_owned();
        let lookup = Expression::Lookup { set: set_name, from: 1, inverted, decides, to: None };
        let expressions = [payload(0, 2), lookup, DROP];
        run(&expressions, &reply(), &Changes::default(), |_| Some(set.clone())).map(|it| it.action)
    };
    let drop = Some(Action::Decide(Verdict::Drop));
    assert_eq!(with(&[element(8080, false, None)], false, false), drop);
    assert_eq!(with(&[element(80, false, None)], false, false), None);
    assert_eq!(with(&[element(80, false, None)], true, false), drop);
    assert_eq!(with(&[], false, false), None);
    let range = [element(0, true, None), element(8000, false, None), element(8081, true, None)];
    assert_eq!(with(&range, false, false), drop);
    let below = [element(0, true, None), element(80, false, None), element(8080, true, None)];
    assert_eq!(with(&below, false, false), None, "its end is outside");
    let map = [element(8080, false, Some(Verdict::Accept))];
    assert_eq!(with(&map, false, true), Some(Action::Decide(Verdict::Accept)));
}

#[test]
fn addresses_and_ports_are_translated_by_registers() {
    let to = |value: &[u8], to: u32| Expression::Value { value: value.to_vec(), to };
    let expressions = [
        to(&[172, 17, 0, 2], 1),
        to(&80_u16.to_be_bytes(), 2),
        Expression::TranslateBy { address: Some(1), port: Some(2) },
    ];
    let ruled = run(&expressions, &reply(), &Changes::default(), |_| None).unwrap();
    let address = Some([172, 17, 0, 2].into());
    assert_eq!(ruled.action, Action::Translate { address, port: Some(80) });
    let expressions =
        [Expression::Unknown { to: 1 }, Expression::TranslateBy { address: Some(1), port: None }];
    let ruled = run(&expressions, &reply(), &Changes::default(), |_| None).unwrap();
    assert_eq!(ruled.action, Action::TranslateSomewhere, "one of several");
}

#[test]
fn a_mark_that_was_set_is_not_known_any_more() {
    const META_MARK: u32 = libc::NFT_META_MARK as u32;
    let changes = Changes::default();
    let asks = [meta(META_MARK), equals(&[0; 4]), DROP];
    let certain =
        |changes: &Changes| run(&asks, &reply(), changes, |_| None).map(|ruled| ruled.is_certain);
    assert_eq!(certain(&changes), Some(true));
    assert_eq!(run(&[Expression::Marks], &reply(), &changes, |_| None), None);
    assert_eq!(certain(&changes), Some(false));
}
