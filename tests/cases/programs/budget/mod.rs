//! What the programs cost the kernel must not grow unnoticed: instructions that the verifier
//! walked, bytes before and after the JIT, bytes of map keys and values, each against
//! `tests/budget.toml`.
#![expect(clippy::print_stdout, reason = "figures for the log of a run")]

mod compare;
mod figures;
mod file;

use std::io::{self, Write as _};

use anyhow::{Result, ensure};

use compare::compare;
use file::{Budget, KernelFamily};

/// Set to the reason for a new figure, writes what was measured into the budget.
const RECORD: &str = "PRROUTE_WRITE_BUDGET";

/// What the compiler calls to copy, fill or compare larger values: by bytes, which takes long, and tears the
/// words of a map's value that other processors read meanwhile.
const BY_BYTES: [&str; 5] = ["memcpy(", "memmove(", "memset(", "memcmp(", "bcmp("];

/// But for the decision log, whose lines are text.
#[test]
fn no_program_goes_through_memory_by_bytes() -> Result<()> {
    for (program, functions) in figures::measure("bytes")?.functions {
        ensure!(functions.len() > 1 || !program.contains("gress"), "{program}: {functions:?}");
        let goes = |head: &&String| BY_BYTES.iter().any(|name| head.contains(name));
        let by_bytes: Vec<_> = functions.iter().filter(goes).collect();
        ensure!(
            by_bytes.is_empty() || program.contains("--log-packets"),
            "{program}: {by_bytes:?}"
        );
    }
    Ok(())
}

#[test]
fn no_program_and_no_map_outgrows_its_budget() -> Result<()> {
    let kernel = KernelFamily::running()?;
    let measured = figures::measure("budget")?;
    println!("{measured}");
    let mut budget = Budget::load()?;
    if let Ok(reason) = std::env::var(RECORD) {
        ensure!(!reason.trim().is_empty(), "{RECORD} has to say why the figures changed");
        budget.record(&kernel, &measured, reason.trim());
        // Past the test runner, which keeps what is printed: a guest's file goes with the guest.
        writeln!(io::stderr(), "{}", budget.entries(&kernel)?)?;
        return budget.save();
    }
    let comparison = compare(&budget, &kernel, &measured);
    for remark in &comparison.remarks {
        println!("{remark}");
    }
    ensure!(
        comparison.excesses.is_empty(),
        "over the budget in {}:\n  {}\nIf it must be so, record it with the reason:\n  \
         {RECORD}='why' cargo test -p prroute-tests --test programs budget",
        file::path().display(),
        comparison.excesses.join("\n  ")
    );
    Ok(())
}
