use std::time::UNIX_EPOCH;

use super::*;
use crate::json::tests::expect_example;
use crate::state::uplink::Ifindex;

struct Fixed;

impl Names for Fixed {
    fn device(&self, index: u32) -> String {
        format!("eth{index}")
    }

    fn uplink(&self, id: UplinkId) -> String {
        format!("eth{id}")
    }
}

fn decision() -> Decision {
    Decision {
        came_in: false,
        verdict: Verdict::Moved,
        about_flow: Some("reply, to its uplink"),
        flow_on: Some(UplinkId(1)),
        confirmed: true,
        opened_by_host: false,
        changes_flow: false,
        uplink: UplinkId(0),
        target: Some(UplinkId(1)),
        own_source: false,
        next_hop: Some(NextHop::Gateway),
        reason: None,
        observed: false,
    }
}

/// A SYN-ACK.
fn packet() -> TracedPacket {
    let mut bytes = Vec::new();
    etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([198, 51, 100, 10], [203, 0, 113, 11], 64)
        .tcp(8080, 43_551, 7, 1000)
        .syn()
        .ack(8)
        .write(&mut bytes, &[])
        .unwrap();
    TracedPacket {
        time: Duration::from_millis(1_500),
        device: Ifindex(0),
        protocol: 6,
        source: [198, 51, 100, 10].into(),
        source_port: 8080,
        destination: [203, 0, 113, 11].into(),
        destination_port: 43_551,
        later_fragment: false,
        has_link_header: true,
        length: 54,
        bytes,
        decision: decision(),
    }
}

#[test]
fn a_packet_is_a_line_as_tcpdump_has_it() {
    assert_eq!(
        text(&packet(), &Fixed),
        "out eth0 tcp 198.51.100.10:8080 > 203.0.113.11:43551 S.  MOVED to eth1"
    );
    let fragment =
        TracedPacket { later_fragment: true, source_port: 0, destination_port: 0, ..packet() };
    assert!(text(&fragment, &Fixed).contains("tcp 198.51.100.10 > 203.0.113.11 frag"));
}

#[test]
fn what_was_not_moved_says_why() {
    let said = |decision: &Decision| outcome(decision, &Fixed);
    let passed = Decision { verdict: Verdict::Passed, ..decision() };
    let silent = Decision { next_hop: None, reason: Some(Reason::NoNextHop), ..passed.clone() };
    assert_eq!(said(&silent), "PASSED, not moved to eth1: no_next_hop");
    let right = Decision { next_hop: Some(NextHop::AsItIs), ..passed.clone() };
    assert_eq!(said(&right), "passed: eth1 is right");
    let observed = Decision { observed: true, ..passed.clone() };
    assert_eq!(said(&observed), "OBSERVED: belongs on eth1");
    let none = Decision { target: None, about_flow: None, next_hop: None, ..passed };
    assert_eq!(said(&none), "passed: no flow is needed");
    let held = Decision { verdict: Verdict::Held, ..decision() };
    let by = |reason| Decision { reason, ..held.clone() };
    assert_eq!(said(&by(Some(Reason::UplinkDown))), "HELD: eth1 is down");
    assert_eq!(said(&by(Some(Reason::NoNextHop))), "HELD: eth1 has no usable gateway");
    assert_eq!(said(&by(Some(Reason::Held))), "HELD: eth1 cannot be used");
}

#[test]
fn what_came_in_says_what_became_of_its_flow() {
    let came_in = Decision { came_in: true, verdict: Verdict::Passed, ..decision() };
    let recorded = Decision { about_flow: Some("record"), ..came_in.clone() };
    assert_eq!(outcome(&recorded, &Fixed), "record");
    let refused = Decision { verdict: Verdict::Refused, ..came_in };
    assert_eq!(outcome(&refused, &Fixed), "REFUSED: its flow lives on eth1");
}

#[test]
fn json_is_as_the_example_says() {
    let time = time(UNIX_EPOCH + Duration::from_secs(1_800_000_000), packet().time);
    expect_example("monitor.json", &json(&packet(), "packet", time, &Fixed));
}

#[test]
fn times_are_of_the_day() {
    let time = time(UNIX_EPOCH + Duration::from_secs(1_800_000_000), Duration::from_millis(1_500));
    assert_eq!(time, "2027-01-15T08:00:01.500Z");
    assert_eq!(shown_time(&time, false), "08:00:01.500Z");
    assert_eq!(shown_time(&time, true), time);
}

#[test]
fn bytes_that_are_no_packet_have_no_flags() {
    for bytes in [Vec::new(), vec![0xff; 60]] {
        assert_eq!(flags(&TracedPacket { bytes, ..packet() }), None);
    }
}
