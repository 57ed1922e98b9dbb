use netlink_packet_core::{NetlinkHeader, NetlinkPayload};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::route::RouteMessage;

use super::super::decode;
use super::*;

/// `IFLA_OPERSTATE` and `IFLA_INFO_DATA`.
const OPERSTATE: u16 = 16;
const INFO_DATA: u16 = 2;

fn bytes(message: RouteNetlinkMessage) -> Vec<u8> {
    let payload = NetlinkPayload::InnerMessage(message);
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).unwrap();
    let mut attribute = [&length.to_ne_bytes(), &kind.to_ne_bytes(), value].concat();
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

fn with(message: RouteNetlinkMessage, more: &[u8]) -> Vec<u8> {
    let bytes = bytes(message);
    self::message(&bytes, more)
}

fn link() -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = 7;
    link.attributes.push(LinkAttribute::IfName("eth7".to_owned()));
    link.attributes.push(LinkAttribute::Mtu(1_400));
    link
}

fn decoded(bytes: &[u8]) -> crate::state::observed::Link {
    match deserialize(bytes).unwrap().payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => decode::link(link),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_link_with_an_attribute_that_cannot_be_decoded_is_there() {
    // A state of four bytes where one is right.
    let odd = with(RouteNetlinkMessage::NewLink(link()), &attribute(OPERSTATE, &[]));
    assert!(Message::deserialize(&odd).is_err(), "the library decodes it: no test");
    let link = decoded(&odd);
    assert_eq!((link.ifindex.0, link.name.as_str(), link.mtu), (7, "eth7", 1_400));
}

#[test]
fn a_link_whose_details_cannot_be_decoded_keeps_its_kind() {
    let kind = attribute(INFO_KIND, b"bond\0");
    let data = attribute(INFO_DATA, &attribute(1, &[]));
    let info = attribute(LINK_INFO, &[kind, data].concat());
    let odd = with(RouteNetlinkMessage::NewLink(link()), &info);
    assert!(Message::deserialize(&odd).is_err(), "the library decodes it: no test");
    assert_eq!(decoded(&odd).kind.as_deref(), Some("bond"));
}

#[test]
fn what_can_be_decoded_is_decoded_as_ever() {
    let mut link = link();
    link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]));
    let bytes = bytes(RouteNetlinkMessage::NewLink(link));
    assert_eq!(deserialize(&bytes).unwrap(), Message::deserialize(&bytes).unwrap());
    assert_eq!(decoded(&readable(&bytes).unwrap()), decoded(&bytes));
}

#[test]
fn whatever_the_bytes_nothing_panics() {
    let whole = with(RouteNetlinkMessage::NewLink(link()), &attribute(LINK_INFO, &[1, 2, 3]));
    let address = bytes(RouteNetlinkMessage::NewAddress(AddressMessage::default()));
    for message in [whole, address] {
        for length in 0..message.len() {
            readable(&message[..length]);
            let mut changed = message.clone();
            changed[length] = 0xff;
            readable(&changed);
        }
    }
}

/// Without a selector it would say more than it does.
#[test]
fn routes_are_taken_whole_or_not_at_all() {
    let route = with(RouteNetlinkMessage::NewRoute(RouteMessage::default()), &attribute(1, &[1]));
    assert_eq!(readable(&route), None);
}
