//! The RPM, by cargo-generate-rpm: `[package.metadata.generate-rpm]` of prroute/Cargo.toml.

use std::path::PathBuf;

use anyhow::Result;

use super::program::PROFILE;
use super::{Job, only, output};
use crate::project::{self, quietly};

pub(crate) fn make(job: &Job<'_>) -> Result<PathBuf> {
    let directory = output("rpm")?;
    let mut cargo = job.cargo();
    cargo
        .args(["generate-rpm", "--package", "prroute", "--profile", PROFILE])
        // What this machine's rpm would find depends on this machine.
        .args(["--auto-req", "builtin", "--target", job.target])
        .arg("--target-dir")
        .arg(project::target())
        .arg("--output")
        .arg(&directory);
    quietly(&mut cargo)?;
    only(&directory, "rpm")
}
