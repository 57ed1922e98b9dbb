use super::*;

/// An attribute as the kernel writes it.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub(super) fn number_attribute(kind: u16, number: u32) -> Vec<u8> {
    attribute(kind, &number.to_be_bytes())
}

/// An element of the list, with the flag of nested attributes.
pub(super) fn expression(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
    let name = attribute(1, format!("{name}\0").as_bytes());
    attribute(1 | 0x8000, &[name, attribute(2 | 0x8000, &data.concat())].concat())
}

pub(super) fn meta(key: u32) -> Vec<u8> {
    expression("meta", &[number_attribute(2, key), number_attribute(1, 1)])
}

pub(super) fn compare(operation: u32, value: &[u8]) -> Vec<u8> {
    let data = attribute(3, &attribute(1, value));
    expression("cmp", &[number_attribute(1, 1), number_attribute(2, operation), data])
}

pub(super) fn fib(result: u32, flags: u32) -> Vec<u8> {
    expression(
        "fib",
        &[number_attribute(1, 1), number_attribute(2, result), number_attribute(3, flags)],
    )
}

pub(super) fn verdict(code: i32) -> Vec<u8> {
    let verdict = attribute(2, &attribute(1, &code.to_be_bytes()));
    expression("immediate", &[number_attribute(1, 0), attribute(2, &verdict)])
}

pub(super) fn message(family: u8, expressions: &[Vec<u8>]) -> Vec<u8> {
    let attributes = [
        attribute(1, b"firewalld\0"),
        attribute(2, b"filter_PREROUTING\0"),
        attribute(4, &expressions.concat()),
    ];
    let mut message = vec![0; HEADER];
    message.extend([family, 0, 0, 0]);
    message.extend(attributes.concat());
    message
}

const STRICT: u32 = 1 | 4 | 8 | 32;

/// `meta nfproto ipv6 fib saddr . mark . iif oif missing drop`.
fn of_firewalld() -> Vec<u8> {
    message(1, &[meta(15), compare(0, &[10]), fib(1, STRICT), compare(0, &[0]), verdict(0)])
}

#[test]
fn the_rule_of_firewalld_is_a_filter_of_ipv6() {
    assert_eq!(
        rule(&of_firewalld()),
        Some(ReversePathFilter {
            family: Some(Family::V6),
            table: "firewalld".to_owned(),
            chain: "filter_PREROUTING".to_owned(),
            device: None,
        })
    );
}

#[test]
fn what_compares_no_interface_or_decides_nothing_is_none() {
    let loose = [fib(1, 1 | 4 | 32), compare(0, &[0]), verdict(0)];
    let kind_of_address = [fib(3, 1 | 8), compare(0, &[0]), verdict(0)];
    let by_destination = [fib(1, 2 | 8), compare(0, &[0]), verdict(0)];
    let counts = [fib(1, STRICT), compare(0, &[0]), expression("counter", &[])];
    let plain = [meta(15), compare(0, &[10]), verdict(0)];
    for expressions in [&loose[..], &kind_of_address, &by_destination, &counts, &plain] {
        assert_eq!(rule(&message(1, expressions)), None);
    }
    assert_eq!(rule(&message(7, &[fib(1, STRICT), verdict(0)])), None, "of bridges");
}

#[test]
fn families_and_interfaces_limit_it() {
    let of = |family, expressions: &[Vec<u8>]| rule(&message(family, expressions)).unwrap();
    let ask = [fib(2, STRICT), compare(0, &[0]), verdict(-3)];
    assert_eq!(of(1, &ask).family, None);
    assert_eq!(of(2, &ask).family, Some(Family::V4));
    assert_eq!(of(10, &ask).family, Some(Family::V6));
    let limited = |operation, name: &[u8]| {
        of(1, &[&[meta(6), compare(operation, name)][..], &ask].concat()).device
    };
    assert_eq!(limited(0, b"eth1\0\0\0\0\0\0\0\0\0\0\0\0").as_deref(), Some("eth1"));
    assert_eq!(limited(1, b"lo\0\0"), None, "all but one");
    assert_eq!(limited(0, b"eth"), None, "whatever begins so");
}

#[test]
fn the_match_of_iptables_is_one_too() {
    let matched = |flags: u8| {
        let data = [attribute(1, b"rpfilter\0"), number_attribute(2, 0), attribute(3, &[flags])];
        rule(&message(10, &[expression("match", &data), verdict(0)]))
    };
    assert!(matched(8).is_some(), "--invert");
    assert!(matched(8 | 1).is_none(), "--invert --loose");
}

