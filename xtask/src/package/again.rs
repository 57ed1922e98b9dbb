//! The packages once more, of the same commit in another folder: they must be the same, byte for byte.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Job, directory, output, sums};
use crate::project::{self, quietly};

/// A clone has what is committed.
pub(crate) fn ensure_committed() -> Result<()> {
    let mut git = Command::new("git");
    git.args(["status", "--porcelain", "--untracked-files=no"]).current_dir(project::root());
    let changed = String::from_utf8_lossy(&quietly(&mut git)?).into_owned();
    ensure!(
        changed.is_empty(),
        "--reproducible compares builds of a commit; commit first:\n{changed}"
    );
    Ok(())
}

/// Makes them, compares their checksums with those of the first, and fails with the names of those that differ.
/// Others than `files` may lie beside the first, made for another architecture.
pub(crate) fn compare(job: &Job<'_>, files: &[PathBuf]) -> Result<()> {
    let clone = clone_into(&output("again")?.join("in-another-folder"))?;
    let mut cargo = job.cargo();
    cargo
        .args(["xtask", "package", "--target", job.target])
        .current_dir(&clone)
        // It builds everything for itself.
        .env_remove("CARGO_TARGET_DIR");
    let status = cargo.status().with_context(|| format!("run {cargo:?}"))?;
    ensure!(status.success(), "{cargo:?}: {status}");
    let again = clone.join("target/package").join(sums::LIST);
    let first = of(files, &read(&directory().join(sums::LIST))?);
    let differing = differing(&first, &read(&again)?);
    ensure!(
        differing.is_empty(),
        "another folder, another result: {}; the others are in {}",
        differing.join(", "),
        clone.join("target/package").display()
    );
    fs::remove_dir_all(&clone).with_context(|| format!("remove {}", clone.display()))
}

fn clone_into(clone: &Path) -> Result<PathBuf> {
    let mut git = Command::new("git");
    quietly(git.args(["clone", "--quiet"]).arg(project::root()).arg(clone))?;
    // What was set up once serves both.
    symlink(project::tools(), clone.join(".tools")).context("link .tools")?;
    Ok(clone.to_owned())
}

fn read(list: &Path) -> Result<String> {
    fs::read_to_string(list).with_context(|| format!("read {}", list.display()))
}

/// The lines of a list that are about these files.
fn of(files: &[PathBuf], list: &str) -> String {
    let names: Vec<&OsStr> = files.iter().filter_map(|file| file.file_name()).collect();
    let is_one = |line: &&str| {
        line.split_once("  ").is_some_and(|(_, name)| names.contains(&OsStr::new(name)))
    };
    list.split_inclusive('\n').filter(|line| is_one(&line.trim_end())).collect()
}

/// Files whose sums differ in two outputs of sha256sum, or that one of them lacks.
fn differing(first: &str, second: &str) -> Vec<String> {
    let sums = |list| -> BTreeMap<String, String> {
        let lines = str::lines(list).filter_map(|line| line.split_once("  "));
        lines.map(|(sum, name)| (name.to_owned(), sum.to_owned())).collect()
    };
    let (first, second) = (sums(first), sums(second));
    let mut names: Vec<String> = first.keys().chain(second.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| first.get(name) != second.get(name));
    names
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{differing, of};

    #[test]
    fn what_differs_and_what_is_missing_is_named() {
        let first = "aa  x.deb\nbb  x.rpm\ncc  x.tar\n";
        assert_eq!(differing(first, first), Vec::<String>::new());
        assert_eq!(differing(first, "aa  x.deb\nb0  x.rpm\n"), ["x.rpm", "x.tar"]);
    }

    #[test]
    fn what_was_made_for_another_architecture_is_not_compared() {
        let files = ["/p/x.deb", "/p/x.tar"].map(PathBuf::from);
        assert_eq!(of(&files, "aa  x.deb\nbb  y.deb\ncc  x.tar\n"), "aa  x.deb\ncc  x.tar\n");
    }
}
