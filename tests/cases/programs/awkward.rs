//! Packets that must not confuse anybody: each passes, and where it matters is counted.

use prroute_common::reason::Reason;

use super::fixture::{Fixture, PASS, REDIRECT, with_fixture};
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

/// A TCP connection to the shared address over uplink 2.
fn connect(fixture: &mut Fixture) {
    assert_eq!(fixture.ingress(2, &frame(Kind::Syn, CLIENT, SHARED)), PASS);
    assert_eq!(fixture.egress(1, &frame(Kind::SynAck, SHARED, CLIENT)), REDIRECT);
    assert_eq!(fixture.ingress(2, &frame(Kind::Ack, CLIENT, SHARED)), PASS);
    assert_eq!(fixture.count(2, Reason::Confirmed), 1);
}

/// The frame as a fragment: `offset` in units of eight bytes.
pub(super) fn fragment(mut frame: Vec<u8>, offset: u8, more: bool) -> Vec<u8> {
    frame[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&[0x12, 0x34]);
    frame[ETHERNET + 6] = if more { 0x20 } else { 0 };
    frame[ETHERNET + 7] = offset;
    frame
}

#[test]
fn later_fragments_follow_the_first() {
    with_fixture(|fixture| {
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, CLIENT, SHARED)), PASS);
        let reply = frame(Kind::Udp, SHARED, CLIENT);
        let later = fragment(reply.clone(), 64, false);
        assert_eq!(fixture.egress(1, &later), PASS, "it overtook the first");
        assert_eq!(fixture.count(1, Reason::FragmentOvertook), 1);
        assert_eq!(fixture.egress(1, &fragment(reply.clone(), 0, true)), REDIRECT);
        assert_eq!(fixture.egress(1, &fragment(reply, 64, true)), REDIRECT);
        assert_eq!(fixture.egress(1, &later), REDIRECT);
        assert_eq!(fixture.egress(2, &later), PASS, "on its uplink already");
        assert_eq!(fixture.count(1, Reason::FragmentOvertook), 1);
    });
}

#[test]
fn fragments_of_what_the_host_opened_stay_together_too() {
    with_fixture(|fixture| {
        let request = frame(Kind::Udp, SHARED, CLIENT);
        assert_eq!(fixture.egress(1, &fragment(request.clone(), 0, true)), PASS);
        assert_eq!(fixture.egress(1, &fragment(request, 64, false)), PASS);
        assert_eq!(fixture.count(1, Reason::FragmentOvertook), 0);
    });
}

#[test]
fn a_first_fragment_opens_a_flow_and_a_later_one_does_not() {
    with_fixture(|fixture| {
        let request = frame(Kind::Udp, CLIENT, SHARED);
        assert_eq!(fixture.ingress(2, &fragment(request.clone(), 64, false)), PASS);
        assert!(fixture.flows().is_empty());
        assert_eq!(fixture.ingress(2, &fragment(request, 0, true)), PASS);
        assert_eq!(fixture.flows().len(), 1);
    });
}

/// An ICMP error from `sender` about a packet that `to` sent to the shared address.
fn unreachable(sender: &str, to: (&str, u16)) -> Vec<u8> {
    let quoted = frame(Kind::Udp, to, SHARED)[ETHERNET..].to_vec();
    let mut error = frame_with(Kind::EchoRequest, (sender, 0), (to.0, 0), &quoted);
    error[ETHERNET + 20..ETHERNET + 22].copy_from_slice(&[3, 3]);
    error
}

#[test]
fn an_icmp_error_leaves_by_the_uplink_of_what_it_speaks_of() {
    with_fixture(|fixture| {
        let error = unreachable(SHARED.0, CLIENT);
        assert_eq!(fixture.egress(1, &error), PASS, "nothing is known of it");
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, CLIENT, SHARED)), PASS);
        assert_eq!(fixture.egress(1, &error), REDIRECT);
        assert_eq!(fixture.egress(2, &error), PASS);
        assert_eq!(fixture.flows().len(), 1);
    });
}

#[test]
fn an_icmp_error_that_comes_in_opens_nothing() {
    with_fixture(|fixture| {
        let mut error = unreachable("198.51.100.1", CLIENT);
        error[ETHERNET + 16..ETHERNET + 20].copy_from_slice(&[192, 0, 2, 80]);
        assert_eq!(fixture.ingress(2, &error), PASS);
        assert!(fixture.flows().is_empty());
    });
}

#[test]
fn a_super_packet_is_measured_by_its_segments() {
    with_fixture(|fixture| {
        connect(fixture);
        let large = frame_with(Kind::Ack, SHARED, CLIENT, &vec![0; 2920]);
        assert_eq!(fixture.egress(1, &large), REDIRECT);
        assert_eq!(fixture.count(2, Reason::SenderTold), 1, "not a super-packet: too big");
        assert_eq!(fixture.egress_gso(1, &large, 1460), REDIRECT);
        assert_eq!(fixture.count(2, Reason::SenderTold), 1);
        assert_eq!(fixture.egress_gso(1, &large, 1461), REDIRECT);
        assert_eq!(fixture.count(2, Reason::SenderTold), 2);
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
