//! When a flow moves to another uplink, and when it stays.

use prroute_common::flow::{Flow, OTHER_REBIND_IDLE, TCP_REBIND_IDLE};
use prroute_ebpf::decide::{Inbound, InboundPacket, inbound};
use prroute_ebpf::wire::parse::{Kind, Numbers, TcpFlags};

use crate::{ELSEWHERE, HERE, KINDS, NOW, arrival, flow, known};

#[test]
fn a_live_flow_stays_on_its_uplink_while_that_is_up() {
    for kind in KINDS {
        for confirmed in [false, true] {
            let live = known(flow(ELSEWHERE, 0), confirmed);
            let verdict = inbound(&arrival(kind, Some(1)), live, true);
            assert_eq!(verdict, Inbound::RefuseRebind, "{kind:?}");
        }
    }
}

/// Idle for so long; the host has sent up to 9000, of which 8000 was acknowledged, and received up
/// to 500.
fn silent(idle: u32) -> Flow {
    flow(ELSEWHERE, idle).with_sent(9000).with_heard(8000).with_received(500)
}

fn segment(kind: Kind, (sequence, acknowledgement): (u32, u32)) -> InboundPacket {
    let numbers = Numbers { sequence, acknowledgement, flags: TcpFlags::new(true, false) };
    InboundPacket { tcp: numbers, ..arrival(kind, None) }
}

#[test]
fn a_silent_connection_moves_only_for_who_knows_both_of_its_numbers() {
    const NEAR: u32 = 1 << 20;
    let silent = known(silent(TCP_REBIND_IDLE * 10), true);
    for (numbers, moves) in [
        // The next byte, keepalives: anything in flight may be acknowledged.
        ((500, 7999), false),
        ((500, 8000), true),
        ((500, 8500), true),
        ((500, 9001), true),
        ((500, 9002), false),
        ((499, 8500), true),
        // What is sent again, or is ahead: nothing but what was acknowledged, or all.
        ((400, 8500), false),
        ((400, 8000), true),
        ((400, 9000), true),
        ((400, 9001), true),
        ((400, 7999), false),
        ((600, 8000), true),
        ((600, 8500), false),
        ((500_u32.wrapping_sub(NEAR), 8000), true),
        ((499_u32.wrapping_sub(NEAR), 8000), false),
        ((499 + NEAR, 8000), true),
        ((500 + NEAR, 8000), false),
        ((0x8000_0000, 8500), false),
        ((0, 0), false),
    ] {
        let verdict = inbound(&segment(Kind::Tcp, numbers), silent, true);
        assert_eq!(matches!(verdict, Inbound::Rebind(_)), moves, "{numbers:?}: {verdict:?}");
    }
    for kind in [Kind::TcpReset, Kind::TcpAnswer] {
        let verdict = inbound(&segment(kind, (500, 8500)), silent, true);
        assert_eq!(verdict, Inbound::RefuseRebind, "{kind:?}");
    }
    let syn = inbound(&segment(Kind::TcpOpening, (77, 0)), silent, true);
    assert_eq!(syn, Inbound::Open(flow(HERE, 0).with_received(78)), "beside it, unconfirmed");
    let recent = known(self::silent(TCP_REBIND_IDLE - 1), true);
    let verdict = inbound(&segment(Kind::Tcp, (500, 8500)), recent, true);
    assert_eq!(verdict, Inbound::RefuseRebind);
}

#[test]
fn a_connection_whose_uplink_is_down_moves_at_once_for_who_knows_its_numbers() {
    let live = known(silent(0), true);
    let moved = inbound(&segment(Kind::Tcp, (500, 8500)), live, false);
    let Inbound::Rebind(moved) = moved else { panic!("{moved:?}") };
    assert_eq!((moved.uplink(), moved.heard(), moved.sent()), (1, Some(8500), Some(9000)));
    assert_eq!(moved.received(), Some(500));
    for guessed in [(500, 1), (1, 8500), (0x4000_0000, 9000)] {
        let verdict = inbound(&segment(Kind::Tcp, guessed), live, false);
        assert_eq!(verdict, Inbound::RefuseRebind, "{guessed:?}");
    }
    // Without numbers to compare with nobody proves anything; the host's next segment brings them.
    let numbers_void = known(flow(ELSEWHERE, 0), true);
    let verdict = inbound(&segment(Kind::Tcp, (500, 8500)), numbers_void, false);
    assert_eq!(verdict, Inbound::RefuseRebind);
}

/// What ADR 5 says of guesses, counted.
#[test]
fn a_proof_is_one_of_few_pairs_of_numbers() {
    const IN_FLIGHT: u32 = 473 * 1024;
    let stalled = flow(ELSEWHERE, TCP_REBIND_IDLE)
        .with_heard(1_000_000)
        .with_sent(1_000_000 + IN_FLIGHT)
        .with_received(5000);
    let moves = |numbers| {
        let verdict = inbound(&segment(Kind::Tcp, numbers), known(stalled, true), true);
        matches!(verdict, Inbound::Rebind(_))
    };
    // Of every acknowledgement inside what is in flight, two sequence numbers are right, ...
    let inside = 1_000_000 + IN_FLIGHT / 2;
    let around = (0..4_000_000_u32).filter(|offset| moves((*offset, inside))).count();
    assert_eq!(around, 2);
    // ... and of every sequence number nearby three acknowledgements.
    let near = (0..2 * IN_FLIGHT).filter(|offset| moves((6000, 900_000 + *offset))).count();
    assert_eq!(near, 3);
}

#[test]
fn an_idle_datagram_flow_follows_its_client() {
    let idle = |ticks| known(flow(ELSEWHERE, ticks), true);
    let arrival = arrival(Kind::Datagram, None);
    assert_eq!(inbound(&arrival, idle(OTHER_REBIND_IDLE), true), Inbound::Rebind(flow(HERE, 0)));
    assert_eq!(inbound(&arrival, idle(OTHER_REBIND_IDLE - 1), true), Inbound::RefuseRebind);
    assert_eq!(inbound(&arrival, idle(0), false), Inbound::Rebind(flow(HERE, 0)), "it is down");
}

#[test]
fn what_the_host_sends_keeps_no_dead_uplink_alive() {
    // The host goes on sending; the client has been silent on the recorded uplink for long.
    let flow = flow(ELSEWHERE, OTHER_REBIND_IDLE).with_last_out(NOW);
    let verdict = inbound(&arrival(Kind::Datagram, None), known(flow, true), true);
    assert!(matches!(verdict, Inbound::Rebind(_)), "{verdict:?}");
}
