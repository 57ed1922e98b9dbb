//! A kernel's package in Debian's archive, by apt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project;
use crate::project::quietly;

/// A package of one build of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Build {
    pub(crate) name: String,
    pub(crate) version: String,
}

impl Build {
    /// What the directory with its files is called.
    pub(crate) fn directory(&self) -> String {
        format!("{}_{}", self.name, self.version)
    }
}

/// The build that the package `meta` stands for today.
pub(crate) fn newest(meta: &str) -> Result<Build> {
    if project::find_program("apt-get").is_none() || project::find_program("dpkg-deb").is_none() {
        bail!("the guests' kernels are Debian packages: this needs apt-get and dpkg-deb");
    }
    if let Some(build) = ask(meta)? {
        return Ok(build);
    }
    eprintln!("apt does not know {meta}: asking the archive (apt-get update)");
    quietly(Command::new("apt-get").args(["--quiet", "update"]))?;
    let missing = || {
        format!(
            "apt offers no package {meta}: on Debian 12 it comes from main or from \
             bookworm-security, see sources.list(5)"
        )
    };
    ask(meta)?.with_context(missing)
}

fn ask(meta: &str) -> Result<Option<Build>> {
    let shown = Command::new("apt-cache")
        .args(["show", "--no-all-versions", meta])
        .env("LC_ALL", "C")
        .output()
        .context("run apt-cache show")?;
    Ok(build_of(&String::from_utf8_lossy(&shown.stdout)))
}

/// The dependency on a kernel, in the output of `apt-cache show` for the package that has it.
fn build_of(shown: &str) -> Option<Build> {
    let depends = shown.lines().find_map(|line| line.strip_prefix("Depends: "))?;
    depends.split(", ").find_map(|dependency| {
        let (name, rest) = dependency.split_once(" (= ")?;
        let version = rest.strip_suffix(')')?;
        name.starts_with("linux-image-")
            .then(|| Build { name: name.to_owned(), version: version.to_owned() })
    })
}

/// Downloads it into `directory`; the path of the file.
pub(crate) fn download(build: &Build, directory: &Path) -> Result<PathBuf> {
    let exact = format!("{}={}", build.name, build.version);
    let get = || {
        let mut apt = Command::new("apt-get");
        quietly(apt.args(["--quiet", "download", &exact]).current_dir(directory))
    };
    if let Err(error) = get() {
        // The archive moves on: what apt knows may be gone.
        eprintln!("{error:#}\ntrying again after apt-get update");
        quietly(Command::new("apt-get").args(["--quiet", "update"]))?;
        get().with_context(|| format!("download {exact}"))?;
    }
    let what = || format!("list {}", directory.display());
    for entry in fs::read_dir(directory).with_context(what)? {
        let path = entry.with_context(what)?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            return Ok(path);
        }
    }
    bail!("apt-get download {exact} left no package in {}", directory.display())
}

#[cfg(test)]
mod tests {
    use super::{Build, build_of};

    #[test]
    fn the_build_is_the_kernel_that_the_package_depends_on() {
        let shown = "Package: linux-image-amd64\nVersion: 6.1.192-2\n\
                     Depends: base (>= 1), linux-image-6.1.0-56-amd64 (= 6.1.192-2)\n\
                     Description: Linux\n";
        let (name, version) = ("linux-image-6.1.0-56-amd64".to_owned(), "6.1.192-2".to_owned());
        assert_eq!(build_of(shown), Some(Build { name, version }));
        assert_eq!(build_of("Package: x\nDepends: libc6 (>= 2)\n"), None);
        assert_eq!(build_of(""), None);
    }
}
