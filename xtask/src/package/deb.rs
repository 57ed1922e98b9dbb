//! The Debian package, by cargo-deb: `[package.metadata.deb]` of prroute/Cargo.toml.

use std::path::PathBuf;

use anyhow::Result;

use super::program::PROFILE;
use super::{Job, only, output};
use crate::project::quietly;

pub(crate) fn make(job: &Job<'_>) -> Result<PathBuf> {
    let directory = output("deb")?;
    let mut cargo = job.cargo();
    cargo
        .args(["deb", "--locked", "--package", "prroute", "--no-build", "--no-strip"])
        .args(["--profile", PROFILE, "--target", job.target, "--output"])
        .arg(&directory);
    quietly(&mut cargo)?;
    only(&directory, "deb")
}
