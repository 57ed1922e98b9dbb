//! `cargo xtask test`: every test, the cheap ones first.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use prroute_tests::wait;

use crate::backlog::Backlog;
use crate::build::{self, Wanted};
use crate::failures::Failures;
use crate::root;
use crate::setup::{self, Scope};
use crate::tally::Tally;

/// How many tests of a program run at once; whoever sets it decides.
const THREADS: &str = "RUST_TEST_THREADS";

/// What tests by chance begin with; whoever sets one decides. Fresh inputs would find faults on the day of another
/// change.
const SEEDS: [(&str, &str); 2] = [("PROPTEST_RNG_SEED", "213"), ("PRROUTE_SEED", "213")];

/// A call of cargo test.
struct Stage {
    title: &'static str,
    arguments: &'static [&'static str],
    /// How many tests run at once on each CPU.
    at_once: usize,
}

const LOOK_FOR_SIGNALS: Duration = Duration::from_millis(200);

/// In this order. The host tests tell more about a mistake than the namespace tests that would fail
/// after them.
const STAGES: [Stage; 2] = [
    Stage {
        title: "on the host: units, properties, parser and decisions",
        arguments: &["test", "--workspace", "--exclude", "prroute-tests"],
        at_once: 1,
    },
    // Most of its time a case waits: for a start, an answer, or for silence to have lasted.
    Stage {
        title: "in the kernel: program runs and namespaces",
        arguments: &["test", "--package", "prroute-tests"],
        at_once: 2,
    },
];

pub(crate) fn task(filter: &[String]) -> Result<bool> {
    root::require("test", "the tests make network namespaces and load BPF programs")?;
    let prepared = setup::ensure(Scope::Test)?;
    let binary = build::binary(&prepared, &Wanted::default())?;
    let other = build::other_version(&prepared)?;
    // Whatever ends this, the queue gets its length back.
    wait::interrupt_on_signals()?;
    let _backlog = Backlog::lengthen()?;

    let mut tally = Tally::default();
    let mut failures = Failures::default();
    let mut broken = Vec::new();
    for Stage { title, arguments, at_once } in STAGES {
        eprintln!("\n== {title}");
        let mut cargo = prepared.cargo();
        cargo
            .args(arguments)
            .arg("--no-fail-fast")
            .env("PRROUTE_BIN", &binary)
            .env("PRROUTE_OTHER_BIN", &other);
        if std::env::var_os(THREADS).is_none() {
            let cpus = std::thread::available_parallelism().context("count the CPUs")?;
            cargo.env(THREADS, (cpus.get() * at_once).to_string());
        }
        for (variable, seed) in SEEDS {
            if std::env::var_os(variable).is_none() {
                cargo.env(variable, seed);
            }
        }
        if !filter.is_empty() {
            cargo.arg("--").args(filter);
        }
        if !stage(&mut cargo, &mut tally, &mut failures)? {
            broken.push(title);
        }
    }

    print!("\n{failures}");
    println!("\ntotal: {} passed, {} failed", tally.passed, tally.failed);
    for title in &broken {
        eprintln!("failed: {title}");
    }
    if tally.passed + tally.failed == 0 && broken.is_empty() {
        bail!("no test has a name that contains {}", filter.join(" or "));
    }
    // An ignored test is a promise that nobody checked.
    if tally.ignored > 0 {
        eprintln!("failed: {} tests were ignored", tally.ignored);
    }
    Ok(broken.is_empty() && tally.ignored == 0)
}

/// Runs one stage, shows its output as it comes and counts its results.
fn stage(cargo: &mut Command, tally: &mut Tally, failures: &mut Failures) -> Result<bool> {
    let mut child = cargo
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {cargo:?}"))?;
    let stdout = child.stdout.take().context("cargo test has no output")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        BufReader::new(stdout).split(b'\n').try_for_each(|line| sender.send(line))
    });
    loop {
        // A test that says nothing must not keep a signal from ending this.
        if let Err(interrupted) = wait::check_interrupted() {
            child.kill().context("end cargo test")?;
            child.wait().context("wait for cargo test")?;
            return Err(interrupted);
        }
        let line = match lines.recv_timeout(LOOK_FOR_SIGNALS) {
            Ok(line) => line.context("read the output of cargo test")?,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.count(&line);
        failures.note(&line);
    }
    Ok(child.wait().context("wait for cargo test")?.success())
}
