use super::super::tests::{
    attribute, compare, expression, fib, message, meta, number_attribute, verdict,
};
use super::*;

fn read(expressions: &[Vec<u8>]) -> Vec<Expression> {
    rule(&message(1, expressions)).unwrap().2.expressions
}

#[test]
fn a_rule_is_read_with_what_it_asks_and_decides() {
    let read_back = read(&[meta(7), compare(0, b"eth0"), expression("counter", &[]), verdict(0)]);
    let expected = [
        Expression::Meta { key: 7, to: 1 },
        Expression::Compare { operation: 0, from: 1, with: b"eth0".to_vec() },
        Expression::Decide(Verdict::Drop),
    ];
    assert_eq!(read_back, expected, "what neither chooses nor decides is left out");
    let jump = {
        let code = attribute(1, &(-3_i32).to_be_bytes());
        let chain = attribute(2, b"other\0");
        let data = attribute(2, &attribute(2, &[code, chain].concat()));
        expression("immediate", &[number_attribute(1, 0), data])
    };
    assert_eq!(read(&[jump]), [Expression::Decide(Verdict::Jump("other".to_owned()))]);
}

#[test]
fn what_is_not_understood_chooses() {
    assert_eq!(read(&[expression("limit", &[])]), [Expression::Chooses("limit".to_owned())]);
    assert_eq!(read(&[expression("cmp", &[])]), [Expression::Chooses("cmp".to_owned())]);
    assert_eq!(read(&[fib(1, 1 | 8)]), [Expression::Unknown { to: 1 }]);
    assert_eq!(read(&[fib(3, 2)]), [Expression::DestinationType { to: 1 }]);
    let sets_priority = expression("meta", &[number_attribute(2, 2), number_attribute(3, 1)]);
    let sets_mark = expression("meta", &[number_attribute(2, 3), number_attribute(3, 1)]);
    assert_eq!(read(&[sets_priority]), []);
    assert_eq!(read(&[sets_mark]), [Expression::Marks]);
}

#[test]
fn what_loads_something_unknown_says_where_to() {
    let loads = |name: &str, attribute: u16| {
        let data = [number_attribute(attribute, 9), number_attribute(3 - attribute, 2)];
        read(&[expression(name, &data)])
    };
    for name in ["exthdr", "osf", "xfrm", "rt", "numgen"] {
        assert_eq!(loads(name, 1), [Expression::Unknown { to: 9 }], "{name}");
    }
    for name in ["socket", "tunnel", "hash", "byteorder"] {
        assert_eq!(loads(name, 2), [Expression::Unknown { to: 9 }], "{name}");
    }
    let sets = expression("exthdr", &[number_attribute(2, 2), number_attribute(7, 1)]);
    assert_eq!(read(&[sets]), [Expression::Chooses("exthdr".to_owned())], "`maxseg size set`");
}

#[test]
fn objects_that_limit_choose() {
    let object = |kind: u32| read(&[expression("objref", &[number_attribute(1, kind)])]);
    assert_eq!(object(1), [], "a counter");
    assert_eq!(object(3), [], "a helper");
    let chooses = [Expression::Chooses("objref".to_owned())];
    assert_eq!(object(2), chooses, "a quota");
    assert_eq!(object(4), chooses, "a limit");
    assert_eq!(object(10), [Expression::Decide(Verdict::Unknown)], "synproxy");
    let by_map = expression("objref", &[number_attribute(3, 1)]);
    assert_eq!(read(&[by_map]), chooses, "none, where the map has no element");
    let offloads = expression("flow_offload", &[]);
    assert_eq!(read(&[offloads]), [Expression::Chooses("flow_offload".to_owned())]);
}

#[test]
fn what_takes_a_packet_from_conntrack_is_read_from_either_kind_of_rule() {
    assert_eq!(read(&[expression("notrack", &[])]), [Expression::Untracks]);
    let target = |name: &[u8], flags: u16| {
        let mut info = vec![0; 16];
        info[..2].copy_from_slice(&flags.to_ne_bytes());
        let data = [attribute(1, name), number_attribute(2, 2), attribute(3, &info)];
        read(&[expression("target", &data)])
    };
    assert_eq!(target(b"CT\0", 1), [Expression::Untracks]);
    assert_eq!(target(b"CT\0", 1 | 2), [Expression::Untracks], "as NOTRACK");
    assert_eq!(target(b"CT\0", 0), [], "a zone or a helper");
}

fn matching(name: &str, info: &[u8]) -> Expression {
    let name = attribute(1, format!("{name}\0").as_bytes());
    let data = [name, number_attribute(2, 0), attribute(3, info)];
    read(&[expression("match", &data)]).remove(0)
}

