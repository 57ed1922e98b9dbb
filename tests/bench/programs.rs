//! Each program on each kind of packet (BPF_PROG_TEST_RUN) against an empty one.

use std::cell::RefCell;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::rc::Rc;

use anyhow::{Context as _, Result, ensure};
use caps::{CapSet, Capability};
use prroute_common::names;
use prroute_tests::bpf;

use crate::fixture::{Fixture, PASS, REDIRECT};
use crate::frames::{Kind, frame};
use crate::results::Measurement;
use crate::rounds::{Effort, Subject, Work, measure};

const CLIENT: [(&str, u16); 2] = [("203.0.113.9", 40_000), ("2001:db8:9::9", 40_000)];
const OWNED: [(&str, u16); 2] = [("10.0.2.2", 443), ("fd00:2::2", 443)];
const SHARED: [(&str, u16); 2] = [("192.0.2.80", 443), ("2001:db8::80", 443)];

const EMPTY: &str = "empty-program";
const STACK_STORES: &str = "program-stack-stores";
const STORES: i16 = 8;

/// A program run on one packet.
#[derive(Clone, Copy)]
struct Path {
    name: &'static str,
    program: &'static str,
    /// Of the uplink the packet is on.
    uplink: usize,
    kind: Kind,
    /// Whose address it is to, or from.
    local: [(&'static str, u16); 2],
    returns: i32,
}

const fn path(
    name: &'static str,
    program: &'static str,
    uplink: usize,
    kind: Kind,
    local: [(&'static str, u16); 2],
    returns: i32,
) -> Path {
    Path { name, program, uplink, kind, local, returns }
}

/// All of them on uplink 2's side of a conversation that came in there, in this order: what a
/// later one finds recorded, an earlier one has recorded.
const PATHS: [Path; 10] = [
    path("ingress-tcp", names::PROGRAM_INGRESS, 2, Kind::Ack, OWNED, PASS),
    path("egress-tcp", names::PROGRAM_EGRESS, 2, Kind::Ack, OWNED, PASS),
    path("ingress-syn", names::PROGRAM_INGRESS, 2, Kind::Syn, OWNED, PASS),
    path("egress-syn-ack-redirected", names::PROGRAM_EGRESS, 1, Kind::SynAck, OWNED, REDIRECT),
    path("ingress-udp", names::PROGRAM_INGRESS, 2, Kind::Udp, OWNED, PASS),
    path("egress-udp", names::PROGRAM_EGRESS, 2, Kind::Udp, OWNED, PASS),
    path("egress-udp-redirected", names::PROGRAM_EGRESS, 1, Kind::Udp, OWNED, REDIRECT),
    path("ingress-tcp-shared", names::PROGRAM_INGRESS, 2, Kind::Ack, SHARED, PASS),
    path("egress-tcp-shared", names::PROGRAM_EGRESS, 2, Kind::Ack, SHARED, PASS),
    path("egress-tcp-shared-redirected", names::PROGRAM_EGRESS, 1, Kind::Ack, SHARED, REDIRECT),
];

impl Path {
    fn frame(self, family: usize) -> Vec<u8> {
        let (local, client) = (self.local[family], CLIENT[family]);
        if self.program == names::PROGRAM_INGRESS {
            frame(self.kind, client, local)
        } else {
            frame(self.kind, local, client)
        }
    }
}

/// Measures every path whose name `wanted` takes. On a thread of its own: it gives its
/// capabilities up, all but the unit's.
pub(crate) fn measure_all(
    cpu: usize,
    effort: Effort,
    wanted: impl Fn(&str) -> bool + Send + 'static,
) -> Result<Vec<Measurement>> {
    std::thread::spawn(move || {
        crate::cpu::pin(cpu)?;
        let empty = bpf::empty_program()?;
        let fixture = Rc::new(RefCell::new(Fixture::with_note(0)));
        confirm(&mut fixture.borrow_mut())?;
        let real_time = crate::cpu::RealTime::ask();
        let mut measurements = Vec::new();
        for (family, label) in [(0, "ipv4"), (1, "ipv6")] {
            for path in PATHS {
                let name = format!("program-{}-{label}", path.name);
                if !wanted(&name) {
                    continue;
                }
                let frame = path.frame(family);
                let mut contestants: Vec<Box<dyn Work>> = vec![
                    Box::new(Foreign { name: EMPTY, program: empty.as_fd(), frame: frame.clone() }),
                    Box::new(Run { fixture: Rc::clone(&fixture), path, frame }),
                ];
                let title = format!("{} ({label})", path.name.replace('-', " "));
                let subject = Subject {
                    name: &name,
                    title: &title,
                    unit: "ns per packet",
                    baseline: EMPTY,
                    scale: 1.0,
                };
                measurements.push(measure(subject, &mut contestants, effort)?);
            }
        }
        if wanted(STACK_STORES) {
            measurements.push(stack_stores(empty.as_fd(), effort)?);
        }
        drop(real_time);
        Ok(measurements)
    })
    .join()
    .unwrap_or_else(|_| anyhow::bail!("the program runs panicked"))
}

/// What CAP_PERFMON is for: without it the verifier puts a barrier against speculation behind
/// every store to the stack. It is told by a program of nothing but such stores, because it
/// refuses prroute's own without the capability: they compute with pointers to packets.
fn stack_stores(empty: BorrowedFd<'_>, effort: Effort) -> Result<Measurement> {
    let frame = frame(Kind::Udp, CLIENT[0], OWNED[0]);
    let with = bpf::storing_program(STORES)?;
    caps::drop(None, CapSet::Effective, Capability::CAP_PERFMON).context("drop CAP_PERFMON")?;
    let without = bpf::storing_program(STORES);
    caps::raise(None, CapSet::Effective, Capability::CAP_PERFMON).context("raise CAP_PERFMON")?;
    let without = without?;
    let foreign = |name, program| -> Box<dyn Work + '_> {
        Box::new(Foreign { name, program, frame: frame.clone() })
    };
    let mut contestants = vec![
        foreign(EMPTY, empty),
        foreign("with-cap-perfmon", with.as_fd()),
        foreign("without-cap-perfmon", without.as_fd()),
    ];
    let subject = Subject {
        name: STACK_STORES,
        title: "a program of eight stack stores, with and without CAP_PERFMON",
        unit: "ns per packet",
        baseline: EMPTY,
        scale: 1.0,
    };
    measure(subject, &mut contestants, effort)
}

/// Conversations with every address, confirmed: request, reply, request.
fn confirm(fixture: &mut Fixture) -> Result<()> {
    for family in [0, 1] {
        for local in [OWNED[family], SHARED[family]] {
            let client = CLIENT[family];
            for (request, reply) in [(Kind::Udp, Kind::Udp), (Kind::Syn, Kind::SynAck)] {
                fixture.ingress(2, &frame(request, client, local));
                fixture.egress(1, &frame(reply, local, client));
                let last = if matches!(request, Kind::Syn) { Kind::Ack } else { request };
                fixture.ingress(2, &frame(last, client, local));
            }
        }
    }
    ensure!(
        fixture.flows().iter().filter(|flow| flow.confirmed).count() >= 6,
        "the conversations that are measured are not recorded: {:?}",
        fixture.flows()
    );
    Ok(())
}

/// A program that is not prroute's.
struct Foreign<'p> {
    name: &'static str,
    program: BorrowedFd<'p>,
    frame: Vec<u8>,
}

impl Work for Foreign<'_> {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        bpf::run(self.program, &self.frame, times).map(drop)
    }
}

struct Run {
    fixture: Rc<RefCell<Fixture>>,
    path: Path,
    frame: Vec<u8>,
}

impl Work for Run {
    fn name(&self) -> String {
        "prroute".to_owned()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        let mut fixture = self.fixture.borrow_mut();
        let Path { program, uplink, returns, name, .. } = self.path;
        let returned = fixture.run_often(program, uplink, &self.frame, times);
        ensure!(returned == returns, "{name} returned {returned}, not {returns}");
        Ok(())
    }
}
