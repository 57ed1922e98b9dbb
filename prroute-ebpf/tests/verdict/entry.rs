//! What an entry says, and which datagrams add nothing to it.

use prroute_common::flow::{Flow, OTHER_IDLE, Origin, SEEN_REFRESH, TCP_IDLE, UNCONFIRMED_IDLE};
use prroute_common::time::MASK;
use prroute_ebpf::parse::protocol;
use prroute_ebpf::verdict::{
    Known, Place, Settled, is_settled_in, is_worth_writing, later_in, later_out, settled_out,
};

use crate::{ELSEWHERE, HERE, NOW, flow, own};

#[test]
fn an_entry_that_is_too_old_or_not_ours_is_none() {
    for (confirmed, protocol, limit) in [
        (true, protocol::TCP, TCP_IDLE),
        (true, protocol::UDP, OTHER_IDLE),
        (false, protocol::TCP, UNCONFIRMED_IDLE),
        (false, protocol::UDP, UNCONFIRMED_IDLE),
    ] {
        let entry = |idle| Known::from_entry(flow(ELSEWHERE, idle), confirmed, protocol, NOW);
        assert!(entry(limit).is_some() && entry(limit + 1).is_none());
    }
    let late = |idle| Known::from_entry(own(HERE, idle), false, protocol::UDP, NOW);
    assert!(late(OTHER_IDLE).is_some(), "a late answer meets the record of its question");
    assert!(Known::from_entry(Flow::default(), true, protocol::TCP, NOW).is_none());
}

#[test]
fn a_flow_keeps_each_fact_in_its_bits() {
    let flow = Flow::inbound(255, u16::MAX, 0xff_ffff)
        .with_last_out(0xab_cdef)
        .with_heard(u32::MAX)
        .with_sent(7)
        .with_router(0xffff_ffff_ffff);
    assert_eq!(flow.origin(), Some(Origin::Inbound));
    assert_eq!((flow.uplink(), flow.generation()), (255, u16::MAX));
    assert_eq!((flow.last_in(), flow.last_out()), (0xff_ffff, 0xab_cdef));
    assert_eq!((flow.heard(), flow.sent()), (Some(u32::MAX), Some(7)));
    assert_eq!(flow.router(), 0xffff_ffff_ffff);
    assert!(flow.is_answered());
    let moved = flow.rebound(3, 4, 5);
    assert_eq!((moved.uplink(), moved.generation(), moved.last_in()), (3, 4, 5));
    assert_eq!((moved.sent(), moved.router()), (Some(7), 0));
}

#[test]
fn a_slightly_later_time_alone_is_not_written() {
    let old = flow(HERE, SEEN_REFRESH);
    assert!(!is_worth_writing(&old, &old.with_last_in(NOW - 1)));
    assert!(is_worth_writing(&old, &old.with_last_in(NOW)));
    assert!(is_worth_writing(&old, &old.with_heard(1)));
    assert!(is_worth_writing(&old, &old.with_router(1)));
}

#[test]
fn a_settled_datagram_is_one_whose_flow_says_it_all_already() {
    let answered = |place, idle| flow(place, idle).with_last_out(NOW - idle);
    let out = |flow: &Flow| settled_out(flow, HERE, NOW);
    assert!(is_settled_in(&answered(HERE, 0), true, HERE, NOW));
    assert_eq!(out(&answered(HERE, 0)), Settled::Here);
    let own_elsewhere = own(ELSEWHERE, 0).with_last_in(NOW);
    assert!(is_settled_in(&own(HERE, 0).with_last_in(NOW), true, HERE, NOW));
    assert!(!is_settled_in(&own_elsewhere, true, HERE, NOW), "it exposes the address it is for");
    assert_eq!(out(&own(ELSEWHERE, 0).with_last_out(NOW)), Settled::Here);
    assert!(!is_settled_in(&answered(ELSEWHERE, 0), true, HERE, NOW), "the flow is elsewhere");
    assert_eq!(out(&answered(ELSEWHERE, 0)), Settled::At(ELSEWHERE));
    let another = Place { generation: 2, ..HERE };
    assert!(!is_settled_in(&answered(another, 0), true, HERE, NOW), "another device's");
    assert_eq!(out(&answered(another, 0)), Settled::At(another));
    for (flow, why) in [
        (answered(HERE, SEEN_REFRESH), "its stamps are old"),
        (answered(HERE, 0).with_router(1), "a router was noted"),
        (answered(ELSEWHERE, 0).with_router(1), "a router was noted elsewhere"),
        (Flow::default(), "no program wrote it"),
    ] {
        assert!(!is_settled_in(&flow, true, HERE, NOW), "{why}");
        assert_eq!(out(&flow), Settled::No, "{why}");
    }
    assert_eq!(out(&flow(HERE, 0)), Settled::No, "the first answer");
    // A while later only the time is new, unless it took so long that the flow is over.
    for idle in [SEEN_REFRESH, OTHER_IDLE] {
        let old = answered(HERE, idle);
        assert_eq!(later_in(&old, true, HERE, NOW), Some(old.with_last_in(NOW)));
        assert_eq!(later_out(&old, true, HERE, NOW), Some(old.with_last_out(NOW)));
    }
    for (flow, why) in [
        (answered(HERE, OTHER_IDLE + 1), "it is over"),
        (answered(ELSEWHERE, SEEN_REFRESH), "it is elsewhere"),
        (answered(another, SEEN_REFRESH), "another device's"),
        (answered(HERE, SEEN_REFRESH).with_router(1), "a router was noted"),
        (Flow::default(), "no program wrote it"),
    ] {
        assert_eq!(later_in(&flow, true, HERE, NOW), None, "{why}");
        assert_eq!(later_out(&flow, true, HERE, NOW), None, "{why}");
    }
    assert_eq!(later_out(&flow(HERE, SEEN_REFRESH), true, HERE, NOW), None, "the first answer");
    // A stamp of "never" lies ahead of a late clock, where differences are taken as 0.
    let late = MASK - 1;
    let never_in = Flow::by_host(HERE.uplink, HERE.generation, late).with_last_out(late);
    assert!(!is_settled_in(&never_in, true, HERE, late), "nothing came in yet");
}

#[test]
fn a_datagram_that_confirms_its_flow_is_none_that_only_goes_on() {
    let one_way = flow(HERE, 0);
    assert!(is_settled_in(&one_way, false, HERE, NOW), "nobody answers it");
    assert!(!is_settled_in(&one_way.with_last_out(NOW), false, HERE, NOW), "the second request");
    let asked = own(HERE, 0).with_last_in(NOW);
    assert!(!is_settled_in(&asked, false, HERE, NOW), "the first answer to the host");
    let old = flow(HERE, SEEN_REFRESH);
    assert_eq!(later_in(&old, false, HERE, NOW), Some(old.with_last_in(NOW)));
    assert_eq!(later_in(&old.with_last_out(NOW), false, HERE, NOW), None);
    assert_eq!(later_in(&flow(HERE, UNCONFIRMED_IDLE + 1), false, HERE, NOW), None, "it is over");
    let replied = |idle| flow(HERE, idle).with_last_out(NOW - idle);
    let kept = replied(UNCONFIRMED_IDLE).with_last_out(NOW);
    assert_eq!(later_out(&replied(UNCONFIRMED_IDLE), false, HERE, NOW), Some(kept));
    assert_eq!(later_out(&replied(UNCONFIRMED_IDLE + 1), false, HERE, NOW), None, "it is over");
    let sent = own(HERE, 0).with_last_out(NOW);
    assert_eq!(settled_out(&sent, HERE, NOW), Settled::Here, "nobody answers the host");
}
