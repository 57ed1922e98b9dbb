//! Each program on each kind of packet (BPF_PROG_TEST_RUN) against an empty one.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result, ensure};
use nix::net::if_::if_nametoindex;
use prroute_tests::addressing::{self, Family};
use prroute_tests::bpf::{self, Direction};
use prroute_tests::netns;
use prroute_tests::scratch::Scratch;

use crate::contestants::{self, Variant};
use crate::cpu::{self, RealTime};
use crate::frames::{self, Kind, LOCALS, Local};
use crate::host::{Behind, Host};
use crate::instance::Running;
use crate::options::Options;
use crate::report;
use crate::results::Measurement;
use crate::rounds::{Subject, Work, measure};
use crate::visit::Visit;

const EMPTY: &str = "empty-program";

/// TCX_NEXT: the packet goes on as if the program were not there.
const PASS: i32 = -1;
/// TC_ACT_REDIRECT.
const REDIRECT: i32 = 7;

/// A program run on one packet.
#[derive(Clone, Copy)]
struct Path {
    name: &'static str,
    direction: Direction,
    /// Of the uplink the packet is on.
    uplink: u8,
    kind: Kind,
    /// Whose address it is to, or from.
    local: Local,
    returns: i32,
}

const fn comes_in(name: &'static str, kind: Kind, local: Local) -> Path {
    Path { name, direction: Direction::Ingress, uplink: 2, kind, local, returns: PASS }
}

const fn leaves(name: &'static str, uplink: u8, kind: Kind, local: Local) -> Path {
    let returns = if uplink == 2 { PASS } else { REDIRECT };
    Path { name, direction: Direction::Egress, uplink, kind, local, returns }
}

/// All of them on uplink 2's side of a conversation that came in there. A redirect cannot be
/// repeated: the packet carries a note that it was decided about, and the next run sees it.
const PATHS: [Path; 8] = [
    comes_in("ingress-tcp", Kind::Ack, Local::Owned),
    leaves("egress-tcp", 2, Kind::Ack, Local::Owned),
    comes_in("ingress-syn", Kind::Syn, Local::Owned),
    leaves("egress-syn-ack", 2, Kind::SynAck, Local::Owned),
    comes_in("ingress-udp", Kind::Udp, Local::Owned),
    leaves("egress-udp", 2, Kind::Udp, Local::Owned),
    comes_in("ingress-tcp-shared", Kind::Ack, Local::Shared),
    leaves("egress-tcp-shared", 2, Kind::Ack, Local::Shared),
];

fn all() -> impl Iterator<Item = (Family, Path)> {
    Family::BOTH.into_iter().flat_map(|family| PATHS.map(|path| (family, path)))
}

/// What a complete run measures here, and against whom.
#[cfg(test)]
pub(crate) fn measured() -> Vec<(String, Vec<String>)> {
    let contestants = contestants::PRROUTES.map(|variant| variant.name.to_owned());
    all().map(|(family, path)| (path.measurement(family), contestants.to_vec())).collect()
}

/// Measures every path that the command line takes.
pub(crate) fn measure_all(options: &Options, cpu: usize) -> Result<Vec<Measurement>> {
    let wanted: Vec<(Family, Path)> =
        all().filter(|(family, path)| options.wants(&path.measurement(*family))).collect();
    let variants = contestants::PRROUTES.into_iter().filter(|variant| options.takes(*variant));
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    cpu::pin(cpu)?;
    let scratch = Scratch::create(&netns::unique_name(), false)?;
    let hosts = variants.map(build).collect::<Result<Vec<_>>>()?;
    let loaded = hosts
        .iter()
        .map(|host| Loaded::start(host, &scratch, options).with_context(|| host.variant.name))
        .collect::<Result<Vec<_>>>()?;
    let Some(somewhere) = hosts.first() else { return Ok(Vec::new()) };
    let empty = bpf::empty_program()?;
    let mut measurements = Vec::new();
    for (family, path) in wanted {
        let frame = path.frame(family)?;
        let mut works: Vec<Box<dyn Work + '_>> = vec![Box::new(Run {
            name: EMPTY,
            program: empty.as_fd(),
            visit: Visit::to(&somewhere.host)?,
            ifindex: loaded[0].ifindex(path.uplink),
            frame: frame.clone(),
            returns: PASS,
        })];
        for loaded in &loaded {
            works.push(Box::new(loaded.run(path, frame.clone())?));
        }
        let subject = Subject {
            name: &path.measurement(family),
            title: &format!("{} ({family})", path.name.replace('-', " ")),
            unit: "ns per packet",
            baseline: EMPTY,
            scale: 1.0,
        };
        let _real_time = RealTime::ask();
        let measured = measure(subject, &mut works, options.effort_of_programs())?;
        report::show(&measured);
        measurements.push(measured);
    }
    Ok(measurements)
}

