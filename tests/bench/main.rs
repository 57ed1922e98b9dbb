//! # bench
//!
//! prroute against plain source rules and against marks in conntrack, alternating every few
//! milliseconds on one CPU. `docs/benchmarks.md` says how to read what comes out.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod cgroup;
mod conntrack;
mod cpu;
mod exchange;
#[path = "../cases/programs/fixture.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "shared with the tests of the programs")]
mod fixture;
mod flood;
#[path = "../cases/programs/frames.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "shared with the tests of the programs")]
mod frames;
mod host;
mod instance;
mod limits;
mod memory;
mod programs;
mod report;
mod results;
mod rounds;
mod scale;
mod statistics;
mod targets;
mod two_cpus;
mod workloads;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use prroute_tests::netns;
use prroute_tests::scratch::Scratch;

use crate::cpu::{RealTime, Steal};
use crate::host::{Host, Variant};
use crate::instance::Running;
use crate::results::{Contestant, Measurement, Memory, Results, SCHEMA, Target, Verdict};
use crate::rounds::{Effort, Subject, measure};
use crate::workloads::{Setting, Workload};

/// Measures prroute against its alternatives
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Few rounds: shows that everything works; the figures mean little
    #[arg(long)]
    quick: bool,
    /// Write all results, with every sample, to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with charts, and the results, to this directory
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Measure only what has one of these in its name
    filter: Vec<String>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

const THOROUGH: Effort = Effort { rounds: 400, turn: Duration::from_millis(2) };
const QUICK: Effort = Effort { rounds: 15, turn: Duration::from_millis(1) };

/// Programs alone are less disturbed.
const THOROUGH_PROGRAMS: Effort = Effort { rounds: 150, turn: Duration::from_millis(1) };

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|part| name.contains(part.as_str()))
    }

    fn effort(&self) -> Effort {
        if self.quick { QUICK } else { THOROUGH }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(nix::unistd::geteuid().is_root(), "the bench needs root: it makes namespaces");
    prroute_tests::wait::interrupt_on_signals()?;
    netns::sweep()?;
    limits::raise()?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let (cpu, other_cpu) = (cpus - 1, cpus.checked_sub(2));
    let steal = Steal::so_far(cpu)?;

    let mut measurements = program_runs(&options, cpu)?;
    let real_time = RealTime::ask().is_granted();
    let (hosts, memory) = host_runs(&options, cpu, other_cpu)?;
    measurements.extend(hosts);
    let large = scale::measure_all(cpu, options.effort(), |name| options.wants(name))?;
    large.iter().for_each(show);
    measurements.extend(large);

    let targets = targets::judge(&measurements, &memory);
    for target in &targets {
        println!("{}", target_line(target));
    }
    let steal = Steal::so_far(cpu)?.percent_since(steal);
    let results = Results {
        schema: SCHEMA.to_owned(),
        command: command_line(&options),
        finished: finished()?,
        quick: options.quick,
        machine: cpu::machine(cpu, real_time, steal)?,
        targets,
        measurements,
        memory,
    };
    if let Some(path) = &options.json {
        report::write_json(&results, path)?;
    }
    if let Some(directory) = &options.report {
        println!("\nreport: {}", report::write(&results, directory)?.display());
    }
    Ok(())
}

fn program_runs(options: &Options, cpu: usize) -> Result<Vec<Measurement>> {
    let effort = if options.quick { QUICK } else { THOROUGH_PROGRAMS };
    let options = options.clone();
    let measurements = programs::measure_all(cpu, effort, move |name| options.wants(name))?;
    measurements.iter().for_each(show);
    Ok(measurements)
}

