//! `cargo xtask package`: what users install.
//!
//! ```text
//!   program -> stage (pages, licences, changelog) -> deb -> rpm
//!   static program + the deb's files -> tar
//!   bill of materials, checksums
//! ```
//!
//! All of it lies in `target/package`, wherever cargo builds. Two packages of one commit are the same.

mod again;
mod check;
mod commit;
mod deb;
mod libraries;
mod licences;
mod paths;
mod program;
mod rpm;
mod sbom;
mod stage;
mod standard;
mod sums;
mod tarball;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use commit::Commit;
use program::Linking;

use crate::project;
use crate::setup::{self, Prepared, Scope};
use crate::target::{self, Architecture};

/// What the BPF object inside the program is built for.
const BPF_TARGET: &str = "bpfel-unknown-none";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The target that the packages are for
    #[arg(long, default_value = Architecture::HOST.triple(), value_parser = target::parse)]
    target: Architecture,
    /// Have lintian and rpmlint look at the packages, and cargo-deny at what they are made of
    #[arg(long)]
    check: bool,
    /// Make them a second time, in another folder, and fail unless they are the same
    #[arg(long)]
    reproducible: bool,
}

/// What one package is made of, and where.
#[derive(Debug)]
struct Job<'a> {
    prepared: &'a Prepared,
    architecture: Architecture,
    target: &'static str,
    commit: Commit,
}

impl<'a> Job<'a> {
    fn new(prepared: &'a Prepared, architecture: Architecture) -> Result<Self> {
        let target = architecture.triple();
        Ok(Self { prepared, architecture, target, commit: Commit::of_this_tree()? })
    }

    /// A cargo that knows how old the sources are: what it runs may write no other time.
    fn cargo(&self) -> std::process::Command {
        self.dated(self.prepared.cargo())
    }

    /// Likewise, one that builds for the packages' architecture.
    fn building_cargo(&self) -> Result<std::process::Command> {
        Ok(self.dated(self.prepared.cargo_for(self.architecture)?))
    }

    fn dated(&self, mut cargo: std::process::Command) -> std::process::Command {
        cargo.env("SOURCE_DATE_EPOCH", self.commit.seconds.to_string());
        // Its own programs are found as `cargo NAME`.
        let mut path = vec![project::tools().join("bin")];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        if let Ok(path) = std::env::join_paths(path) {
            cargo.env("PATH", path);
        }
        cargo
    }
}

/// An empty directory for what one tool writes.
fn output(name: &str) -> Result<PathBuf> {
    let directory = directory().join(name);
    project::remove(&directory)?;
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    Ok(directory)
}

/// The one file with this extension in a directory.
fn only(directory: &Path, extension: &str) -> Result<PathBuf> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let found = paths.find(|path| path.extension().is_some_and(|end| end == extension));
    found.with_context(|| format!("no .{extension} in {}", directory.display()))
}

/// Where all of it is written.
fn directory() -> PathBuf {
    project::root().join("target/package")
}

pub(crate) fn task(arguments: &Arguments) -> Result<bool> {
    if arguments.target.is_foreign() {
        setup::ensure(Scope::Cross)?;
    }
    let prepared = setup::ensure(Scope::Package)?;
    let job = Job::new(&prepared, arguments.target)?;
    if arguments.reproducible {
        again::ensure_committed()?;
    }
    let dynamic = program::build(&job, Linking::Dynamic)?;
    let fixed = program::build(&job, Linking::Static)?;
    stage::fill(&job)?;
    let deb = deb::make(&job, &dynamic)?;
    let tar = tarball::make(&job, &deb, &fixed)?;
    let mut files = vec![deb, rpm::make(&job, &dynamic)?, tar, stage::third_party(&job)?];
    files.extend(sbom::make(&job)?);
    let files = sums::publish(&files)?;
    println!("{}", sums::size("prroute in deb and rpm", &dynamic)?);
    println!("{}", sums::size("prroute in tar, static", &fixed)?);
    for file in &files {
        println!("{}", sums::size(&file.display().to_string(), file)?);
    }
    if arguments.check {
        check::deb(&files[0])?;
        check::rpm(&files[1])?;
        check::dependencies(&job)?;
    }
    if arguments.reproducible {
        again::compare(&job, &files)?;
        println!("made again in another folder: the same");
    }
    Ok(true)
}

/// The Debian package alone, for a guest that installs it.
pub(crate) fn debian_package(prepared: &Prepared) -> Result<PathBuf> {
    let job = Job::new(prepared, Architecture::HOST)?;
    let program = program::build(&job, Linking::Dynamic)?;
    stage::fill(&job)?;
    deb::make(&job, &program)
}
