//! A connection on the ports of an older one, over another uplink, and one whose first data comes with
//! its SYN.

use prroute_common::flow::TCP_REBIND_IDLE;
use prroute_ebpf::decide::{
    FlowEntry, Inbound, InboundPacket, Locality, Outbound, OutboundPacket, Write, inbound,
    is_answered, is_preferred_in, is_preferred_out, may_be_superseded_in, may_be_superseded_out,
    outbound,
};
use prroute_ebpf::wire::parse::{Kind, Numbers, TcpFlags};

use crate::{ELSEWHERE, HERE, NOW, arrival, departure, flow, known, own};

/// The older connection, which was over some seconds ago.
fn older() -> FlowEntry {
    let numbers = flow(ELSEWHERE, TCP_REBIND_IDLE).with_sent(900).with_heard(900);
    known(numbers.with_received(77), true).unwrap()
}

/// The newer one, whose SYN-ACK has left here.
fn newer() -> FlowEntry {
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
    let elsewhere = InboundPacket { here: ELSEWHERE, ..ack };
    assert!(!may_be_superseded_in(&older(), &elsewhere), "it came where the older one is");
    let third = InboundPacket { here: crate::UplinkRef { id: 3, generation: 1 }, ..ack };
    assert!(!is_preferred_in(&newer(), &third), "the newer one is not there");
}

#[test]
fn another_syn_is_judged_by_the_newer_connection() {
    let syn = arrival(Kind::TcpOpening, None);
    assert!(may_be_superseded_in(&older(), &syn) && is_preferred_in(&newer(), &syn));
    let third = InboundPacket { here: crate::UplinkRef { id: 3, generation: 1 }, ..syn };
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
    let data =
        OutboundPacket { source: Locality::OwnedHere, ..departure(Kind::Tcp, 3_000_000_001, 9) };
    assert!(may_be_superseded_out(&older(), &data) && is_preferred_out(&newer(), &data));
    let verdict = outbound(&data, Some(newer()));
    assert!(matches!(verdict, Outbound::Reply { write: Write::Confirm(_), .. }), "{verdict:?}");
    let later = OutboundPacket { tcp: Numbers { sequence: 1, ..data.tcp }, ..data };
    assert!(!is_preferred_out(&newer(), &later), "of the older one, as far as anybody knows");
    // Whose SYN was answered by nobody is none: a forged one is not.
    let forged = known(flow(HERE, 1).with_received(5001), false).unwrap();
    assert!(!is_preferred_out(&forged, &data));
    let shared = OutboundPacket { source: Locality::Shared, ..data };
    assert!(!is_preferred_out(&newer(), &shared), "an acknowledgement comes in first");
}

