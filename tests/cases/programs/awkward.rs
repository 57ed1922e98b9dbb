//! Packets that must not confuse anybody: each passes, and where it matters is counted.

use prroute_common::reason::Reason;

use super::fixture::{PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame, frame_with};

const CLIENT: (&str, u16) = ("203.0.113.9", 40_000);
const SHARED: (&str, u16) = ("192.0.2.80", 443);
const ETHERNET: usize = 14;

#[test]
fn a_frame_for_another_host_is_not_looked_at() {
    with_fixture(|fixture| {
        let mut request = frame(Kind::Syn, CLIENT, SHARED);
        request[..6].copy_from_slice(&[2, 9, 9, 9, 9, 9]);
        assert_eq!(fixture.ingress(2, &request), PASS);
        request[..6].copy_from_slice(&[0xff; 6]);
        assert_eq!(fixture.ingress(2, &request), PASS);
        assert!(fixture.flows().is_empty());
    });
}

#[test]
fn tagged_frames_belong_to_the_vlan_device_above() {
    with_fixture(|fixture| {
        for tag_type in [[0x81, 0x00], [0x88, 0xa8]] {
            let whole = frame(Kind::Syn, CLIENT, SHARED);
            let mut tagged = whole[..12].to_vec();
            tagged.extend(tag_type);
            tagged.extend([0, 42]);
            tagged.extend(&whole[12..]);
            assert_eq!(fixture.ingress(2, &tagged), PASS);
            assert_eq!(fixture.egress(1, &tagged), PASS);
        }
        assert_eq!(fixture.count(2, Reason::Tagged), 2);
        assert_eq!(fixture.count(1, Reason::Tagged), 2);
        assert!(fixture.flows().is_empty());
    });
}

#[test]
fn truncated_and_lying_headers_are_counted_passes() {
    with_fixture(|fixture| {
        let whole = frame(Kind::Syn, CLIENT, SHARED);
        let mut expected = 0;
        for length in [ETHERNET + 20, ETHERNET + 39] {
            assert_eq!(fixture.ingress(2, &whole[..length]), PASS, "{length} bytes");
            expected += 1;
        }
        for (offset, byte) in [(ETHERNET, 0x44), (ETHERNET, 0x65), (ETHERNET, 0x4f)] {
            let mut lying = frame(Kind::Udp, CLIENT, SHARED);
            lying.truncate(ETHERNET + 28);
            lying[offset] = byte;
            assert_eq!(fixture.ingress(2, &lying), PASS);
            expected += 1;
        }
        assert_eq!(fixture.count(2, Reason::Unparsable), expected);
        assert!(fixture.flows().is_empty());
    });
}

#[test]
fn fragments_and_icmp_errors_are_counted_and_open_nothing() {
    with_fixture(|fixture| {
        let mut first = frame(Kind::Udp, CLIENT, SHARED);
        first[ETHERNET + 6] = 0x20;
        let mut later = frame(Kind::Udp, CLIENT, SHARED);
        later[ETHERNET + 7] = 0x40;
        for fragment in [first, later] {
            assert_eq!(fixture.ingress(2, &fragment), PASS);
            assert_eq!(fixture.egress(1, &fragment), PASS);
        }
        assert_eq!(fixture.count(2, Reason::Fragment), 2);
        assert_eq!(fixture.count(1, Reason::Fragment), 2);

        let mut unreachable = frame(Kind::EchoRequest, CLIENT, SHARED);
        unreachable[ETHERNET + 20] = 3;
        assert_eq!(fixture.ingress(2, &unreachable), PASS);
        assert_eq!(fixture.count(2, Reason::IcmpError), 1);
        assert!(fixture.flows().is_empty());
    });
}

#[test]
fn a_reply_larger_than_the_target_takes_is_left_to_the_kernel() {
    with_fixture(|fixture| {
        fixture.uplinks[1].device.mtu = 1280;
        fixture.sync();
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, CLIENT, SHARED)), PASS);
        let reply = |payload| frame_with(Kind::Udp, SHARED, CLIENT, &vec![0; payload]);
        assert_eq!(fixture.egress(1, &reply(1280 - 28)), REDIRECT, "just fits");
        assert_eq!(fixture.egress(1, &reply(1280 - 27)), PASS);
        assert_eq!(fixture.count(2, Reason::TooBig), 1);
    });
}

#[test]
fn a_super_packet_is_measured_by_its_segments() {
    with_fixture(|fixture| {
        assert_eq!(fixture.ingress(2, &frame(Kind::Syn, CLIENT, SHARED)), PASS);
        let large = frame_with(Kind::Ack, SHARED, CLIENT, &vec![0; 2920]);
        assert_eq!(fixture.egress(1, &large), PASS, "not a super-packet: too big");
        assert_eq!(fixture.egress_gso(1, &large, 1460), REDIRECT);
        assert_eq!(fixture.egress_gso(1, &large, 1461), PASS);
        assert_eq!(fixture.count(2, Reason::TooBig), 2);
    });
}

#[test]
fn protocols_that_are_neither_ip_version_pass_uncounted() {
    with_fixture(|fixture| {
        let mut arp = frame(Kind::Udp, CLIENT, SHARED);
        arp[12..14].copy_from_slice(&[0x08, 0x06]);
        assert_eq!(fixture.ingress(2, &arp), PASS);
        assert_eq!(fixture.egress(1, &arp), PASS);
        for reason in Reason::ALL {
            assert_eq!(fixture.count(1, *reason) + fixture.count(2, *reason), 0);
        }
    });
}

#[test]
fn a_table_that_is_full_of_other_flows_loses_no_packet() {
    with_fixture(|fixture| {
        let capacity = 4096u32;
        for number in 0..capacity * 3 {
            let [_, a, b, c] = number.to_be_bytes();
            let client = format!("198.{}.{b}.{c}", 18 + a);
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, (&client, 9), SHARED)), PASS);
        }
        assert!(fixture.flows().len() as u32 <= capacity);
        assert_eq!(fixture.count(2, Reason::TableFull), 0, "the oldest made room");
        assert_eq!(fixture.ingress(2, &frame(Kind::Syn, CLIENT, SHARED)), PASS);
        assert_eq!(fixture.egress(1, &frame(Kind::SynAck, SHARED, CLIENT)), REDIRECT);
    });
}
