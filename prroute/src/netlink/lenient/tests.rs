use netlink_packet_core::NetlinkHeader;
use netlink_packet_route::link::{InfoKind, LinkInfo, LinkMessage};
use netlink_packet_route::route::RouteMessage;

use super::super::decode;
use super::*;
use crate::state::observed::{Family, Link};
use crate::state::uplink::Ifindex;

/// `IFLA_OPERSTATE`, `IFLA_IFALIAS`, `IFLA_ALT_IFNAME` and `IFLA_INFO_DATA`.
const OPERSTATE: u16 = 16;
const ALIAS: u16 = 20;
const ALT_NAME: u16 = 53;
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

/// The link `eth7`, with something that the library does not decode.
fn odd(more: &[u8]) -> Link {
    let odd = with(RouteNetlinkMessage::NewLink(link()), more);
    assert!(Message::deserialize(&odd).is_err(), "the library decodes it: no test");
    let link = decoded(&odd);
    assert_eq!((link.ifindex.0, link.name.as_str(), link.mtu), (7, "eth7", 1_400));
    link
}

fn decoded(bytes: &[u8]) -> Link {
    match deserialize(bytes).unwrap().payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => decode::link(link),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_link_with_an_attribute_that_cannot_be_decoded_is_there() {
    // A state without a byte, and an alias in Latin-1.
    odd(&attribute(OPERSTATE, &[]));
    odd(&attribute(ALIAS, b"\xe9t\xe9\0"));
}

#[test]
fn a_link_whose_details_cannot_be_decoded_keeps_its_kind() {
    let kind = attribute(IFLA_INFO_KIND, b"bond\0");
    let data = attribute(INFO_DATA, &attribute(1, &[]));
    let link = odd(&attribute(IFLA_LINKINFO, &[kind, data].concat()));
    assert_eq!(link.kind.as_deref(), Some("bond"));
}

#[test]
fn a_link_with_another_name_that_cannot_be_decoded_keeps_its_other_ones() {
    let names = [&b"enp0s7\0"[..], b"\xe9th\0", b"nic7\0"].map(|name| attribute(ALT_NAME, name));
    assert_eq!(odd(&attribute(IFLA_PROP_LIST, &names.concat())).altnames, ["enp0s7", "nic7"]);
}

/// Rules and settings need its true name.
#[test]
fn a_link_whose_name_is_not_utf_8_is_named_by_its_index() {
    let mut link = LinkMessage::default();
    link.header.index = 7;
    for (name, shown) in [(&b"\xe9th7\0"[..], Some(r"\xe9th7")), (b"\0", None)] {
        let message = with(RouteNetlinkMessage::NewLink(link.clone()), &attribute(3, name));
        let unreadable = deserialize(&message).unwrap_err();
        let name = shown.map(str::to_owned);
        assert_eq!(unreadable.object, Object::Link { ifindex: Ifindex(7), name });
        assert!(!unreadable.gone);
    }
    let gone = with(RouteNetlinkMessage::DelLink(link), &attribute(3, b"\xe9th7\0"));
    assert!(deserialize(&gone).unwrap_err().gone);
}

#[test]
fn what_can_be_decoded_is_decoded_as_ever() {
    let mut link = link();
    link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]));
    let bytes = bytes(RouteNetlinkMessage::NewLink(link));
    assert_eq!(deserialize(&bytes).unwrap(), Message::deserialize(&bytes).unwrap());
    assert_eq!(decoded(&readable(&bytes).unwrap()), decoded(&bytes));
}

/// Without a selector it would say more than it does; without its metrics a route is the same one.
#[test]
fn routes_are_taken_with_all_that_selects_or_not_at_all() {
    let mut route = RouteMessage::default();
    route.header.address_family = netlink_packet_route::AddressFamily::Inet;
    route.header.destination_prefix_length = 24;
    let message = |more: &[u8]| {
        let message = with(RouteNetlinkMessage::NewRoute(route.clone()), more);
        assert!(Message::deserialize(&message).is_err(), "the library decodes it: no test");
        deserialize(&message)
    };
    assert!(message(&attribute(libc::RTA_METRICS, &attribute(1, &[1]))).is_ok());
    let unreadable = message(&attribute(libc::RTA_DST, &[1])).unwrap_err();
    let object = Object::Route { family: Family::V4, length: 24, protocol: 0 };
    assert_eq!(unreadable.object, object);
    // Behind what is no attribute may be anything.
    assert_eq!(message(&[3, 0, 0, 0]).unwrap_err().object, object);
}

/// Whoever has a filter there keeps his qdisc.
#[test]
fn a_filter_with_options_that_cannot_be_decoded_is_there() {
    use netlink_packet_route::tc::TcMessage;
    /// `TCA_KIND` and `TCA_OPTIONS`.
    const KIND: u16 = 1;
    const OPTIONS: u16 = 2;
    let kind = attribute(KIND, b"u32\0");
    let options = attribute(OPTIONS, &attribute(5, &[1]));
    let filter = RouteNetlinkMessage::NewTrafficFilter(TcMessage::with_index(7));
    let message = with(filter, &[kind, options].concat());
    assert!(Message::deserialize(&message).is_err(), "the library decodes it: no test");
    assert!(deserialize(&message).is_ok());
}
