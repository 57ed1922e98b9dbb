//! Packets that open no inbound flow and are not moved: the host's own, late segments, transit.

use prroute::config::Reply;
use prroute_common::reason::Reason;
use prroute_common::trace::Filter;

use super::awkward::fragment;
use super::fixture::{PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame};
use super::steering::{CLIENT, OWNED_1, SHARED};

#[test]
fn established_tcp_of_an_owned_address_is_not_recorded() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_1) {
            assert_eq!(fixture.ingress(1, &frame(Kind::Ack, client, owned)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Ack, owned, client)), PASS);
        }
        assert!(fixture.flows().is_empty());
    });
}

#[test]
fn what_the_host_opens_is_recorded_as_its_own_and_never_moved() {
    with_fixture(|fixture| {
        for (server, shared) in CLIENT.into_iter().zip(SHARED) {
            // The host asks from a client's port, and the server answers from one of services.
            let (server, shared) = ((server.0, shared.1), (shared.0, server.1));
            for kind in [Kind::Syn, Kind::Udp] {
                assert_eq!(fixture.egress(1, &frame(kind, shared, server)), PASS);
            }
            // The answers arrive on the other uplink.
            assert_eq!(fixture.ingress(2, &frame(Kind::SynAck, server, shared)), PASS);
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, server, shared)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Ack, shared, server)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Udp, shared, server)), PASS);
        }
        assert_eq!(fixture.count(1, Reason::OpenedByHost), 4);
        assert_eq!(fixture.count(2, Reason::OpenedInbound), 0);
        assert!(fixture.flows().iter().all(|flow| !flow.opened_inbound));
    });
}

#[test]
fn the_hosts_own_pings_record_nothing_and_meet_no_flow() {
    with_fixture(|fixture| {
        for (server, shared) in CLIENT.into_iter().zip(SHARED) {
            // The other end pings us with the identifier that we ping it with.
            let request = frame(Kind::EchoRequest, (shared.0, 7), server);
            assert_eq!(fixture.ingress(2, &frame(Kind::EchoRequest, (server.0, 7), shared)), PASS);
            assert_eq!(fixture.egress(1, &request), PASS);
            assert_eq!(fixture.ingress(1, &frame(Kind::EchoReply, (server.0, 7), shared)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::EchoReply, (shared.0, 7), server)), REDIRECT);
        }
        assert_eq!(fixture.flows().len(), 2);
    });
}

#[test]
fn late_segments_of_the_hosts_connections_open_nothing() {
    with_fixture(|fixture| {
        for (server, shared) in CLIENT.into_iter().zip(SHARED) {
            for kind in [Kind::SynAck, Kind::EchoReply] {
                assert_eq!(fixture.ingress(2, &frame(kind, server, shared)), PASS);
            }
        }
        assert!(fixture.flows().is_empty());
    });
}

#[test]
fn transit_is_neither_recorded_nor_moved() {
    with_fixture(|fixture| {
        for (from, to) in [("203.0.113.9", "198.51.100.7"), ("2001:db8:9::9", "2001:db8:7::7")] {
            for kind in [Kind::Syn, Kind::Ack, Kind::Udp, Kind::EchoRequest, Kind::EchoReply] {
                let packet = frame(kind, (from, 1), (to, 2));
                assert_eq!(fixture.ingress(1, &packet), PASS);
                assert_eq!(fixture.egress_transit(1, 2, &packet), PASS);
            }
        }
        assert!(fixture.flows().is_empty());
    });
}

#[test]
fn an_uplink_whose_replies_are_off_records_nothing() {
    with_fixture(|fixture| {
        fixture.uplinks[1].device.reply = Reply::Off;
        fixture.sync();
        assert_eq!(fixture.ingress(2, &frame(Kind::Syn, CLIENT[0], SHARED[0])), PASS);
        assert!(fixture.flows().is_empty());
    });
}

/// Somebody has asked on another segment in the name of everybody on this one: the kernel drops that, behind
/// the program.
#[test]
fn broadcasts_are_neither_recorded_nor_moved() {
    with_fixture(|fixture| {
        let (everybody, host) = (("10.0.1.255", 137), ("10.0.1.2", 137));
        assert_eq!(fixture.egress(1, &broadcast(frame(Kind::Udp, host, everybody))), PASS);
        assert!(fixture.flows().is_empty());
        assert_eq!(fixture.ingress(2, &frame(Kind::Udp, everybody, host)), PASS);
        for _ in 0..3 {
            assert_eq!(fixture.egress(1, &broadcast(frame(Kind::Udp, host, everybody))), PASS);
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, everybody, host)), PASS);
        }
        assert_eq!(fixture.count(2, Reason::Confirmed), 0);
        // What the kernel sends to one host, or to a gateway with a group's address, is moved.
        let mut reply = frame(Kind::Udp, host, everybody);
        reply[0] = 3;
        assert_eq!(fixture.egress(1, &reply), REDIRECT);
        let later = fragment(frame(Kind::Udp, host, everybody), 64, false);
        assert_eq!(fixture.egress(1, &fragment(reply, 0, true)), REDIRECT);
        assert_eq!(fixture.egress(1, &later), REDIRECT);
        let mut tracer = fixture.tracer(Filter::NONE);
        assert_eq!(fixture.egress(1, &broadcast(later)), PASS);
        let decision = tracer.next_packet().expect("a report").decision;
        assert_eq!(decision.target, None, "nothing of the packet before");
    });
}

fn broadcast(mut frame: Vec<u8>) -> Vec<u8> {
    frame[..6].copy_from_slice(&[0xff; 6]);
    frame
}

/// A tunnel of the kernel's sends from any port of clients, without a socket that could have been asked there.
/// In a test run no packet is a UDP socket's.
#[test]
fn a_datagram_from_a_clients_port_that_no_udp_socket_sends_was_not_asked_for() {
    with_fixture(|fixture| {
        for (peer, server) in CLIENT.into_iter().zip(SHARED) {
            let peer = (peer.0, 4789);
            let tunnel = (server.0, 40_001);
            for _ in 0..3 {
                assert_eq!(fixture.ingress(2, &frame(Kind::Udp, peer, tunnel)), PASS);
                assert_eq!(fixture.egress(1, &frame(Kind::Udp, tunnel, peer)), PASS);
            }
            // A guest's published port, and a service that is translated.
            let guest = (server.0, 40_002);
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, peer, guest)), PASS);
            assert_eq!(fixture.egress_forwarded(1, &frame(Kind::Udp, guest, peer)), REDIRECT);
            assert_eq!(fixture.ingress(2, &frame(Kind::Udp, peer, server)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Udp, server, peer)), REDIRECT);
        }
    });
}
