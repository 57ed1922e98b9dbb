//! What an entry says, and what of it is worth writing.

use prroute_common::flow::{Flow, OTHER_IDLE, Origin, SEEN_REFRESH, TCP_IDLE, UNCONFIRMED_IDLE};
use prroute_ebpf::decide::{FlowEntry, worth_writing};
use prroute_ebpf::wire::parse::protocol;

use crate::{ELSEWHERE, HERE, NOW, flow, own};

#[test]
fn an_entry_ages_and_one_that_is_not_ours_is_none() {
    for (confirmed, protocol, limit) in [
        (true, protocol::TCP, TCP_IDLE),
        (true, protocol::UDP, OTHER_IDLE),
        (false, protocol::TCP, UNCONFIRMED_IDLE),
        (false, protocol::UDP, UNCONFIRMED_IDLE),
    ] {
        let is_aged =
            |idle| FlowEntry::new(flow(ELSEWHERE, idle), confirmed, protocol, NOW).unwrap().is_aged;
        assert!(!is_aged(limit) && is_aged(limit + 1));
    }
    let late = FlowEntry::new(own(HERE, OTHER_IDLE), false, protocol::UDP, NOW).unwrap();
    assert!(!late.is_aged, "a late answer meets the record of its question");
    assert!(FlowEntry::new(Flow::default(), true, protocol::TCP, NOW).is_none());
}

#[test]
fn a_flow_keeps_each_fact_in_its_bits() {
    let flow = Flow::inbound(255, u16::MAX, 0xffff_fffe)
        .with_last_out(0xabcd_ef01)
        .with_heard(u32::MAX)
        .with_sent(7)
        .with_received(0x8765_4321)
        .with_router(0xffff_ffff_ffff)
        .with_socket(false);
    assert_eq!(flow.origin(), Some(Origin::Inbound));
    assert_eq!((flow.uplink(), flow.generation()), (255, u16::MAX));
    assert_eq!((flow.last_in(), flow.last_out()), (0xffff_fffe, 0xabcd_ef01));
    assert_eq!((flow.heard(), flow.sent()), (Some(u32::MAX), Some(7)));
    assert_eq!(flow.received(), Some(0x8765_4321));
    assert_eq!(flow.router(), 0xffff_ffff_ffff);
    assert!(flow.is_answered() && flow.has_no_socket());
    assert!(!flow.with_socket(true).has_no_socket());
    let moved = flow.rebound(3, 4, 5);
    assert_eq!((moved.uplink(), moved.generation(), moved.last_in()), (3, 4, 5));
    assert_eq!((moved.sent(), moved.received()), (Some(7), Some(0x8765_4321)));
    assert_eq!((moved.router(), moved.last_out()), (0, 0xabcd_ef01));
    let void = flow.without_numbers();
    assert_eq!((void.heard(), void.sent(), void.received()), (None, None, None));
    assert_eq!(void.generation(), u16::MAX);
    let finished = moved.with_socket(true).with_local_fin();
    assert!(finished.has_local_fin() && !finished.is_closed() && !finished.is_open_and_answered());
    let closed = finished.with_remote_fin();
    assert!(closed.is_closed() && closed.rebound(4, 5, 6).is_closed());
    assert_eq!((closed.sent(), closed.router(), closed.uplink()), (Some(7), 0, 3));
    assert!(!closed.without_numbers().is_closed(), "another connection");
    assert_eq!(closed.without_fins(), moved.with_socket(true));
    let own = Flow::by_host(255, 7, 9).with_last_out(10).with_last_in(11);
    assert_eq!((own.opened_at(), own.last_out(), own.last_in()), (9, 10, 11));
    assert_eq!((own.heard(), own.sent(), own.received()), (None, None, None));
}

#[test]
fn a_slightly_later_time_alone_is_not_written() {
    let old = flow(HERE, SEEN_REFRESH);
    assert_eq!(worth_writing(&old, &old.with_last_in(NOW - 1)), old);
    let later = old.with_last_in(NOW);
    assert_eq!(worth_writing(&old, &later), later);
    for new in [old.with_heard(1), old.with_router(1)] {
        assert_eq!(worth_writing(&old, &new), new);
        assert_eq!(worth_writing(&old, &new.with_last_in(NOW - 1)), new);
    }
}
