//! What CAP_PERFMON is for: without it the verifier puts a barrier against speculation behind
//! every store to the stack. It is told by a program of nothing but such stores, because it
//! refuses prroute's own without the capability: they compute with pointers to packets.

use std::os::fd::{AsFd as _, BorrowedFd};

use anyhow::{Context as _, Result, bail};
use caps::{CapSet, Capability};
use prroute_tests::{bpf, capability};

use crate::frames::{self, Kind, Local};
use crate::options::Options;
use crate::report;
use crate::results::Measurement;
use crate::rounds::{Effort, Subject, Work, measure};
use prroute_tests::addressing::Family;

const NAME: &str = "program-stack-stores";
const EMPTY: &str = "empty-program";
const STORES: i16 = 8;

/// On a thread of its own: it gives its capabilities up, all but the unit's.
pub(crate) fn measure_it(options: &Options, cpu: usize) -> Result<Option<Measurement>> {
    if !options.wants(NAME) {
        return Ok(None);
    }
    let effort = options.effort_of_programs();
    let thread = std::thread::spawn(move || {
        crate::cpu::pin(cpu)?;
        capability::keep_the_units()?;
        with_and_without(effort)
    });
    let measured = thread.join().unwrap_or_else(|_| bail!("{NAME} panicked"))?;
    report::show(&measured);
    Ok(Some(measured))
}

fn with_and_without(effort: Effort) -> Result<Measurement> {
    let frame = frames::frame(Kind::Udp, 2, Local::Owned, Family::V4, false)?;
    let empty = bpf::empty_program()?;
    let with = bpf::storing_program(STORES)?;
    caps::drop(None, CapSet::Effective, Capability::CAP_PERFMON).context("drop CAP_PERFMON")?;
    let without = bpf::storing_program(STORES);
    caps::raise(None, CapSet::Effective, Capability::CAP_PERFMON).context("raise CAP_PERFMON")?;
    let without = without?;
    let run = |name, program| -> Box<dyn Work + '_> {
        Box::new(Run { name, program, frame: frame.clone() })
    };
    let mut contestants = vec![
        run(EMPTY, empty.as_fd()),
        run("with-cap-perfmon", with.as_fd()),
        run("without-cap-perfmon", without.as_fd()),
    ];
    let subject = Subject {
        name: NAME,
        title: "a program of eight stack stores, with and without CAP_PERFMON",
        unit: "ns per packet",
        baseline: EMPTY,
        scale: 1.0,
    };
    measure(subject, &mut contestants, effort)
}

struct Run<'p> {
    name: &'static str,
    program: BorrowedFd<'p>,
    frame: Vec<u8>,
}

impl Work for Run<'_> {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        bpf::run(self.program, &self.frame, times).map(drop)
    }
}
