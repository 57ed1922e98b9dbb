//! The programs that are packaged: linked with the system's libraries, or with everything inside.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Job;
use super::paths::Folders;
use crate::cross;
use crate::project::{self, quietly};

/// The profile of the workspace's Cargo.toml: optimised, stripped, no debug information.
pub(crate) const PROFILE: &str = "shipped";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linking {
    /// With the C library of the system: what a distribution's package has.
    Dynamic,
    /// With no library at all, for systems whose C library is another one or older.
    Static,
}

/// Builds it and says where it is.
pub(crate) fn build(job: &Job<'_>, linking: Linking) -> Result<PathBuf> {
    let mut target_directory = project::target();
    let folders = Folders::of(job)?;
    let mut flags = folders.renaming();
    flags.extend(cross::flags(job.architecture)?);
    let mut cargo = job.building_cargo()?;
    cargo.args(["build", "--locked", "--package", "prroute", "--bin", "prroute"]).args([
        "--profile",
        PROFILE,
        "--target",
        job.target,
    ]);
    if linking == Linking::Static {
        // Of its own, so that neither builds the other's crates again.
        target_directory.push("static");
        cargo.arg("--target-dir").arg(&target_directory);
        flags.push("-Ctarget-feature=+crt-static".to_owned());
    }
    // With --target they are for the target alone, and not for build scripts and macros; other flags of
    // this machine do not count.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    let status = cargo.status().with_context(|| format!("run {cargo:?}"))?;
    ensure!(status.success(), "{cargo:?}: {status}");
    let program = target_directory.join(job.target).join(PROFILE).join("prroute");
    let is_static = is_static(&program)?;
    ensure!(
        is_static == (linking == Linking::Static),
        "{} should be linked otherwise: {linking:?}",
        program.display()
    );
    folders.ensure_unnamed_in(&program)?;
    Ok(program)
}

/// Whether the program asks for no loader of shared libraries.
fn is_static(program: &Path) -> Result<bool> {
    let headers = quietly(Command::new("readelf").args(["--program-headers", "-W"]).arg(program))?;
    Ok(!String::from_utf8_lossy(&headers).contains(" INTERP "))
}