#[test]
fn a_message_that_is_cut_off_anywhere_is_no_trouble() {
    let whole = of_firewalld();
    for length in 0..whole.len() {
        assert_eq!(rule(&whole[..length]), None, "{length}");
    }
}

#[test]
fn the_kernel_answers_or_has_no_rules() {
    let read = each_rule(rule);
    assert!(read.is_ok() || !is_loaded(MODULE), "{read:?}");
}

const IIFNAME: u32 = 6;
const OIFNAME: u32 = 7;
const OIF: u32 = 5;
const DROP: i32 = 0;
const ACCEPT: i32 = 1;

fn payload(offset: u32, length: u32) -> Vec<u8> {
    let numbers = [(1, 1), (2, 1), (3, offset), (4, length)];
    let attributes: Vec<_> = numbers.map(|(kind, n)| number_attribute(kind, n)).into();
    expression("payload", &attributes)
}

fn filter_rule(expressions: &[Vec<u8>]) -> Option<FilterRule> {
    interfaces::rule(&message(1, expressions))
}

#[test]
fn rules_about_interfaces_and_addresses_are_read_with_what_they_decide() {
    let by_name =
        filter_rule(&[meta(OIFNAME), compare(0, b"eth1\0\0\0\0"), verdict(DROP)]).unwrap();
    assert_eq!(by_name.subjects, [Subject::Output("eth1".to_owned())]);
    assert_eq!((by_name.ruling, by_name.is_narrow), (Ruling::Drop, false));
    let by_pattern = filter_rule(&[meta(IIFNAME), compare(0, b"eth"), verdict(ACCEPT)]).unwrap();
    assert_eq!(by_pattern.subjects, [Subject::Input("eth*".to_owned())]);
    assert_eq!(by_pattern.ruling, Ruling::Other);
    let by_index = filter_rule(&[meta(OIF), compare(0, &7_u32.to_ne_bytes())]).unwrap();
    assert_eq!(by_index.subjects, [Subject::OutputIndex(7)]);
    assert_eq!(by_index.ruling, Ruling::None);
    let by_address = filter_rule(&[payload(12, 4), compare(0, &[10, 0, 2, 10]), verdict(DROP)]);
    let source = Subject::Source([10, 0, 2, 10].into());
    assert_eq!(by_address.unwrap().subjects, [source]);
}

#[test]
fn a_rule_with_further_conditions_is_narrow() {
    let port = [meta(OIFNAME), compare(0, b"eth1\0"), payload(2, 2), compare(0, &[0, 80])];
    assert!(filter_rule(&[&port[..], &[verdict(DROP)]].concat()).unwrap().is_narrow);
    let ct = [meta(OIFNAME), compare(0, b"eth1\0"), expression("ct", &[]), verdict(DROP)];
    assert!(filter_rule(&ct).unwrap().is_narrow);
    assert_eq!(filter_rule(&[verdict(DROP)]), None, "about neither");
    let nat = [meta(OIFNAME), compare(0, b"eth1\0"), expression("masq", &[])];
    assert_eq!(filter_rule(&nat).unwrap().ruling, Ruling::Translate);
}

#[test]
fn destinations_are_those_of_dnat_and_of_the_target() {
    let load = |bytes: &[u8]| {
        let data = attribute(2, &attribute(1, bytes));
        expression("immediate", &[number_attribute(1, 1), data])
    };
    let nat = |kind: u32| expression("nat", &[number_attribute(1, kind)]);
    let to = |expressions: &[Vec<u8>]| published::destinations(&message(2, expressions));
    let container = std::net::Ipv4Addr::new(172, 17, 0, 2);
    assert_eq!(to(&[load(&[172, 17, 0, 2]), load(&[0, 80]), nat(1)]), Some(vec![container]));
    assert_eq!(to(&[load(&[172, 17, 0, 2]), nat(0)]), None);
    let mut range = vec![0; 4];
    range.extend([172, 17, 0, 2]);
    let target = expression("target", &[attribute(1, b"DNAT\0"), attribute(3, &range)]);
    assert_eq!(to(&[target]), Some(vec![container]));
    assert_eq!(to(&[verdict(0)]), None);
}
