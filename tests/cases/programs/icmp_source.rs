//! ICMP errors of the host itself, about packets that came in over another uplink than the one they leave by:
//! one that is moved gets a source of its uplink, one that stays is not touched.

use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket};
use prroute_common::reason::Reason;

use super::fixture::{Fixture, PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame, frame_with};
use super::steering::{CLIENT, OWNED_1, OWNED_2, SHARED};

const ETHERNET: usize = 14;

/// That the time of a packet is over, in the name of uplink 1.
fn time_exceeded((sender, _): (&str, u16), client: (&str, u16), server: (&str, u16)) -> Vec<u8> {
    let quoted = frame(Kind::Udp, client, server)[ETHERNET..].to_vec();
    let mut error = frame_with(Kind::EchoRequest, (sender, 0), (client.0, 0), &quoted);
    let (icmp, kind) = if sender.contains(':') { (ETHERNET + 40, 3) } else { (ETHERNET + 20, 11) };
    error[icmp..icmp + 2].copy_from_slice(&[kind, 0]);
    error
}

fn source(frame: &[u8]) -> IpAddr {
    match SlicedPacket::from_ethernet(frame).unwrap().net.unwrap() {
        NetSlice::Ipv4(ip) => ip.header().source_addr().into(),
        NetSlice::Ipv6(ip) => ip.header().source_addr().into(),
        NetSlice::Arp(_) => panic!("not IP"),
    }
}

/// What becomes of an error that uplink 1 is about to send.
struct Sent {
    before: Vec<u8>,
    action: i32,
    after: Vec<u8>,
}

type Spoil = fn(&mut Fixture);

/// An error of each family.
fn errors(fixture: &mut Fixture) -> Vec<Sent> {
    let mut errors = Vec::new();
    for ((client, shared), sender) in CLIENT.into_iter().zip(SHARED).zip(OWNED_1) {
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, shared)), PASS);
        let before = time_exceeded(sender, client, shared);
        let (action, after) = fixture.egress_rewritten(1, &before);
        errors.push(Sent { before, action, after });
    }
    errors
}

#[test]
fn an_error_that_is_moved_has_a_source_of_its_uplink() {
    with_fixture(|fixture| {
        for (Sent { before, action, after }, owned) in errors(fixture).into_iter().zip(OWNED_2) {
            assert_eq!(action, REDIRECT);
            assert_eq!(source(&after), owned.0.parse::<IpAddr>().unwrap());
            assert_eq!(after.len(), before.len());
        }
    });
}

#[test]
fn an_error_that_cannot_be_moved_keeps_the_source_that_the_kernel_gave_it() {
    let spoil: [(Reason, Spoil); 3] = [
        (Reason::NoNextHop, |fixture| {
            fixture.uplinks[1].device.way_out.v4.resolved = false;
            fixture.uplinks[1].device.way_out.v6.resolved = false;
        }),
        (Reason::UplinkDown, |fixture| fixture.uplinks[1].device.up = false),
        (Reason::TooBig, |fixture| fixture.uplinks[1].device.mtu = 80),
    ];
    for (reason, spoil) in spoil {
        with_fixture(move |fixture| {
            spoil(fixture);
            fixture.sync();
            for Sent { before, action, after } in errors(fixture) {
                assert_eq!(action, PASS, "{reason:?}");
                assert_eq!(before, after, "{reason:?}");
            }
            assert_eq!(fixture.count(2, reason), 2, "{reason:?}");
        });
    }
}