/// A host with an address that belongs to no uplink alone.
fn build(variant: Variant) -> Result<Host> {
    let host = Host::build(variant, Behind::Nobody)?;
    for family in Family::BOTH {
        let (shared, length) = (addressing::shared(family), addressing::full_length(family));
        host.host.ip(&format!("address add {shared}/{length} dev lo"))?;
    }
    Ok(host)
}

/// The programs of a prroute that runs; they are run on packets that go nowhere.
struct Loaded<'h> {
    host: &'h Host,
    _running: Running<'h>,
    ingress: OwnedFd,
    egress: OwnedFd,
    uplinks: [u32; 2],
}

impl<'h> Loaded<'h> {
    fn start(host: &'h Host, scratch: &Scratch, options: &Options) -> Result<Self> {
        let prroute = host.variant.prroute().context("no prroute is to run there")?;
        let running = Running::start(host, scratch, prroute, None, options)?;
        let program =
            |direction| bpf::first_tcx_program(&host.host, &addressing::device(2), direction);
        let uplinks = host.host.inside(|| {
            let index = |number| if_nametoindex(addressing::device(number).as_str());
            Ok([index(1)?, index(2)?])
        })?;
        let (ingress, egress) = (program(Direction::Ingress)?, program(Direction::Egress)?);
        let loaded = Self { host, _running: running, ingress, egress, uplinks };
        loaded.confirm()?;
        Ok(loaded)
    }

    fn ifindex(&self, uplink: u8) -> u32 {
        self.uplinks[usize::from(uplink) - 1]
    }

    fn run(&self, path: Path, frame: Vec<u8>) -> Result<Run<'_>> {
        Ok(Run {
            name: self.host.variant.name,
            program: match path.direction {
                Direction::Ingress => self.ingress.as_fd(),
                Direction::Egress => self.egress.as_fd(),
            },
            visit: Visit::to(&self.host.host)?,
            ifindex: self.ifindex(path.uplink),
            frame,
            returns: path.returns,
        })
    }

    /// Conversations with every address, confirmed: request, reply, request. That they are
    /// recorded is seen by the replies, which are redirected.
    fn confirm(&self) -> Result<()> {
        for family in Family::BOTH {
            for local in LOCALS {
                for [request, reply, last] in [[Kind::Udp; 3], [Kind::Syn, Kind::SynAck, Kind::Ack]]
                {
                    for path in [
                        comes_in("request", request, local),
                        leaves("reply", 1, reply, local),
                        comes_in("confirmation", last, local),
                    ] {
                        self.run(path, path.frame(family)?)?.work(1)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Path {
    fn measurement(self, family: Family) -> String {
        format!("program-{}-{}", self.name, family.to_string().to_lowercase())
    }

    fn frame(self, family: Family) -> Result<Vec<u8>> {
        let is_reply = self.direction == Direction::Egress;
        frames::frame(self.kind, self.uplink, self.local, family, is_reply)
    }
}

/// A program on a packet.
struct Run<'p> {
    name: &'static str,
    program: BorrowedFd<'p>,
    /// Where the packet's device is.
    visit: Visit,
    ifindex: u32,
    frame: Vec<u8>,
    returns: i32,
}

impl Work for Run<'_> {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        let run = || bpf::run_on(self.program, self.ifindex, &self.frame, times);
        let returned = self.visit.run(run)?;
        ensure!(returned == self.returns, "a program returned {returned}, not {}", self.returns);
        Ok(())
    }
}
