//! When a flow moves to another uplink, and when it stays.

use prroute_common::flow::{OTHER_REBIND_IDLE, TCP_REBIND_IDLE};
use prroute_ebpf::parse::Kind;
use prroute_ebpf::verdict::{Inbound, inbound};

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

#[test]
fn a_silent_connection_moves_only_for_who_knows_its_numbers() {
    let silent = flow(ELSEWHERE, TCP_REBIND_IDLE * 10).with_sent(9000).with_heard(8000);
    for (number, moves) in
        [(7999, false), (8000, true), (8500, true), (9001, true), (9002, false), (0, false)]
    {
        let verdict = inbound(&arrival(Kind::Tcp, Some(number)), known(silent, true), true);
        assert_eq!(matches!(verdict, Inbound::Rebind(_)), moves, "{number}: {verdict:?}");
    }
    for kind in [Kind::TcpReset, Kind::TcpAnswer] {
        let verdict = inbound(&arrival(kind, Some(8500)), known(silent, true), true);
        assert_eq!(verdict, Inbound::RefuseRebind, "{kind:?}");
    }
    let syn = inbound(&arrival(Kind::TcpOpening, None), known(silent, true), true);
    assert_eq!(syn, Inbound::Open(flow(HERE, 0)), "beside it, unconfirmed");
    let recent = flow(ELSEWHERE, TCP_REBIND_IDLE - 1).with_sent(9000).with_heard(8000);
    let verdict = inbound(&arrival(Kind::Tcp, Some(8500)), known(recent, true), true);
    assert_eq!(verdict, Inbound::RefuseRebind);
}

#[test]
fn a_connection_whose_uplink_is_down_moves_at_once_for_who_knows_its_numbers() {
    let live = flow(ELSEWHERE, 0).with_sent(9000).with_heard(8000);
    let moved = inbound(&arrival(Kind::Tcp, Some(8500)), known(live, true), false);
    let Inbound::Rebind(moved) = moved else { panic!("{moved:?}") };
    assert_eq!((moved.uplink(), moved.heard(), moved.sent()), (1, Some(8500), Some(9000)));
    let guessed = inbound(&arrival(Kind::Tcp, Some(1)), known(live, true), false);
    assert_eq!(guessed, Inbound::RefuseRebind);
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
