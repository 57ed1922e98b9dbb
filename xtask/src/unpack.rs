//! Packages of Debian's archive that are unpacked and not installed: kernels, libraries of other
//! architectures.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::State;
use crate::project;
use crate::project::quietly;

/// A file in what was made whole.
const COMPLETE: &str = "complete";

/// A package in one version.
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

/// The packages of the build that `meta` stands for today, the first that it names first: those whose
/// names begin as `parts` say.
pub(crate) fn newest(apt: &State, meta: &str, parts: &[&str]) -> Result<Vec<Build>> {
    if project::find_program("apt-get").is_none() || project::find_program("dpkg-deb").is_none() {
        bail!("this unpacks Debian packages: it needs apt-get and dpkg-deb");
    }
    let builds = followed(apt, depends(apt, meta, parts)?, parts)?;
    if !builds.is_empty() {
        return Ok(builds);
    }
    eprintln!("apt does not know {meta}: asking the archive (apt-get update)");
    update(apt)?;
    let builds = followed(apt, depends(apt, meta, parts)?, parts)?;
    if builds.is_empty() {
        bail!(
            "apt offers no package {meta} in the sources of {}: see sources.list(5)",
            apt.sources().display()
        );
    }
    Ok(builds)
}

/// A package and what it depends on, likewise.
pub(crate) fn with_parts(apt: &State, package: Build, parts: &[&str]) -> Result<Vec<Build>> {
    followed(apt, vec![package], parts)
}

pub(crate) fn update(apt: &State) -> Result<()> {
    quietly(apt.command("apt-get").args(["--quiet", "update"])).map(drop)
}

/// Packages, and what they depend on.
fn followed(apt: &State, mut builds: Vec<Build>, parts: &[&str]) -> Result<Vec<Build>> {
    let mut next = 0;
    while let Some(build) = builds.get(next) {
        for build in depends(apt, &build.name, parts)? {
            if !builds.contains(&build) {
                builds.push(build);
            }
        }
        next += 1;
    }
    Ok(builds)
}

fn depends(apt: &State, package: &str, parts: &[&str]) -> Result<Vec<Build>> {
    let shown = apt
        .command("apt-cache")
        .args(["show", "--no-all-versions", package])
        .output()
        .context("run apt-cache show")?;
    Ok(depends_of(&String::from_utf8_lossy(&shown.stdout), parts))
}

/// The dependencies on exact versions, in the output of `apt-cache show`.
fn depends_of(shown: &str, parts: &[&str]) -> Vec<Build> {
    let depends = shown.lines().find_map(|line| line.strip_prefix("Depends: "));
    let builds = depends.unwrap_or_default().split(", ").filter_map(|dependency| {
        let (name, rest) = dependency.split_once(" (= ")?;
        let version = rest.strip_suffix(')')?;
        parts
            .iter()
            .any(|part| name.starts_with(part))
            .then(|| Build { name: name.to_owned(), version: version.to_owned() })
    });
    builds.collect()
}

/// Makes `home` of packages, whole or not at all: unpacks them beside it, has `finish` complete that, and
/// renames it. [`is_made`] tells.
pub(crate) fn make(
    apt: &State,
    builds: &[Build],
    home: &Path,
    finish: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let unfinished = home.with_extension("unfinished");
    project::remove(&unfinished)?;
    fs::create_dir_all(&unfinished).with_context(|| format!("create {}", unfinished.display()))?;
    unpack(apt, builds, &unfinished)?;
    // Where /lib is a link to usr/lib, packages have their files there.
    let lib = unfinished.join("lib");
    if !lib.exists() {
        symlink("usr/lib", &lib).with_context(|| format!("link {}", lib.display()))?;
    }
    finish(&unfinished)?;
    fs::write(unfinished.join(COMPLETE), "")
        .with_context(|| format!("write into {}", unfinished.display()))?;
    fs::rename(&unfinished, home).with_context(|| format!("rename to {}", home.display()))
}

/// Whether `home` was made before.
pub(crate) fn is_made(home: &Path) -> bool {
    home.join(COMPLETE).exists()
}

/// Downloads packages and unpacks them into `directory`.
fn unpack(apt: &State, builds: &[Build], directory: &Path) -> Result<()> {
    for build in builds {
        let archive = download(apt, &format!("{}={}", build.name, build.version), directory)?;
        quietly(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(directory))?;
        fs::remove_file(&archive).with_context(|| format!("remove {}", archive.display()))?;
    }
    Ok(())
}

/// Downloads a package into `directory`; the path of the file.
fn download(apt: &State, package: &str, directory: &Path) -> Result<PathBuf> {
    let get = || {
        let mut apt = apt.command("apt-get");
        quietly(apt.args(["--quiet", "download", package]).current_dir(directory))
    };
    if let Err(error) = get() {
        // The archive moves on: what apt knows may be gone.
        eprintln!("{error:#}\ntrying again after apt-get update");
        update(apt)?;
        get().with_context(|| format!("download {package}"))?;
    }
    let what = || format!("list {}", directory.display());
    for entry in fs::read_dir(directory).with_context(what)? {
        let path = entry.with_context(what)?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            return Ok(path);
        }
    }
    bail!("apt-get download {package} left no package in {}", directory.display())
}

#[cfg(test)]
mod tests {
    use super::{Build, depends_of};

    const KERNEL: [&str; 2] = ["linux-image-", "linux-modules-"];

    fn build(name: &str, version: &str) -> Build {
        Build { name: name.to_owned(), version: version.to_owned() }
    }

    #[test]
    fn the_build_is_the_kernel_that_the_package_depends_on() {
        let shown = "Package: linux-image-amd64\nVersion: 6.1.192-2\n\
                     Depends: base (>= 1), linux-image-6.1.0-56-amd64 (= 6.1.192-2)\n\
                     Description: Linux\n";
        assert_eq!(depends_of(shown, &KERNEL), [build("linux-image-6.1.0-56-amd64", "6.1.192-2")]);
        assert_eq!(depends_of("Package: x\nDepends: libc6 (>= 2)\n", &KERNEL), []);
        assert_eq!(depends_of("", &KERNEL), []);
    }

    #[test]
    fn a_kernel_in_several_packages_is_all_of_them() {
        let shown = "Depends: linux-base-amd64 (= 7.3.4-1), linux-image-7.3.4-amd64 (= 7.3.4-1), \
                     linux-modules-amd64 (= 7.3.4-1)\n";
        let parts =
            [build("linux-image-7.3.4-amd64", "7.3.4-1"), build("linux-modules-amd64", "7.3.4-1")];
        assert_eq!(depends_of(shown, &KERNEL), parts);
    }
}
