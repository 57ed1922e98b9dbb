//! Programs that only observe count what they would move, and leave every packet as it is.

use prroute::state::uplink::UplinkId;
use prroute_common::reason::Reason;

use super::fixture::{Fixture, PASS, REDIRECT, with};
use super::frames::{Kind, frame, frame_with, with_mss};
use super::steering::{CLIENT, OWNED_2, SHARED};

/// Protocol, address, port and packets of what left by uplink 1 and belongs on 2.
fn services(fixture: &Fixture) -> Vec<(u8, String, u16, u64)> {
    let all = fixture.wrong_uplinks();
    assert!(all.iter().all(|it| (it.left_by, it.belongs_on) == (UplinkId(1), UplinkId(2))));
    let mut services: Vec<_> =
        all.iter().map(|it| (it.protocol, it.address.to_string(), it.port, it.packets)).collect();
    services.sort();
    services
}

/// Sends a packet out of uplink 1, which must pass as it is.
fn passes(fixture: &mut Fixture, packet: &[u8]) {
    assert_eq!(fixture.egress_rewritten(1, packet), (PASS, packet.to_vec()));
}

#[test]
fn a_reply_that_belongs_on_another_uplink_is_counted_and_passes_as_it_is() {
    with(Fixture::observing, |fixture| {
        for (client, server) in
            CLIENT.into_iter().zip(SHARED).chain(CLIENT.into_iter().zip(OWNED_2))
        {
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, server)), PASS);
            passes(fixture, &frame(Kind::SynAck, server, client));
            assert_eq!(
                fixture.egress(2, &frame(Kind::SynAck, server, client)),
                PASS,
                "the right one"
            );
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, server)), PASS);
            for _ in 0..3 {
                passes(fixture, &frame(Kind::Udp, server, client));
            }
            assert_eq!(fixture.ingress(2, &frame(Kind::EchoRequest, client, server)), PASS);
            passes(fixture, &frame(Kind::EchoReply, (server.0, client.1), client));
        }
        let servers = [SHARED, OWNED_2].concat();
        let mut expected: Vec<_> = servers
            .iter()
            .flat_map(|(address, port)| {
                let ping = if address.contains(':') { 58 } else { 1 };
                let of = |protocol, port, packets| (protocol, (*address).to_owned(), port, packets);
                [of(6, *port, 1), of(17, *port, 3), of(ping, 0, 1)]
            })
            .collect();
        expected.sort();
        assert_eq!(services(fixture), expected);
        assert_eq!(fixture.count(2, Reason::WrongUplink), 20);
        assert_eq!(fixture.count(2, Reason::Redirected), 0, "nothing is moved");
    });
}

#[test]
fn a_containers_reply_is_counted_by_its_published_address() {
    with(Fixture::observing, |fixture| {
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            assert_eq!(fixture.ingress(2, &frame(Kind::Syn, client, shared)), PASS);
            assert_eq!(fixture.egress_forwarded(1, &frame(Kind::SynAck, shared, client)), PASS);
            // Without a record its address tells.
            let (client, owned) = (("198.51.100.77", 5), OWNED_2[0]);
            assert_eq!(fixture.egress_forwarded(1, &frame(Kind::Ack, owned, client)), PASS);
        }
        let tcp = |(address, port): (&str, u16), packets| (6, address.to_owned(), port, packets);
        let expected = [tcp(OWNED_2[0], 2), tcp(SHARED[0], 1), tcp(SHARED[1], 1)];
        assert_eq!(services(fixture), expected);
    });
}

#[test]
fn no_segment_size_is_clamped_and_no_sender_is_told() {
    with(Fixture::observing, |fixture| {
        fixture.uplinks[1].device.mtu = 1280;
        fixture.sync();
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            let syn = with_mss(Kind::Syn, client, shared, 1460);
            let (action, written) = fixture.ingress_rewritten(2, &syn);
            assert_eq!((action, &written[6..]), (PASS, &syn[6..]));
            passes(fixture, &with_mss(Kind::SynAck, shared, client, 1460));
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, shared)), PASS);
            passes(fixture, &frame_with(Kind::Udp, shared, client, &[7; 1400]));
        }
        assert_eq!(fixture.count(2, Reason::SenderTold), 0);
        assert_eq!(fixture.count(2, Reason::TooBig), 2);
        assert_eq!(fixture.count(2, Reason::WrongUplink), 4);
    });
}

#[test]
fn an_uplink_that_is_down_drops_nothing() {
    with(Fixture::observing, |fixture| {
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, shared)), PASS);
        }
        (fixture.uplinks[1].device.up, fixture.uplinks[1].device.hold) = (false, true);
        fixture.sync();
        for (client, shared) in CLIENT.into_iter().zip(SHARED) {
            passes(fixture, &frame(Kind::Udp, shared, client));
        }
        assert_eq!(services(fixture), []);
        assert_eq!(fixture.count(2, Reason::UplinkDown), 2);
    });
}

#[test]
fn flows_that_were_observed_are_moved_by_programs_that_enforce() {
    with(Fixture::observing, |fixture| {
        let (client, shared) = (CLIENT[0], SHARED[0]);
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, client, shared)), PASS);
        passes(fixture, &frame(Kind::Udp, shared, client));
        fixture.enforce();
        assert_eq!(fixture.egress(1, &frame(Kind::Udp, shared, client)), REDIRECT);
        assert_eq!(fixture.count(2, Reason::WrongUplink), 1);
    });
}
