//! Replies must fit their uplink, or their sender must hear of it.

use etherparse::{
    Icmpv4Type, Icmpv6Type, NetSlice, SlicedPacket, TcpOptionElement, TransportSlice,
};
use prroute::config::OwnSource;
use prroute::state::uplink::OwnSources;
use prroute_common::reason::Reason;

use super::fixture::{Fixture, PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame, frame_with, with_mss};
use super::steering::OWNED_2;

const CLIENT: [(&str, u16); 2] = [("203.0.113.9", 40_000), ("2001:db8:9::9", 40_000)];
const SHARED: [(&str, u16); 2] = [("192.0.2.80", 443), ("2001:db8::80", 443)];
const ETHERNET: usize = 14;

fn small_uplink(fixture: &mut Fixture) {
    fixture.uplinks[1].device.mtu = 1280;
    fixture.sync();
}

#[test]
fn the_sender_of_a_reply_too_big_for_its_uplink_is_told_the_size() {
    with_fixture(|fixture| {
        small_uplink(fixture);
        for (family, (client, shared)) in CLIENT.into_iter().zip(SHARED).enumerate() {
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, shared)), PASS);
            let headers = if family == 0 { 28 } else { 48 };
            let reply = |payload| frame_with(Kind::Udp, shared, client, &vec![7; payload]);
            assert_eq!(fixture.egress(1, &reply(1280 - headers)), REDIRECT, "just fits");
            assert_eq!(fixture.count(2, Reason::SenderTold), family as u64);

            let too_big = reply(1281 - headers);
            let (action, error) = fixture.egress_rewritten(1, &too_big);
            assert_eq!(action, REDIRECT);
            assert_eq!(fixture.count(2, Reason::SenderTold), family as u64 + 1);
            assert_eq!(error[..6], fixture.uplinks[1].device.mac.unwrap());
            let packet = SlicedPacket::from_ethernet(&error).unwrap();
            let quoted = match packet.transport.unwrap() {
                TransportSlice::Icmpv4(icmp) => {
                    let Icmpv4Type::DestinationUnreachable(
                        etherparse::icmpv4::DestUnreachableHeader::FragmentationNeeded {
                            next_hop_mtu: 1280,
                        },
                    ) = icmp.icmp_type()
                    else {
                        panic!("{:?}", icmp.icmp_type())
                    };
                    let sum = icmp.icmp_type().calc_checksum(icmp.payload());
                    assert_eq!(icmp.checksum(), sum, "the checksum of the message");
                    icmp.payload()
                }
                TransportSlice::Icmpv6(icmp) => {
                    assert_eq!(icmp.icmp_type(), Icmpv6Type::PacketTooBig { mtu: 1280 });
                    let Some(NetSlice::Ipv6(ip)) = &packet.net else { panic!("not IPv6") };
                    let (from, to) = (ip.header().source(), ip.header().destination());
                    assert!(icmp.is_checksum_valid(from, to), "the checksum of the message");
                    icmp.payload()
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(quoted, &too_big[ETHERNET..ETHERNET + quoted.len()]);
            assert!(quoted.len() >= headers, "up to the ports");
            if let Some(NetSlice::Ipv4(ip)) = packet.net {
                let header = ip.header().to_header();
                assert_eq!(header.header_checksum, header.calc_header_checksum());
                assert_eq!(header.source, [10, 0, 2, 1], "the gateway's name");
                assert_eq!(header.destination, [192, 0, 2, 80]);
            }
        }
    });
}

/// Of an uplink without a next hop the kernel's own way is taken, on which the reply may fit.
#[test]
fn nobody_is_told_the_size_of_an_uplink_that_no_way_leads_to() {
    with_fixture(|fixture| {
        fixture.uplinks[1].device.way_out.v4.resolved = false;
        fixture.uplinks[1].device.way_out.v6.resolved = false;
        small_uplink(fixture);
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, shared)), PASS);
            let reply = frame_with(Kind::Udp, shared, client, &[7; 1281]);
            assert_eq!(fixture.egress(1, &reply), PASS);
        }
        assert_eq!(fixture.count(2, Reason::SenderTold), 0);
    });
}

/// The maximum segment size a frame offers, and whether its checksum is right.
fn offered(frame: &[u8]) -> (u16, bool) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { panic!("not TCP") };
    let size = tcp.options_iterator().find_map(|option| match option.unwrap() {
        TcpOptionElement::MaximumSegmentSize(size) => Some(size),
        _ => None,
    });
    let sum = match packet.net.unwrap() {
        NetSlice::Ipv4(ip) => {
            tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()).unwrap()
        }
        NetSlice::Ipv6(ip) => {
            tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()).unwrap()
        }
        NetSlice::Arp(_) => panic!("not IP"),
    };
    (size.unwrap(), tcp.checksum() == sum)
}

#[test]
fn both_ends_agree_on_segments_that_fit_the_uplink() {
    with_fixture(|fixture| {
        small_uplink(fixture);
        let asked = CLIENT.into_iter().zip(SHARED).chain(CLIENT.into_iter().zip(OWNED_2));
        for (client, server) in asked {
            let fits = if server.0.contains(':') { 1220 } else { 1240 };
            let syn = with_mss(Kind::Syn, client, server, 1460);
            let (action, written) = fixture.ingress_rewritten(2, &syn);
            assert_eq!((action, offered(&written)), (PASS, (fits, true)), "what came in");

            let answer = with_mss(Kind::SynAck, server, client, 1460);
            let (action, written) = fixture.egress_rewritten(1, &answer);
            assert_eq!((action, offered(&written)), (REDIRECT, (fits, true)), "what leaves");

            let modest = with_mss(Kind::SynAck, server, client, 536);
            let (_, written) = fixture.egress_rewritten(1, &modest);
            assert_eq!(offered(&written), (536, true), "nothing is raised");
        }
    });
}

/// The SYN was clamped, and moved here. Main's route, by whose size the host would answer, is another uplink's.
#[test]
fn what_the_host_opens_from_a_smaller_uplinks_address_is_answered_with_its_size() {
    with_fixture(|fixture| {
        let datapath = OwnSource::Datapath;
        fixture.uplinks[1].device.own_source = OwnSources { v4: datapath, v6: datapath };
        small_uplink(fixture);
        for (server, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let fits = if server.0.contains(':') { 1220 } else { 1240 };
            let accepts = with_mss(Kind::SynAck, server, owned, 1460);
            let (action, written) = fixture.ingress_rewritten(2, &accepts);
            assert_eq!((action, offered(&written)), (PASS, (fits, true)));
        }
    });
}

#[test]
fn uplinks_of_one_size_change_no_segment_size() {
    with_fixture(|fixture| {
        let syn = with_mss(Kind::Syn, CLIENT[0], SHARED[0], 9000);
        let (_, written) = fixture.ingress_rewritten(2, &syn);
        assert_eq!(offered(&written), (9000, true));
    });
}
