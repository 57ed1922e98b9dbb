//! # bench
//!
//! prroute against plain source rules and against marks in conntrack, alternating every few
//! milliseconds on one CPU. `docs/benchmarks.md` says how to read what comes out.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod cgroup;
mod conntrack;
mod contestants;
mod cpu;
mod frames;
mod host;
mod instance;
mod limits;
mod machine;
mod memory;
mod on_hosts;
mod options;
mod programs;
mod report;
mod results;
mod rounds;
mod scale;
mod stack_stores;
mod statistics;
mod targets;
mod traffic;
mod visit;
mod workloads;

use anyhow::{Result, ensure};
use prroute_tests::{command, netns, wait};

use crate::cpu::{RealTime, Steal};
use crate::options::Options;
use crate::results::{Results, SCHEMA};

fn main() -> Result<()> {
    let options = Options::read()?;
    ensure!(nix::unistd::geteuid().is_root(), "the bench needs root: it makes namespaces");
    wait::interrupt_on_signals()?;
    netns::sweep()?;
    limits::raise()?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let (cpu, other_cpu) = (cpus - 1, cpus.checked_sub(2));
    let steal = Steal::so_far(cpu)?;
    let real_time = RealTime::ask().is_granted();

    let mut measurements = programs::measure_all(&options, cpu)?;
    measurements.extend(stack_stores::measure_it(&options, cpu)?);
    let (on_hosts, memory) = on_hosts::measure_all(&options, cpu, other_cpu)?;
    measurements.extend(on_hosts);
    measurements.extend(scale::measure_all(&options, cpu)?);

    let steal = Steal::so_far(cpu)?.percent_since(steal);
    let machine = machine::describe(cpu, real_time, steal)?;
    let results = Results {
        schema: SCHEMA,
        command: options.command(),
        finished: finished()?,
        quick: options.quick,
        targets: targets::judge(&measurements, &memory, machine.memory),
        machine,
        measurements,
        memory,
    };
    report::show_summary(&results);
    if let Some(path) = &options.json {
        report::write_json(&results, path)?;
    }
    Ok(())
}

fn finished() -> Result<String> {
    let date = command::run(&["date", "--utc", "+%Y-%m-%dT%H:%M:%SZ"])?;
    Ok(date.trim().to_owned())
}
