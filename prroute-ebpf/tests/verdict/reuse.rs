//! A connection on the ports of an older one, over another uplink, and one whose first data comes with
//! its SYN.

use prroute_common::flow::TCP_REBIND_IDLE;
use prroute_ebpf::parse::{Kind, Numbers};
use prroute_ebpf::verdict::{
    Arrival, Departure, Inbound, Known, Locality, Outbound, Write, inbound, is_preferred_in,
    is_preferred_out, may_be_superseded_in, may_be_superseded_out, outbound,
};

use crate::{ELSEWHERE, HERE, NOW, arrival, departure, flow, known, own};

/// The older connection, which was over some seconds ago.
fn older() -> Known {
    let numbers = flow(ELSEWHERE, TCP_REBIND_IDLE).with_sent(900).with_heard(900);
    known(numbers.with_received(77), true).unwrap()
}

/// The newer one, whose SYN-ACK has left here.
fn newer() -> Known {
    known(flow(HERE, 1).with_received(5001).with_sent(3_000_000_001), false).unwrap()
}

#[test]
fn the_acknowledgement_of_the_syn_ack_is_the_newer_connections() {
    let ack = arrival(Kind::Tcp, Some(3_000_000_001));
    assert!(may_be_superseded_in(&older(), &ack) && is_preferred_in(&newer(), &ack));
    let verdict = inbound(&ack, Some(newer()), true);
    assert!(matches!(verdict, Inbound::Confirm(_)), "{verdict:?}");
    for wrong in [3_000_000_000, 3_000_000_002, 900] {
        let other = arrival(Kind::Tcp, Some(wrong));
        assert!(!is_preferred_in(&newer(), &other), "{wrong} is for the older one to judge");
    }
    let reset = arrival(Kind::TcpReset, Some(3_000_000_001));
    assert!(!may_be_superseded_in(&older(), &reset), "a reset confirms nothing");
    let elsewhere = Arrival { here: ELSEWHERE, ..ack };
    assert!(!may_be_superseded_in(&older(), &elsewhere), "it came where the older one is");
    let third = Arrival { here: crate::Place { uplink: 3, generation: 1 }, ..ack };
    assert!(!is_preferred_in(&newer(), &third), "the newer one is not there");
}

#[test]
fn another_syn_is_judged_by_the_newer_connection() {
    let syn = arrival(Kind::TcpOpening, None);
    assert!(may_be_superseded_in(&older(), &syn) && is_preferred_in(&newer(), &syn));
    let third = Arrival { here: crate::Place { uplink: 3, generation: 1 }, ..syn };
    let verdict = inbound(&third, Some(newer()), true);
    assert_eq!(verdict, Inbound::RefuseRebind, "the first of two SYNs decides");
}

#[test]
fn a_finished_connection_of_the_hosts_own_is_replaced_likewise() {
    let ack = arrival(Kind::Tcp, Some(3_000_000_001));
    let of = |idle, confirmed| known(own(ELSEWHERE, idle), confirmed).unwrap();
    assert!(may_be_superseded_in(&of(TCP_REBIND_IDLE, true), &ack));
    assert!(!may_be_superseded_in(&of(TCP_REBIND_IDLE - 1, true), &ack), "it is in use");
    assert!(!may_be_superseded_in(&of(TCP_REBIND_IDLE, false), &ack), "it is being tried");
}

#[test]
fn the_hosts_first_data_is_the_newer_connections_on_the_owner() {
    let data = Departure { source: Locality::OwnedHere, ..departure(Kind::Tcp, 3_000_000_001, 9) };
    assert!(may_be_superseded_out(&older(), &data) && is_preferred_out(&newer(), &data));
    let verdict = outbound(&data, Some(newer()));
    assert!(matches!(verdict, Outbound::Reply { write: Write::Confirm(_), .. }), "{verdict:?}");
    let later = Departure { tcp: Numbers { sequence: 1, ..data.tcp }, ..data };
    assert!(!is_preferred_out(&newer(), &later), "of the older one, as far as anybody knows");
    // Whose SYN was answered by nobody is none: a forged one is not.
    let forged = known(flow(HERE, 1).with_received(5001), false).unwrap();
    assert!(!is_preferred_out(&forged, &data));
    let shared = Departure { source: Locality::Shared, ..data };
    assert!(!may_be_superseded_out(&older(), &shared), "an acknowledgement comes in first");
}

#[test]
fn a_syn_ack_for_the_syns_data_proves_the_client() {
    let opened = inbound(&arrival(Kind::TcpOpening, None), None, true);
    let Inbound::Open(opened) = opened else { panic!("{opened:?}") };
    let answer = |acknowledgement| {
        let mut answer = departure(Kind::TcpAnswer, 1000, 0);
        answer.tcp.acknowledgement = acknowledgement;
        outbound(&answer, known(opened, false))
    };
    let verdict = answer(101);
    let Outbound::Reply { place: HERE, write: Write::Confirm(proved), .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!((proved.sent(), proved.received()), (Some(1001), Some(101)));
    for (acknowledgement, why) in
        [(1, "the SYN alone"), (0, "not even that"), (70_000, "more than a SYN carries")]
    {
        let verdict = answer(acknowledgement);
        assert!(
            matches!(verdict, Outbound::Reply { write: Write::Refresh(_), .. }),
            "{why}: {verdict:?}"
        );
    }
    // Its numbers let it move like any other.
    let ack = Arrival {
        tcp: Numbers { sequence: 101, acknowledgement: 1001, acknowledges: true },
        ..arrival(Kind::Tcp, None)
    };
    let moved = inbound(
        &Arrival { here: ELSEWHERE, now: NOW + TCP_REBIND_IDLE, ..ack },
        known(proved, true),
        true,
    );
    assert!(matches!(moved, Inbound::Rebind(_)), "{moved:?}");
}
