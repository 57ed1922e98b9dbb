//! Generated packets and the fuzzer's corpus through the programs in the kernel: they return what
//! they may, and record and count what the library says of the same bytes.

use std::collections::HashSet;
use std::mem;
use std::net::IpAddr;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use prroute_common::address::{octets4, octets6};
use prroute_common::flow::{Flow, FlowKey4, FlowKey6};
use prroute_common::reason::Reason;
use prroute_ebpf::decide::{
    self, FlowEntry, Inbound, InboundPacket, Locality, Outbound, OutboundPacket, UplinkRef,
};
use prroute_ebpf::wire::key;
use prroute_ebpf::wire::parse::{Kind, NotParsed, Segment};
use prroute_ebpf::wire::{Address4, Address6, Ipv4, Ipv6, Wire};
use prroute_oracle::{ETHERNET, FACTS, corpus, generate};

use super::fixture::{CLIENT_PORTS, Fixture, PASS, REDIRECT, with_fixture};

/// Packets come in on this uplink and leave by the other.
const IN: u16 = 2;
const OUT: u16 = 1;
/// In the library's runs; the kernel's clock is another.
const NOW: u32 = 1000;
/// The kernel runs nothing shorter than an Ethernet header and a byte, or, since 6.18, the IP
/// header that the EtherType promises.
const SHORTEST: [usize; 3] = [ETHERNET + 1, ETHERNET + 20, ETHERNET + 40];
/// Beyond, a reply would be too big for its uplink.
const LONGEST: usize = 1400;
const GENERATED: usize = 1000;

/// As the fixture loads the programs.
fn is_client(port: [u8; 2]) -> bool {
    (CLIENT_PORTS.0..=CLIENT_PORTS.1).contains(&u16::from_be_bytes(port))
}

/// A flow as it is listed: local and remote end, protocol, opened inbound.
type Listed = ((IpAddr, u16), (IpAddr, u16), u8, bool);

/// What a run is to leave behind.
#[derive(Debug, Default, PartialEq)]
struct Traces {
    flows: Vec<Listed>,
    counts: Vec<(u16, Reason)>,
}

impl Traces {
    fn counted(uplink: u16, reason: Reason) -> Self {
        Self { flows: Vec::new(), counts: vec![(uplink, reason)] }
    }
}

/// A family that can be listed.
trait Readable: Wire {
    fn ip(address: Self::Address) -> IpAddr;
    fn listed(key: &Self::Key, opened_inbound: bool) -> Listed;
    /// Where the addresses lie in a header, and their length.
    const ADDRESSES: (usize, usize);
    const ECHO: [u8; 2];
}

macro_rules! listed {
    ($key:expr, $opened_inbound:expr) => {{
        let (local_port, remote_port) =
            (u16::from_be_bytes($key.local_port), u16::from_be_bytes($key.remote_port));
        let local = (Self::ip($key.local), local_port);
        (local, (Self::ip($key.remote), remote_port), $key.protocol, $opened_inbound)
    }};
}

impl Readable for Ipv4 {
    const ADDRESSES: (usize, usize) = (12, 4);
    const ECHO: [u8; 2] = [8, 0];

    fn ip(address: Address4) -> IpAddr {
        octets4(address).into()
    }

    fn listed(key: &FlowKey4, opened_inbound: bool) -> Listed {
        listed!(key, opened_inbound)
    }
}

impl Readable for Ipv6 {
    const ADDRESSES: (usize, usize) = (8, 16);
    const ECHO: [u8; 2] = [128, 129];

    fn ip(address: Address6) -> IpAddr {
        octets6(address).into()
    }

    fn listed(key: &FlowKey6, opened_inbound: bool) -> Listed {
        listed!(key, opened_inbound)
    }
}

/// The library's side of the fixture.
struct Model {
    owners: Vec<(IpAddr, Option<u16>)>,
    /// Addresses of [`OUT`] that were seen on [`IN`].
    exposed: HashSet<IpAddr>,
}

impl Model {
    fn locality(&self, here: u16, address: IpAddr) -> Locality {
        match self.owners.iter().find(|(known, _)| *known == address) {
            None => Locality::NotLocal,
            Some((_, None)) => Locality::Shared,
            Some((_, Some(owner))) if *owner == here => Locality::OwnedHere,
            Some((_, Some(owner))) => Locality::OwnedBy(*owner),
        }
    }

    /// Whether a packet that comes in is a SYN that is only noted.
    fn is_noted<F: Readable>(&self, segment: &Segment<F::Address>, frame: &[u8]) -> bool {
        segment.kind == Kind::TcpOpening
            && self.locality(IN, F::ip(segment.destination)) == Locality::OwnedHere
            && F::fast_headers(&frame, ETHERNET).is_some()
    }

