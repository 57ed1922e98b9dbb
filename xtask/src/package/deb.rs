//! The Debian package, by cargo-deb: `[package.metadata.deb]` of prroute/Cargo.toml.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::libraries::{self, Libraries};
use super::program::PROFILE;
use super::{Job, only, output};
use crate::project::quietly;

/// `program` is the one that goes into it.
pub(crate) fn make(job: &Job<'_>, program: &Path) -> Result<PathBuf> {
    let directory = output("deb")?;
    let mut cargo = job.cargo();
    cargo
        .args(["deb", "--locked", "--package", "prroute", "--no-build", "--no-strip"])
        .args(["--profile", PROFILE, "--target", job.target, "--output"])
        .arg(&directory);
    quietly(&mut cargo)?;
    let package = only(&directory, "deb")?;
    ensure_enough(&package, &Libraries::of(program)?)?;
    Ok(package)
}

/// Else it could be installed where its program does not start.
fn ensure_enough(package: &Path, libraries: &Libraries) -> Result<()> {
    let mut field = Command::new("dpkg-deb");
    let depends = quietly(field.arg("--field").arg(package).arg("Depends"))?;
    let depends = String::from_utf8_lossy(&depends);
    let needed = libraries.glibc()?;
    ensure!(
        libraries::libc6(&depends) >= Some(needed),
        "the program needs version {}.{} of the C library, and the package depends on {}",
        needed.0,
        needed.1,
        depends.trim()
    );
    Ok(())
}
