//! Segments and forwarded replies without a record: they leave by the owner of their source.

use prroute::config::Reply;
use prroute_common::flow::TCP_IDLE;
use prroute_common::reason::Reason;
use prroute_common::time::seconds;

use super::fixture::{PASS, REDIRECT, with_fixture};
use super::frames::{Kind, frame};
use super::steering::{CLIENT, OWNED_2};

#[test]
fn a_forwarded_reply_without_a_record_leaves_by_the_owner_of_its_source() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            for kind in [Kind::Ack, Kind::SynAck, Kind::Udp] {
                let answer = frame(kind, owned, client);
                assert_eq!(fixture.egress_forwarded(1, &answer), REDIRECT, "{kind:?}");
                assert_eq!(fixture.egress_forwarded(2, &answer), PASS, "on the owner");
            }
            assert_eq!(fixture.egress_forwarded(1, &frame(Kind::Syn, owned, client)), PASS);
        }
        assert_eq!(fixture.count(2, Reason::RedirectedToOwner), 6);
    });
}

/// R1: main may get a more specific route over another uplink at any age of a connection.
#[test]
fn a_local_segment_without_a_record_leaves_by_the_owner_of_its_source() {
    with_fixture(|fixture| {
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            for kind in [Kind::Ack, Kind::SynAck] {
                assert_eq!(fixture.egress(1, &frame(kind, owned, client)), REDIRECT, "{kind:?}");
            }
            for kind in [Kind::Udp, Kind::EchoReply] {
                assert_eq!(fixture.egress(1, &frame(kind, owned, client)), PASS, "{kind:?}");
            }
        }
        assert_eq!(fixture.count(2, Reason::RedirectedToOwner), 4);
    });
    // A connection that the host opened over another uplink than the owner's has a record, which lives
    // as long as the connection, wherever its answers come in.
    with_fixture(|fixture| {
        for (server, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let (server, owned) = ((server.0, 443), (owned.0, 40_000));
            assert_eq!(fixture.egress(1, &frame(Kind::Syn, owned, server)), PASS);
            assert_eq!(fixture.egress(1, &frame(Kind::Ack, owned, server)), PASS);
            // Well before its end: a guest of QEMU takes its time.
            fixture.age(TCP_IDLE - seconds(60));
            assert_eq!(fixture.egress(1, &frame(Kind::Ack, owned, server)), PASS);
        }
        assert_eq!(fixture.count(2, Reason::RedirectedToOwner), 0);
    });
}

/// Nothing is recorded there, neither of what comes in nor of what the host opens.
#[test]
fn a_segment_of_the_host_stays_on_an_uplink_whose_replies_are_left_alone() {
    with_fixture(|fixture| {
        fixture.uplinks[0].device.reply = Reply::Off;
        fixture.sync();
        for (client, owned) in CLIENT.into_iter().zip(OWNED_2) {
            let segment = frame(Kind::Ack, owned, client);
            assert_eq!(fixture.egress(1, &segment), PASS);
            assert_eq!(fixture.egress_forwarded(1, &segment), REDIRECT, "a guest's");
        }
    });
}