    /// A packet that comes in: what it leaves, and the flow it opens.
    fn arrives<F: Readable>(&mut self, segment: &Segment<F::Address>) -> (Traces, Option<Flow>) {
        let address = F::ip(segment.destination);
        let destination = self.locality(IN, address);
        if !decide::inbound_needs_flow(segment.kind, destination, false, false) {
            return Default::default();
        }
        if matches!(destination, Locality::OwnedBy(_)) {
            self.exposed.insert(address);
        }
        let arrival = InboundPacket {
            kind: segment.kind,
            protocol: segment.protocol,
            tcp: segment.tcp,
            payload: 0,
            destination,
            here: UplinkRef { id: IN, generation: 1 },
            router: 0,
            to_client_port: is_client(segment.destination_port),
            now: NOW,
        };
        let (flow, reason) = match decide::inbound(&arrival, None, true) {
            // Nothing is forwarded here, so that nobody is behind the host.
            Inbound::Open(_) if destination == Locality::NotLocal => return Default::default(),
            Inbound::Open(flow) => (flow, Reason::OpenedInbound),
            Inbound::Adopt(flow) => (flow, Reason::Adopted),
            Inbound::Pass => return Default::default(),
            other => panic!("{other:?} of an unknown flow"),
        };
        let listed = F::listed(&key::inbound::<F>(segment), true);
        (Traces { flows: vec![listed], counts: vec![(IN, reason)] }, Some(flow))
    }

    /// A packet that leaves: what the program returns, and what is new.
    fn leaves<F: Readable>(
        &self,
        segment: &Segment<F::Address>,
        length: usize,
        known: Option<FlowEntry>,
    ) -> (i32, Traces) {
        let nothing = (PASS, Traces::default());
        let address = F::ip(segment.source);
        let source = self.locality(OUT, address);
        if source == Locality::NotLocal && segment.kind != Kind::Error {
            return nothing;
        }
        let exposed = self.exposed.contains(&address);
        if !decide::outbound_needs_flow(segment.kind, source, exposed, false, false) {
            return nothing;
        }
        let headers = ETHERNET + segment.headers as usize;
        let departure = OutboundPacket {
            kind: segment.kind,
            tcp: segment.tcp,
            payload: length.saturating_sub(headers) as u32,
            source,
            here: UplinkRef { id: OUT, generation: 1 },
            leaves_by: UplinkRef { id: OUT, generation: 1 },
            forwarded: false,
            from_client_port: is_client(segment.source_port),
            now: NOW,
        };
        match decide::outbound(&departure, known) {
            Outbound::OpenByHost(_) => {
                let listed = F::listed(&key::outbound::<F>(segment), false);
                let counts = vec![(OUT, Reason::OpenedByHost)];
                (PASS, Traces { flows: vec![listed], counts })
            }
            Outbound::Pass => nothing,
            Outbound::Unproved => (PASS, Traces::counted(OUT, Reason::Unconfirmed)),
            Outbound::Reply { uplink, write, .. } => {
                let mut traces = Traces::counted(uplink.id, Reason::Redirected);
                if matches!(write, decide::Write::Confirm(_)) {
                    traces.counts.push((uplink.id, Reason::Confirmed));
                }
                (REDIRECT, traces)
            }
            Outbound::ToOwner(owner) => {
                (REDIRECT, Traces::counted(owner, Reason::RedirectedToOwner))
            }
            other => panic!("{other:?} of a local packet"),
        }
    }
}

/// Runs something and compares what it leaves.
fn expect(fixture: &mut Fixture, told: &str, expected: &Traces, run: impl FnOnce(&mut Fixture)) {
    let counts = |fixture: &Fixture| [IN, OUT].map(|uplink| fixture.counts(uplink));
    let before = counts(fixture);
    run(fixture);
    let after = counts(fixture);
    let mut found = Traces::default();
    for (uplink, (before, after)) in [IN, OUT].into_iter().zip(before.iter().zip(&after)) {
        for ((reason, before), (_, after)) in before.iter().zip(after) {
            let times = usize::try_from(after - before).unwrap();
            found.counts.extend(std::iter::repeat_n((uplink, *reason), times));
        }
    }
    found.flows = fixture
        .flows()
        .into_iter()
        .map(|flow| {
            let (local, remote) = ((flow.local, flow.local_port), (flow.remote, flow.remote_port));
            (local, remote, flow.protocol, flow.opened_inbound)
        })
        .collect();
    let order =
        |traces: &mut Traces| traces.counts.sort_by_key(|(id, reason)| (*id, *reason as u32));
    let mut expected = Traces { flows: expected.flows.clone(), counts: expected.counts.clone() };
    order(&mut expected);
    order(&mut found);
    assert_eq!(found, expected, "{told}");
}

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
    left.flows = opened.flows;
    left.flows.extend(later.flows);
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

fn model(fixture: &Fixture) -> Model {
    let owners = fixture.locals.iter().map(|local| (local.address, local.owner.map(|id| id.0)));
    Model { owners: owners.collect(), exposed: HashSet::new() }
}

#[test]
fn the_programs_decide_the_corpus_as_the_library_does() {
    with_fixture(|fixture| {
        let mut model = model(fixture);
        for (name, input) in corpus::inputs().unwrap() {
            run(fixture, &mut model, input.get(FACTS..).unwrap_or_default(), &name);
        }
    });
}

#[test]
fn the_programs_decide_generated_packets_as_the_library_does() {
    with_fixture(|fixture| {
        let mut model = model(fixture);
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
