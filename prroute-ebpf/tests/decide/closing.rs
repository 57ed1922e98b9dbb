//! When a connection has closed, and who cannot make it seem so.

use prroute_common::flow::{CLOSED_IDLE, Flow, TCP_IDLE, TCP_REBIND_IDLE};
use prroute_ebpf::decide::fast::{Entry, FastIn, FastOut, decide_inbound, decide_outbound};
use prroute_ebpf::decide::{
    FlowEntry, Inbound, InboundPacket, Outbound, OutboundPacket, Write, inbound, outbound,
};
use prroute_ebpf::wire::parse::{Kind, Numbers, TcpFlags, protocol};

use crate::{ELSEWHERE, HERE, NOW, arrival, departure, flow, known};

/// The host has sent up to 9000, of which 8000 was acknowledged, and received up to 500.
fn connection() -> Flow {
    let flow = flow(HERE, 1).with_last_out(NOW - 1);
    flow.with_sent(9000).with_heard(8000).with_received(500)
}

fn remote(kind: Kind, fin: bool, sequence: u32, acknowledgement: Option<u32>) -> InboundPacket {
    let packet = arrival(kind, acknowledgement);
    InboundPacket {
        tcp: Numbers {
            sequence,
            flags: TcpFlags::new(packet.tcp.acknowledges(), fin),
            ..packet.tcp
        },
        ..packet
    }
}

fn host(kind: Kind, fin: bool, sequence: u32, payload: u32) -> OutboundPacket {
    let mut packet = departure(kind, sequence, payload);
    packet.tcp.acknowledgement = 500;
    packet.tcp.flags = TcpFlags::new(packet.tcp.acknowledges(), fin);
    packet
}

fn after_remote(before: Flow, packet: &InboundPacket) -> Flow {
    match inbound(packet, known(before, true), true) {
        Inbound::Refresh(flow) => flow,
        other => panic!("{packet:?}: {other:?}"),
    }
}

fn after_host(before: Flow, packet: &OutboundPacket) -> Flow {
    match outbound(packet, known(before, true)) {
        Outbound::Reply { uplink: HERE, write: Write::Refresh(flow), .. } => flow,
        Outbound::Reply { uplink: HERE, write: Write::Nothing, .. } => before,
        other => panic!("{packet:?}: {other:?}"),
    }
}

fn is_over(flow: Flow, idle: u32) -> bool {
    FlowEntry::new(flow, true, protocol::TCP, NOW + idle).unwrap().is_aged
}

#[test]
fn a_connection_has_closed_when_both_ends_have_whoever_is_first() {
    let remote_fin = remote(Kind::Tcp, true, 500, Some(9000));
    let host_fin = host(Kind::Tcp, true, 9000, 0);
    let half = after_remote(connection(), &remote_fin);
    assert!(!half.is_closed() && !is_over(half, TCP_IDLE));
    let closed = after_host(half, &host_fin);
    assert!(closed.is_closed());
    let half = after_host(connection(), &host_fin);
    assert!(!half.is_closed() && !is_over(half, TCP_IDLE));
    // Acknowledges the host's FIN, too.
    let closed = after_remote(half, &remote(Kind::Tcp, true, 500, Some(9001)));
    assert!(closed.is_closed());
    assert!(!is_over(closed, CLOSED_IDLE) && is_over(closed, CLOSED_IDLE + 1));
}

#[test]
fn the_last_segments_of_a_closed_connection_leave_by_its_uplink_and_leave_it_closed() {
    let closed = after_remote(
        after_host(connection(), &host(Kind::Tcp, true, 9000, 0)),
        &remote(Kind::Tcp, true, 500, Some(9000)),
    );
    for last in [
        // An acknowledgement, the FIN again, data before it again, both again, the answer to what comes late.
        host(Kind::Tcp, false, 9001, 0),
        host(Kind::Tcp, true, 9000, 0),
        host(Kind::Tcp, false, 8000, 1000),
        host(Kind::Tcp, true, 8000, 1000),
        host(Kind::TcpReset, false, 9001, 0),
    ] {
        assert!(after_host(closed, &last).is_closed(), "{last:?}");
    }
    let acknowledged = after_host(closed, &host(Kind::Tcp, false, 9001, 0));
    let again = after_remote(acknowledged, &remote(Kind::Tcp, true, 499, Some(9001)));
    assert!(again.is_closed() && again.last_in() == NOW);
}

