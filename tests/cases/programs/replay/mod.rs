//! Generated packets and the fuzzer's corpus through the programs in the kernel: they return what
//! they may, and record and count what the library says of the same bytes.

mod family;
mod model;
mod traces;

use std::mem;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use prroute_common::reason::Reason;
use prroute_ebpf::decide::FlowEntry;
use prroute_ebpf::wire::parse::{Kind, NotParsed, Segment};
use prroute_ebpf::wire::{Ipv4, Ipv6};
use prroute_oracle::{ETHERNET, FACTS, corpus, generate};

use self::family::Readable;
use self::model::{Model, NOW};
use self::traces::{Traces, expect};
use super::fixture::{Fixture, PASS, with_fixture};

/// Packets come in on this uplink and leave by the other.
const IN: u16 = 2;
const OUT: u16 = 1;
/// The kernel runs nothing shorter than an Ethernet header and a byte, or, since 6.18, the IP
/// header that the EtherType promises.
const SHORTEST: [usize; 3] = [ETHERNET + 1, ETHERNET + 20, ETHERNET + 40];
/// Beyond, a reply would be too big for its uplink.
const LONGEST: usize = 1400;
const GENERATED: usize = 1000;

/// The answer to a packet: addresses and ports turned round, and a SYN answered.
fn answer<F: Readable>(frame: &[u8], segment: &Segment<F::Address>) -> Vec<u8> {
    let mut answer = frame.to_vec();
    let swap = |bytes: &mut [u8], at: usize, length: usize| {
        for byte in at..at + length {
            bytes.swap(byte, byte + length);
        }
    };
    let (at, length) = F::ADDRESSES;
    swap(&mut answer, ETHERNET + at, length);
    let upper = ETHERNET + (segment.headers - segment.transport) as usize;
    match segment.kind {
        Kind::EchoRequest => answer[upper] = F::ECHO[1],
        Kind::TcpOpening => {
            swap(&mut answer, upper, 2);
            answer[upper + 13] |= 0x10;
            let acknowledged = segment.tcp.sequence.wrapping_add(1);
            answer[upper + 8..upper + 12].copy_from_slice(&acknowledged.to_be_bytes());
        }
        _ if segment.source_port == segment.destination_port => {}
        _ => swap(&mut answer, upper, 2),
    }
    answer
}

fn replay<F: Readable>(fixture: &mut Fixture, model: &mut Model, frame: &[u8], told: &str) {
    let parsed = F::parse(&frame, ETHERNET);
    let unparsable = |uplink| match &parsed {
        Err(NotParsed::Malformed) => Traces::counted(uplink, Reason::Unparsable),
        _ => Traces::default(),
    };
    fixture.forget_flows();
    let Ok(segment) = parsed else {
        expect(fixture, told, &unparsable(IN), |fixture| {
            assert_eq!(fixture.ingress(IN.into(), frame), PASS, "{told}");
        });
        // A later fragment follows what was decided for its first.
        if !matches!(parsed, Err(NotParsed::LaterFragment(_))) {
            expect(fixture, told, &unparsable(OUT), |fixture| {
                assert_eq!(fixture.egress(OUT.into(), frame), PASS, "{told}");
            });
        }
        return;
    };
    let (code, traces) = model.leaves::<F>(&segment, frame.len(), None);
    expect(fixture, told, &traces, |fixture| {
        assert_eq!(fixture.egress(OUT.into(), frame), code, "leaves: {told}");
    });
    fixture.forget_flows();
    let (mut opened, flow) = model.arrives::<F>(&segment);
    let noted = model.is_noted::<F>(&segment, frame);
    // What is only noted is recorded when its answer asks for it.
    let later = if noted { mem::take(&mut opened) } else { Traces::default() };
    expect(fixture, told, &opened, |fixture| {
        assert_eq!(fixture.ingress(IN.into(), frame), PASS, "comes in: {told}");
    });
    let Some(flow) = flow else { return };
    let answer = answer::<F>(frame, &segment);
    let Ok(back) = F::parse(&answer.as_slice(), ETHERNET) else {
        panic!("the answer to {told} is none");
    };
    let known = FlowEntry::new(flow, false, back.protocol, NOW);
    let (code, mut left) = model.leaves::<F>(&back, answer.len(), known);
    // What the host sends unasked has the place of what came in.
    if left.flows.is_empty() {
        left.flows = opened.flows;
        left.flows.extend(later.flows);
    }
    left.counts.extend(later.counts);
    expect(fixture, told, &left, |fixture| {
        assert_eq!(fixture.egress(OUT.into(), &answer), code, "is answered: {told}");
    });
    if noted {
        fixture.forget_openings();
    }
}

/// Runs a frame both ways, if the kernel takes it at all.
fn run(fixture: &mut Fixture, model: &mut Model, frame: &[u8], name: &str) {
    let shortest = match frame.get(12..ETHERNET) {
        Some([0x08, 0x00]) => SHORTEST[1],
        Some([0x86, 0xdd]) => SHORTEST[2],
        _ => SHORTEST[0],
    };
    if !(shortest..LONGEST).contains(&frame.len()) {
        return;
    }
    let mut frame = frame.to_vec();
    // Whose frame it is on the link layer is another test's matter.
    frame[..6].copy_from_slice(&fixture.uplinks[usize::from(IN) - 1].device.mac.unwrap());
    let told = format!("{name}: {frame:02x?}");
    match [frame[12], frame[13]] {
        [0x08, 0x00] => replay::<Ipv4>(fixture, model, &frame, &told),
        [0x86, 0xdd] => replay::<Ipv6>(fixture, model, &frame, &told),
        ether_type => {
            let tagged = matches!(ether_type, [0x81, 0x00] | [0x88, 0xa8]);
            let mut traces = Traces::default();
            if tagged {
                traces.counts = vec![(IN, Reason::Tagged), (OUT, Reason::Tagged)];
            }
            fixture.forget_flows();
            expect(fixture, &told, &traces, |fixture| {
                assert_eq!(fixture.ingress(IN.into(), &frame), PASS, "{told}");
                assert_eq!(fixture.egress(OUT.into(), &frame), PASS, "{told}");
            });
        }
    }
}

#[test]
fn the_programs_decide_the_corpus_as_the_library_does() {
    with_fixture(|fixture| {
        let mut model = Model::of(fixture);
        for (name, input) in corpus::inputs().unwrap() {
            run(fixture, &mut model, input.get(FACTS..).unwrap_or_default(), &name);
        }
    });
}

#[test]
fn the_programs_decide_generated_packets_as_the_library_does() {
    with_fixture(|fixture| {
        let mut model = Model::of(fixture);
        let mut runner = TestRunner::deterministic();
        let mut redirected = 0;
        for number in 0..GENERATED {
            let frame = generate::spoilt_frame().new_tree(&mut runner).unwrap().current();
            run(fixture, &mut model, &frame, &format!("generated {number}"));
            redirected = fixture.count(IN, Reason::Redirected);
        }
        assert!(redirected > 50, "{redirected} replies were moved: the packets say nothing");
    });
}