#[test]
fn matches_of_iptables_are_read_where_they_are_simple() {
    let ports = [0_u16, 65_535, 8080, 8080].map(u16::to_ne_bytes).concat();
    let (source, destination) = ((0, 65_535), (8080, 8080));
    let expected = Expression::Ports { source, destination, inverted: 0 };
    assert_eq!(matching("udp", &[&ports[..], &[0]].concat()), expected);
    assert_eq!(matching("tcp", &[&ports[..], &[0; 4]].concat()), expected);
    let with_flags = matching("tcp", &[&ports[..], &[0, 2, 2, 0]].concat());
    assert_eq!(with_flags, Expression::Chooses("tcp".to_owned()), "--syn");
    let mut state = vec![0; 184];
    state[146..148].copy_from_slice(&1_u16.to_ne_bytes());
    state[150..152].copy_from_slice(&6_u16.to_ne_bytes());
    assert_eq!(matching("conntrack", &state), Expression::State { mask: 6, inverted: false });
    let local = [0, 0, 4, 0, 0, 0, 0, 0];
    let local = if cfg!(target_endian = "little") { local } else { [0, 0, 0, 4, 0, 0, 0, 0] };
    let is_local = Expression::LocalDestination { inverted: false };
    assert_eq!(matching("addrtype", &local), is_local);
}

#[test]
fn translations_are_read_from_either_kind_of_rule() {
    let nat = expression(
        "nat",
        &[number_attribute(1, 1), number_attribute(3, 1), number_attribute(5, 2)],
    );
    let by = Expression::TranslateBy { address: Some(1), port: Some(2) };
    assert_eq!(read(&[nat]), [by]);
    let mut range = 3_u32.to_ne_bytes().to_vec();
    range.extend([172, 17, 0, 2]);
    range.resize(36, 0);
    range.extend(80_u16.to_be_bytes());
    range.resize(44, 0);
    let target = expression(
        "target",
        &[attribute(1, b"DNAT\0"), number_attribute(2, 2), attribute(3, &range)],
    );
    let to = Expression::Translate { address: Some([172, 17, 0, 2].into()), port: Some(80) };
    assert_eq!(read(&[target]), [to]);
}

#[test]
fn a_chain_has_its_hook_and_policy() {
    let hook = [number_attribute(1, 3), number_attribute(2, (-100_i32).cast_unsigned())].concat();
    let attributes = [
        attribute(1, b"nat\0"),
        attribute(3, b"out\0"),
        attribute(4, &hook),
        number_attribute(5, 0),
        attribute(7, b"nat\0"),
    ];
    let mut bytes = vec![0; HEADER];
    bytes.extend([2, 0, 0, 0]);
    bytes.extend(attributes.concat());
    let read = chain(&bytes).unwrap();
    assert_eq!((read.table.family, read.name.as_str()), ("ip", "out"));
    let expected = Base { hook: 3, priority: -100, is_nat: true, reroutes: false, drops: true };
    assert_eq!(read.base, Some(expected));
    for length in 0..bytes.len() {
        drop(chain(&bytes[..length]));
    }
}

#[test]
fn a_chain_on_interfaces_has_their_names() {
    const NETDEV: u8 = 5;
    const INET: u8 = 1;
    let read = |family: u8, number: u32, devices: &[Vec<u8>]| {
        let numbers = [number_attribute(1, number), number_attribute(2, 0)].concat();
        let hook = attribute(4, &[numbers, devices.concat()].concat());
        let mut bytes = vec![0; HEADER];
        bytes.extend([family, 0, 0, 0]);
        bytes.extend([attribute(1, b"t\0"), attribute(3, b"c\0"), hook].concat());
        chain(&bytes).map(|chain| (chain.base.map(|base| base.hook), chain.devices))
    };
    let all = [attribute(1, b"eth0\0"), attribute(1, b"eth1\0"), attribute(2, b"wg")].concat();
    let all = attribute(4 | 0x8000, &all);
    let names = ["eth0", "eth1", "wg*"].map(str::to_owned).to_vec();
    assert_eq!(read(NETDEV, 0, std::slice::from_ref(&all)), Some((Some(INGRESS), names.clone())));
    assert_eq!(read(INET, 5, &[all]), Some((Some(INGRESS), names)));
    let one = ["eth1".to_owned()].to_vec();
    let device = [attribute(3, b"eth1\0")];
    assert_eq!(read(NETDEV, 1, &device), Some((Some(EGRESS), one)));
    assert_eq!(read(NETDEV, 9, &device).map(|(hook, _)| hook), Some(None));
    assert_eq!(read(2, 0, &[]), Some((Some(0), Vec::new())));
    // The family is the table's there.
    let rule = |family| rule(&message(family, &[meta(15)])).unwrap().2.expressions;
    assert_eq!(rule(NETDEV), [Expression::Value { value: vec![NETDEV], to: 1 }]);
    assert_eq!(rule(INET), [Expression::Meta { key: 15, to: 1 }]);
}

#[test]
fn elements_have_keys_ends_and_verdicts() {
    let key = attribute(1, &attribute(1, &80_u16.to_be_bytes()));
    let end = element(&[key.clone(), number_attribute(3, 1)].concat()).unwrap();
    assert!(end.ends && end.key == [0, 80], "{end:?}");
    let accept = attribute(2, &attribute(2, &attribute(1, &1_i32.to_be_bytes())));
    let mapped = element(&[key, accept].concat()).unwrap();
    assert_eq!(mapped.verdict, Some(Verdict::Accept));
}

#[test]
fn names_in_requests_end_with_a_zero() {
    assert_eq!(named(1, "nat").len(), 8);
    assert_eq!(named(1, "nat")[4..], *b"nat\0");
}
