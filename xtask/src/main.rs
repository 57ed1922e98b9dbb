//! # xtask
//!
//! prroute's chores: `cargo xtask setup | build | test | vm | bench | demo | package | book`. Each task is a file; each
//! does the set-up that it needs by itself.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod apt;
mod backlog;
mod bench;
mod book;
mod build;
mod cross;
mod demo;
mod failures;
mod package;
mod project;
mod root;
mod setup;
mod tally;
mod target;
mod test;
mod unpack;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use build::Wanted;
use target::Architecture;

/// prroute's build, test, bench and demo tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what build, demo, bench, test and vm need; says first what that is
    ///
    /// What only packages, the book, and builds and guests of another architecture need is left out: `package`, `book`,
    /// `build --target` and `vm --arch` install it themselves, as every task does.
    Setup,
    /// Build the prroute binary and print its path
    Build {
        /// With optimisations
        #[arg(long)]
        release: bool,
        /// For another architecture than this machine's
        #[arg(long, value_name = "TRIPLE", value_parser = target::parse)]
        target: Option<Architecture>,
        /// With no shared library at all
        #[arg(long = "static")]
        is_static: bool,
    },
    /// Run every test (as root: the tests make network namespaces)
    Test {
        /// Run only the tests whose name contains one of these
        #[arg(last = true)]
        filter: Vec<String>,
    },
    /// Run tests on Debian's kernels, in QEMU (as root)
    Vm {
        /// Boot a Debian with systemd and run the cases of a whole system, not namespace tests
        #[arg(long, conflicts_with = "arch")]
        system: bool,
        /// The kernel to boot; without it all, and with --system 6.12
        #[arg(long, value_enum)]
        kernel: Option<vm::Choice>,
        /// The architecture of the guest
        #[arg(long, value_enum, default_value_t = Architecture::HOST)]
        arch: Architecture,
        /// Run only this file of cases, or its tests with PART in their names as FILE::PART; may be given again
        #[arg(long = "case", value_name = "NAME")]
        cases: Vec<String>,
    },
    /// Measure what prroute costs beside connection marks and source rules (as root)
    ///
    /// Builds prroute in release mode and times alternatives in turn, on one CPU, in network
    /// namespaces of its own. A full run takes minutes, and wants a machine with nothing else to
    /// do. docs/benchmarks.md says how it measures and how to read what it writes.
    Bench(bench::Arguments),
    /// Make a Debian package, an RPM and a tar with a static binary, in target/package
    Package(package::Arguments),
    /// Make a web site of the pages in docs/, in target/book
    Book,
    /// Show the main job on a lab of network namespaces (as root)
    Demo {
        /// Leave the lab standing and print how to look inside
        #[arg(long)]
        keep: bool,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    project::complete_search_path();
    match run(cli.task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            match error.downcast_ref::<root::NotRoot>() {
                Some(_) => ExitCode::from(root::PERMISSION_DENIED),
                None => ExitCode::FAILURE,
            }
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Setup => setup::task().map(code),
        Task::Build { release, target, is_static } => {
            let architecture = target.unwrap_or(Architecture::HOST);
            build::task(&Wanted { architecture, release, is_static }).map(code)
        }
        Task::Test { filter } => test::task(&filter).map(code),
        Task::Vm { system: false, kernel, arch, cases } => vm::task(kernel, arch, &cases).map(code),
        Task::Vm { system: true, kernel, cases, .. } => vm::system_task(kernel, &cases).map(code),
        Task::Bench(arguments) => bench::task(&arguments),
        Task::Package(arguments) => package::task(&arguments).map(code),
        Task::Book => book::task().map(code),
        Task::Demo { keep } => demo::task(keep).map(code),
    }
}

/// The exit code of a task that was to show something: whether it is so.
fn code(shown: bool) -> ExitCode {
    if shown { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
