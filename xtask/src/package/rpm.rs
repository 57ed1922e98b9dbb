//! The RPM, by cargo-generate-rpm: `[package.metadata.generate-rpm]` of prroute/Cargo.toml.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::libraries::Libraries;
use super::program::PROFILE;
use super::{Job, only, output};
use crate::project::{self, quietly};

/// `program` is the one that goes into it.
pub(crate) fn make(job: &Job<'_>, program: &Path) -> Result<PathBuf> {
    let directory = output("rpm")?;
    let requirements = Libraries::of(program)?.requirements();
    let mut cargo = job.cargo();
    cargo
        .args([
            "generate-rpm",
            "--package",
            "prroute",
            "--profile",
            PROFILE,
            "--target",
            job.target,
        ])
        .arg("--auto-req")
        .arg(finder(&output("requirements")?, &requirements)?)
        .arg("--target-dir")
        .arg(project::target())
        .arg("--output")
        .arg(&directory);
    quietly(&mut cargo)?;
    let package = only(&directory, "rpm")?;
    ensure_required(&package, &requirements)?;
    Ok(package)
}

/// A program of the kind that finds the requirements of files, which prints these. What the tool finds by itself
/// is what `ldd` says, which is nothing of another architecture's program; what this machine's rpm finds depends
/// on this machine.
fn finder(directory: &Path, requirements: &[String]) -> Result<PathBuf> {
    let finder = directory.join("find");
    let text =
        format!("#!/bin/sh\ncat > /dev/null\ncat <<'EOF'\n{}\nEOF\n", requirements.join("\n"));
    fs::write(&finder, text).with_context(|| format!("write {}", finder.display()))?;
    fs::set_permissions(&finder, Permissions::from_mode(0o755))
        .with_context(|| format!("make {} executable", finder.display()))?;
    Ok(finder)
}

/// The tool passes over what does not print anything.
fn ensure_required(package: &Path, requirements: &[String]) -> Result<()> {
    let printed =
        quietly(Command::new("rpm").args(["--query", "--requires", "--package"]).arg(package))?;
    let printed = String::from_utf8_lossy(&printed);
    let is_there = |wanted: &&String| printed.lines().any(|line| line.trim() == wanted.as_str());
    let missing = requirements.iter().find(|wanted| !is_there(wanted));
    ensure!(missing.is_none(), "the package does not require {}", missing.map_or("", |name| name));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::finder;
    use crate::project::quietly;

    #[test]
    fn the_requirements_are_printed_whatever_the_files() {
        let directory = std::env::temp_dir().join(format!("prroute-finder-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let wanted = ["libc.so.6()(64bit)", "rtld(GNU_HASH)"].map(str::to_owned);
        let finder = finder(&directory, &wanted).unwrap();
        let script = format!("yes /usr/bin/prroute | head -n 100000 | {}", finder.display());
        let printed = quietly(Command::new("sh").args(["-c", &script])).unwrap();
        assert_eq!(String::from_utf8(printed).unwrap(), wanted.join("\n") + "\n");
        fs::remove_dir_all(&directory).unwrap();
    }
}
