//! What an entry says, and which datagrams add nothing to it.

use prroute_common::flow::{Flow, OTHER_IDLE, Origin, SEEN_REFRESH, TCP_IDLE, UNCONFIRMED_IDLE};
use prroute_ebpf::parse::protocol;
use prroute_ebpf::verdict::{
    Known, Place, Settled, is_settled_in, is_worth_writing, later_in, later_out, settled_out,
};

use crate::{ELSEWHERE, HERE, NOW, flow, own};

#[test]
fn an_entry_ages_and_one_that_is_not_ours_is_none() {
    for (confirmed, protocol, limit) in [
        (true, protocol::TCP, TCP_IDLE),
        (true, protocol::UDP, OTHER_IDLE),
        (false, protocol::TCP, UNCONFIRMED_IDLE),
        (false, protocol::UDP, UNCONFIRMED_IDLE),
    ] {
        let is_aged = |idle| {
            Known::from_entry(flow(ELSEWHERE, idle), confirmed, protocol, NOW).unwrap().is_aged
        };
        assert!(!is_aged(limit) && is_aged(limit + 1));
    }
    let late = Known::from_entry(own(HERE, OTHER_IDLE), false, protocol::UDP, NOW).unwrap();
    assert!(!late.is_aged, "a late answer meets the record of its question");
    assert!(Known::from_entry(Flow::default(), true, protocol::TCP, NOW).is_none());
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
    let own = Flow::by_host(255, 7, 9).with_last_out(10).with_last_in(11);
    assert_eq!((own.opened_at(), own.last_out(), own.last_in()), (9, 10, 11));
    assert_eq!((own.heard(), own.sent(), own.received()), (None, None, None));
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
    let out = |flow: &Flow| settled_out(flow, true, HERE, NOW);
    assert!(is_settled_in(&answered(HERE, 0), true, HERE, NOW));
    assert_eq!(out(&answered(HERE, 0)), Settled::Here);
    let own_elsewhere = own(ELSEWHERE, 0).with_last_in(NOW);
    let own_here = own(HERE, 0).with_last_in(NOW);
    assert!(is_settled_in(&own_here.with_heard_here(), true, HERE, NOW));
    assert!(!is_settled_in(&own_here, true, HERE, NOW), "the first answer here");
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
    let late = u32::MAX;
    let never_in = Flow::by_host(HERE.uplink, HERE.generation, late).with_last_out(late);
    assert!(!is_settled_in(&never_in, true, HERE, late), "nothing came in yet");
    let unheard = flow(HERE, 0).with_socket(false);
    assert!(!is_settled_in(&unheard, false, HERE, NOW), "its socket may be there by now");
    let translated = answered(HERE, 0).with_socket(false);
    assert!(is_settled_in(&translated, true, HERE, NOW), "somebody behind the host answers");
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
    assert_eq!(settled_out(&sent, false, HERE, NOW), Settled::No, "the host's second datagram");
    assert_eq!(settled_out(&sent, true, HERE, NOW), Settled::Here, "nobody answers the host");
    assert_eq!(later_out(&sent, false, HERE, NOW), None, "the host's second datagram");
}