#[test]
fn a_reset_ends_a_connection_where_its_receiver_takes_it() {
    for packet in [
        remote(Kind::TcpReset, false, 500, None),
        remote(Kind::TcpReset, false, 500, Some(9000)),
        // Behind data that the host has not acknowledged yet.
        remote(Kind::TcpReset, false, 700, Some(9000)),
    ] {
        assert!(after_remote(connection(), &packet).is_closed(), "{packet:?}");
    }
    for sequence in [9000, 9001, 8000] {
        let packet = host(Kind::TcpReset, false, sequence, 0);
        let after = after_host(connection(), &packet);
        assert!(after.is_closed() && after.last_out() == NOW, "{sequence}");
    }
    for sequence in [0, 7999, 8500, 9002] {
        let packet = host(Kind::TcpReset, false, sequence, 0);
        assert_eq!(after_host(connection(), &packet), connection(), "{sequence}");
    }
}

/// Of the numbers of a FIN the same count as of what moves a connection.
#[test]
fn a_forged_end_counts_for_nothing() {
    let half = after_host(connection(), &host(Kind::Tcp, true, 9000, 0));
    for (sequence, acknowledgement) in [
        (500, None),
        (500, Some(7999)),
        (500, Some(9002)),
        (501, Some(8500)),
        (3_000_000, Some(9000)),
        (0, Some(0)),
    ] {
        let fin = remote(Kind::Tcp, true, sequence, acknowledgement);
        assert!(!after_remote(half, &fin).is_closed(), "{fin:?}");
    }
    for (sequence, acknowledgement) in [(499, None), (501, None), (0, None), (700, Some(8500))] {
        let reset = remote(Kind::TcpReset, false, sequence, acknowledgement);
        assert!(!after_remote(connection(), &reset).is_closed(), "{reset:?}");
    }
    let unconfirmed = known(connection(), false);
    let early = inbound(&remote(Kind::TcpReset, false, 500, None), unconfirmed, true);
    assert!(matches!(early, Inbound::Refresh(flow) if !flow.is_closed()), "{early:?}");
    // On another uplink than the flow's nothing counts while that lives.
    let there = flow(ELSEWHERE, 1).with_sent(9000).with_heard(8000).with_received(500);
    for packet in
        [remote(Kind::Tcp, true, 500, Some(9000)), remote(Kind::TcpReset, false, 500, None)]
    {
        let verdict = inbound(&packet, known(there, true), true);
        assert_eq!(verdict, Inbound::RefuseRebind, "{packet:?}");
    }
}

#[test]
fn a_connection_that_goes_on_is_not_closed() {
    let reset = after_remote(connection(), &remote(Kind::TcpReset, false, 500, None));
    let after = after_host(reset, &host(Kind::Tcp, false, 9000, 100));
    assert!(!after.is_closed() && !after.has_local_fin() && !is_over(after, TCP_IDLE));
    // Nor is a later one on its ports, ...
    let accepted = after_host(reset, &host(Kind::TcpAnswer, false, 70_000, 0));
    assert!(!accepted.is_closed());
    // ... whose FIN is not the older one's.
    let other = after_host(connection(), &host(Kind::Tcp, true, 3_000_000_000, 0));
    assert!(!other.has_local_fin());
}

#[test]
fn a_client_that_closes_over_another_uplink_is_heard_there() {
    let half = after_host(connection(), &host(Kind::Tcp, true, 9000, 0));
    let late = InboundPacket {
        here: ELSEWHERE,
        now: NOW + TCP_REBIND_IDLE,
        ..remote(Kind::Tcp, true, 500, Some(9001))
    };
    let moved = inbound(&late, known(half, true), true);
    assert!(matches!(moved, Inbound::Rebind(flow) if flow.is_closed()), "{moved:?}");
}

/// A download goes on at full speed when its client has nothing more to say.
#[test]
fn only_the_host_that_has_closed_leaves_the_fast_path() {
    let entry = |flow| Entry { flow, confirmed: true, protocol: protocol::TCP };
    let data = host(Kind::Tcp, false, 9000, 100);
    let half = after_remote(connection(), &remote(Kind::Tcp, true, 500, Some(9000)));
    let fast = decide_outbound(&data, &entry(&half));
    assert!(matches!(fast, FastOut::Reply { uplink: HERE, .. }), "{fast:?}");
    assert_eq!(decide_outbound(&host(Kind::Tcp, true, 9000, 0), &entry(&half)), FastOut::SlowPath);
    let closing = connection().with_local_fin();
    assert_eq!(decide_outbound(&data, &entry(&closing)), FastOut::SlowPath);
    let segment = remote(Kind::Tcp, false, 500, Some(9000));
    let fast = decide_inbound(&segment, &entry(&closing), false);
    assert!(matches!(fast, FastIn::Write(_)), "{fast:?}");
    let fin = remote(Kind::Tcp, true, 500, Some(9000));
    assert_eq!(decide_inbound(&fin, &entry(&closing), false), FastIn::SlowPath);
}
