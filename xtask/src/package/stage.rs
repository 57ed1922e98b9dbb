//! What is generated for the packages: manual pages, licences of other people's code, the changelog.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Job, directory, licences, output, sums};
use crate::project::{self, quietly};

/// Licences of the crates that are inside the program.
const THIRD_PARTY: &str = "THIRD-PARTY.txt";

/// Where the packages' metadata (prroute/Cargo.toml) finds it.
fn stage() -> PathBuf {
    directory().join("stage")
}

/// Makes everything anew.
pub(crate) fn fill(job: &Job<'_>) -> Result<()> {
    let stage = output("stage")?;
    pages(job, &stage.join("man"))?;
    let changelog = stage.join("changelog");
    fs::copy(project::root().join("CHANGELOG.md"), &changelog)
        .with_context(|| format!("copy to {}", changelog.display()))?;
    gzip(&changelog)?;
    let third_party = stage.join(THIRD_PARTY);
    fs::write(&third_party, licences::text(job)?)
        .with_context(|| format!("write {}", third_party.display()))
}

/// A copy of the licences beside the packages, which have other crates on other architectures.
pub(crate) fn third_party(job: &Job<'_>) -> Result<PathBuf> {
    let copy = directory().join(sums::name("THIRD-PARTY", job.architecture, "txt"));
    fs::copy(stage().join(THIRD_PARTY), &copy)
        .with_context(|| format!("copy to {}", copy.display()))?;
    Ok(copy)
}

/// Every manual page, compressed.
fn pages(job: &Job<'_>, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    let mut cargo = job.cargo();
    cargo.args(["run", "--quiet", "--locked", "--package", "prroute-man", "--"]);
    quietly(cargo.arg(directory).arg(&job.commit.date))?;
    let entries =
        fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    for entry in entries {
        gzip(&entry.context("read a directory")?.path())?;
    }
    Ok(())
}

/// Without the time: the same text is always the same file.
fn gzip(file: &Path) -> Result<()> {
    quietly(Command::new("gzip").args(["--best", "--no-name", "--force"]).arg(file)).map(drop)
}
