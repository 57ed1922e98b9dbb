//! `cargo xtask vm`: the namespace tests on Debian's other kernels, in QEMU.
//!
//! ```text
//!   package -> kernel and modules -> initramfs -> guest with the host's files -> cases
//! ```
//!
//! A guest sees the host's root directory, read-only, below a file system in memory: the same
//! test programs, and the same nginx, nft and python3, run on another kernel. With `--system` the
//! guest is a Debian 12 of its own: see [`system`].

mod cases;
mod cpio;
mod foreign;
mod guest;
mod initramfs;
mod kernel;
mod machine;
mod system;

use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::build::{self, Wanted};
use crate::package as packages;
use crate::root;
use crate::setup::{self, Prepared, Scope};
use crate::target::Architecture;
use guest::Guest;
use kernel::Kernel;
use machine::Report;

/// What `--kernel` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    #[value(name = "5.10")]
    V5_10,
    #[value(name = "6.1")]
    V6_1,
    #[value(name = "6.12")]
    V6_12,
    Newest,
    All,
}

impl Choice {
    fn kernels(self) -> &'static [Kernel] {
        match self {
            Self::V5_10 => &kernel::ALL[..1],
            Self::V6_1 => &kernel::ALL[1..2],
            Self::V6_12 => &kernel::ALL[2..3],
            Self::Newest => &kernel::ALL[3..],
            Self::All => &kernel::ALL,
        }
    }
}

/// The namespace tests, on all kernels unless one is chosen.
pub(crate) fn task(
    choice: Option<Choice>,
    architecture: Architecture,
    wanted: &[String],
) -> Result<bool> {
    let scope = if architecture.is_foreign() { Scope::VmCross } else { Scope::Vm };
    let prepared = prepare(scope)?;
    let binary = build::binary(&prepared, &Wanted { architecture, ..Wanted::default() })?;
    let cases = cases::select(&cases::build(&prepared, architecture)?, wanted)?;
    on_each(choice.unwrap_or(Choice::All), |kernel| {
        Guest { kernel, architecture, binary: &binary }.run(&cases)
    })
}

/// The cases of a guest that boots systemd, on 6.12 unless another kernel is chosen.
pub(crate) fn system_task(choice: Option<Choice>, wanted: &[String]) -> Result<bool> {
    let prepared = prepare(Scope::Vm)?;
    // One that was built elsewhere saves the building.
    let package = match std::env::var_os("PRROUTE_DEB") {
        Some(given) => std::fs::canonicalize(&given)
            .with_context(|| format!("PRROUTE_DEB is {}", given.display()))?,
        None => packages::debian_package(&prepared)?,
    };
    on_each(choice.unwrap_or(Choice::V6_12), |kernel| {
        system::run(&prepared, kernel, &package, wanted)
    })
}

fn prepare(scope: Scope) -> Result<Prepared> {
    root::require("vm", "its guests see the host's files, and load BPF programs")?;
    setup::ensure(scope)
}

/// Runs the cases on each kernel, and sums up.
fn on_each(choice: Choice, run: impl Fn(&Kernel) -> Result<Report>) -> Result<bool> {
    let mut verdicts = Vec::new();
    for kernel in choice.kernels() {
        eprintln!("\n== Linux {}", kernel.name);
        let start = Instant::now();
        let report = run(kernel)?;
        verdicts.push((kernel, report, start.elapsed()));
    }

    println!();
    for (kernel, report, took) in &verdicts {
        let tally = report.tally;
        println!(
            "Linux {}: {} passed, {} failed, in {} s",
            kernel.name,
            tally.passed,
            tally.failed,
            took.as_secs()
        );
        if let Some(reason) = &report.broken {
            eprintln!("failed: Linux {}: {reason}", kernel.name);
        }
    }
    let sum = |count: fn(&Report) -> u64| -> u64 {
        verdicts.iter().map(|(_, report, _)| count(report)).sum()
    };
    println!("total: {} passed, {} failed", sum(|r| r.tally.passed), sum(|r| r.tally.failed));
    Ok(verdicts.iter().all(|(_, report, _)| report.is_good()))
}