/// A SYN-ACK the host sends to whoever sends a SYN; data only to who has a cookie.
#[test]
fn data_behind_a_syn_ack_for_the_syns_data_proves_the_client() {
    let syn = InboundPacket { payload: 1000, ..arrival(Kind::TcpOpening, None) };
    let opened = inbound(&syn, None, true);
    let Inbound::Open(opened) = opened else { panic!("{opened:?}") };
    let leaves = |kind, flow, sequence, payload, acknowledgement| {
        let mut segment = departure(kind, sequence, payload);
        segment.tcp.acknowledgement = acknowledgement;
        outbound(&segment, known(flow, false))
    };
    for acknowledgement in [0, 1, 101, 1001, 1002] {
        let verdict = leaves(Kind::TcpAnswer, opened, 1000, 0, acknowledgement);
        assert!(
            matches!(verdict, Outbound::Reply { uplink: HERE, write: Write::Refresh(_), .. }),
            "{acknowledgement}: {verdict:?}"
        );
    }
    let answered = opened.with_sent(1001);
    for (flow, sequence, payload, acknowledgement, why) in [
        (answered, 1001, 9, 1, "the SYN alone"),
        (answered, 1001, 9, 0, "not even that"),
        (answered, 1001, 9, 1002, "more than came with it"),
        (answered, 1001, 0, 101, "an acknowledgement alone"),
        (answered, 1002, 9, 101, "not the first data"),
        (opened, 1001, 9, 101, "no SYN-ACK"),
    ] {
        let verdict = leaves(Kind::Tcp, flow, sequence, payload, acknowledgement);
        assert_eq!(verdict, Outbound::Unproved, "{why}");
    }
    let verdict = leaves(Kind::Tcp, answered, 1001, 9, 101);
    let Outbound::Reply { uplink: HERE, write: Write::Confirm(proved), .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!((proved.sent(), proved.received()), (Some(1010), Some(101)));
    // Its numbers let it move like any other.
    let ack = InboundPacket {
        tcp: Numbers { sequence: 101, acknowledgement: 1001, flags: TcpFlags::new(true, false) },
        ..arrival(Kind::Tcp, None)
    };
    let moved = inbound(
        &InboundPacket { here: ELSEWHERE, now: NOW + TCP_REBIND_IDLE, ..ack },
        known(proved, true),
        true,
    );
    assert!(matches!(moved, Inbound::Rebind(_)), "{moved:?}");
    // On the ports of an older connection it is the newer one's.
    let mut data = departure(Kind::Tcp, 1001, 9);
    data.tcp.acknowledgement = 101;
    let newer = known(answered, false).unwrap();
    assert!(may_be_superseded_out(&older(), &data) && is_preferred_out(&newer, &data));
    data.tcp.acknowledgement = 1;
    assert!(!is_preferred_out(&newer, &data), "it takes nothing of the SYN's data");
}

fn syn_ack(sequence: u32, acknowledgement: u32) -> OutboundPacket {
    let mut packet = departure(Kind::TcpAnswer, sequence, 0);
    packet.tcp.acknowledgement = acknowledgement;
    packet
}

/// Who has two SYNs of one name come in has the SYN-ACK go to whose it answers.
#[test]
fn a_syn_ack_is_of_the_connection_whose_syn_it_acknowledges() {
    assert!(is_answered(&newer(), &syn_ack(4000, 5001)));
    for other in [5000, 5002, 77] {
        assert!(!is_answered(&newer(), &syn_ack(4000, other)), "{other} answers another SYN");
    }
    let cached = known(flow(HERE, 1), false).unwrap();
    assert!(is_answered(&cached, &syn_ack(4000, 77)), "of a SYN on the owner no number is kept");
    // The host accepts a connection on the uplink of the older one: nothing of its numbers is left.
    let mut answer = departure(Kind::TcpAnswer, 4000, 0);
    answer.tcp.acknowledgement = 600;
    let verdict = outbound(&answer, Some(older()));
    let Outbound::Reply { uplink: ELSEWHERE, write: Write::Refresh(accepted), .. } = verdict else {
        panic!("{verdict:?}")
    };
    let numbers = (accepted.heard(), accepted.sent(), accepted.received());
    assert_eq!(numbers, (Some(4000), Some(4001), Some(600)));
    // A SYN alone voids none.
    let home = InboundPacket { here: ELSEWHERE, ..arrival(Kind::TcpOpening, None) };
    let verdict = inbound(&home, Some(older()), true);
    assert_eq!(verdict, Inbound::Refresh(older().flow.with_last_in(NOW)));
}

/// Ten minutes after it was asked elsewhere nobody looks at what comes in on the owner of an address.
#[test]
fn a_segment_with_other_numbers_is_not_of_the_older_connection() {
    let of = |sequence, acknowledgement| {
        let mut data = departure(Kind::Tcp, sequence, 9);
        data.source = Locality::OwnedBy(HERE.id);
        data.here = ELSEWHERE;
        data.tcp.acknowledgement = acknowledgement;
        outbound(&data, Some(older()))
    };
    let verdict = of(900, 77);
    assert!(matches!(verdict, Outbound::Reply { uplink: ELSEWHERE, .. }), "{verdict:?}");
    for (numbers, why) in [
        ((3_000_000_001, 77), "where it begins"),
        ((900, 3_000_000_001), "what it acknowledges"),
        ((1 << 29, 1 << 27), "both"),
    ] {
        assert_eq!(of(numbers.0, numbers.1), Outbound::ToOwner(HERE.id), "{why}");
    }
    // The address is exposed again, by somebody else: what leaves by the owner is looked at.
    let mut there = departure(Kind::Tcp, 3_000_000_001, 9);
    (there.source, there.tcp.acknowledgement) = (Locality::OwnedHere, 5001);
    assert_eq!(outbound(&there, Some(older())), Outbound::Unproved, "it leaves by the owner");
}

/// Whoever forges acknowledgements on the flow's own uplink would know elsewhere what was
/// acknowledged last.
#[test]
fn what_was_acknowledged_is_noted_of_who_proves_it() {
    let flow = flow(HERE, 1).with_heard(1000).with_sent(500_000).with_received(77);
    let heard = |sequence, acknowledgement| {
        let tcp = Numbers { sequence, acknowledgement, flags: TcpFlags::new(true, false) };
        let segment = InboundPacket { tcp, ..arrival(Kind::Tcp, None) };
        match inbound(&segment, known(flow, true), true) {
            Inbound::Refresh(flow) => flow.heard(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(heard(77, 300_000), Some(300_000));
    assert_eq!(heard(200, 300_000), Some(1000), "near, but not the next byte");
    assert_eq!(heard(200, 500_000), Some(500_000), "all that was sent");
    assert_eq!(heard(3_000_000, 300_000), Some(1000));
    assert_eq!(heard(77, 999), Some(1000), "nothing is taken back");
}

/// Whoever opened another connection with its ports elsewhere takes none of its segments.
#[test]
fn a_segment_that_begins_where_the_last_one_ended_is_of_that_connection() {
    let confirmed = older();
    let sent = confirmed.flow.sent().unwrap();
    let may_be_of_another = |sequence| {
        let data = OutboundPacket {
            source: Locality::OwnedBy(HERE.id),
            here: ELSEWHERE,
            ..departure(Kind::Tcp, sequence, 9)
        };
        may_be_superseded_out(&confirmed, &data)
    };
    assert!(!may_be_of_another(sent));
    assert!(may_be_of_another(sent.wrapping_add(1)) && may_be_of_another(sent.wrapping_sub(9)));
}

/// What was adopted has seen no SYN: an acknowledgement that anybody may have sent before the real client's.
#[test]
fn the_syn_ack_of_another_connection_is_none_of_an_adopted_one() {
    let adopted = known(flow(ELSEWHERE, 1).with_heard(77), false).unwrap();
    assert!(!is_answered(&adopted, &syn_ack(4000, 5001)));
    // The host heard nothing of the acknowledgement of this one, and sends it again.
    assert!(is_answered(&adopted, &syn_ack(76, 5001)));
    let reset = departure(Kind::TcpReset, 0, 0);
    let guessed = known(flow(ELSEWHERE, 1).with_heard(1), false).unwrap();
    assert!(!is_answered(&guessed, &reset), "a reset has no number that could be acknowledged");
    let syn = arrival(Kind::TcpOpening, None);
    assert!(
        matches!(inbound(&syn, Some(adopted), true), Inbound::Rebind(_)),
        "who opens comes first"
    );
    let goes_on = known(flow(ELSEWHERE, 1).with_heard(77).with_sent(78), false).unwrap();
    assert_eq!(inbound(&syn, Some(goes_on), true), Inbound::RefuseRebind);
}