/// Everything between sockets, and the memory of the flows that were recorded meanwhile.
fn host_runs(
    options: &Options,
    cpu: usize,
    other_cpu: Option<usize>,
) -> Result<(Vec<Measurement>, Vec<Memory>)> {
    let wanted: Vec<Workload> = workloads::all(options.quick, other_cpu)
        .into_iter()
        .filter(|workload| options.wants(&workload.name))
        .collect();
    if wanted.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    cpu::pin(cpu)?;
    let tsc_per_ns = cpu::tsc_per_ns();
    let scratch = Scratch::create(&netns::unique_name(), false)?;
    let (mut measurements, mut memory) = (Vec::new(), Vec::new());
    for setting in Setting::ALL {
        let group: Vec<&Workload> =
            wanted.iter().filter(|workload| workload.setting == setting).collect();
        let variants: Vec<Variant> = Variant::ALL
            .into_iter()
            .filter(|variant| group.iter().any(|workload| workload.variants.contains(variant)))
            .collect();
        let hosts: Vec<Host> = variants
            .iter()
            .map(|variant| Host::build(*variant, setting == Setting::Container))
            .collect::<Result<_>>()?;
        // Only now: conntrack is loaded by the first host that needs it.
        let _room = conntrack::Room::make()?;
        let running: Vec<Running<'_>> = hosts
            .iter()
            .filter_map(|host| Running::start(host, &scratch, setting.flows()).transpose())
            .collect::<Result<_>>()?;
        for workload in group {
            let measured = on_hosts(workload, &hosts, options.effort(), tsc_per_ns)?;
            show(&measured);
            measurements.push(measured);
        }
        if let (Setting::Ordinary, Some(first)) = (setting, running.first()) {
            memory = memory::of_flows(first.name())?;
        }
    }
    Ok((measurements, memory))
}

fn on_hosts(
    workload: &Workload,
    hosts: &[Host],
    effort: Effort,
    tsc_per_ns: Option<f64>,
) -> Result<Measurement> {
    prroute_tests::wait::check_interrupted()?;
    let takes_part = |host: &&Host| workload.variants.contains(&host.variant);
    let mut contestants = hosts
        .iter()
        .filter(takes_part)
        .map(|host| {
            let opened = workload.open(host);
            opened.with_context(|| format!("{}: {}", workload.name, host.variant.name()))
        })
        .collect::<Result<Vec<_>>>()?;
    let subject = Subject {
        name: &workload.name,
        title: &workload.title,
        unit: workload.unit,
        baseline: Variant::SourceRules.name(),
        scale: workload.scale(tsc_per_ns)?,
    };
    let _real_time = RealTime::ask();
    measure(subject, &mut contestants, effort)
}

fn show(measurement: &Measurement) {
    println!("\n{} ({})", measurement.title, measurement.unit);
    for contestant in &measurement.contestants {
        println!("{}", contestant_line(contestant));
    }
}

fn contestant_line(contestant: &Contestant) -> String {
    let time = contestant.time.median;
    let line = format!("  {:<28} {time:>10.1}", contestant.name);
    let Some(added) = contestant.added else { return line + "   baseline" };
    let [low, high] = added.confidence;
    let doubt = if added.resolved { "" } else { "   not resolved" };
    line + &format!(
        "   {:>+9.1}  quartiles {:+.1} {:+.1}  95 % {low:+.1} {high:+.1}{doubt}",
        added.spread.median, added.spread.lower_quartile, added.spread.upper_quartile
    )
}

fn target_line(target: &Target) -> String {
    let verdict = match target.verdict {
        Verdict::Pass => "pass",
        Verdict::Miss => "MISS",
        Verdict::NotResolved => "not resolved",
        Verdict::NotMeasured => "not measured",
    };
    let figure = match (target.measured, target.confidence) {
        (Some(measured), Some([low, high])) => {
            format!("{measured:.1} {} (95 %: {low:.1} to {high:.1})", target.unit)
        }
        _ => String::new(),
    };
    format!("{verdict:<13} {}: {}  {figure}", target.what, target.promise)
}

fn command_line(options: &Options) -> String {
    let quick = if options.quick { " --quick" } else { "" };
    let filter = options.filter.iter().map(|part| format!(" {part}")).collect::<String>();
    let filter = if filter.is_empty() { filter } else { format!(" --{filter}") };
    format!("cargo xtask bench{quick}{filter}")
}

fn finished() -> Result<String> {
    let date = prroute_tests::command::run(&["date", "--utc", "+%Y-%m-%dT%H:%M:%SZ"])?;
    Ok(date.trim().to_owned())
}
