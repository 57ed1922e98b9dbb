//! The kernels that guests run, and their files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

use super::package;
use crate::project::{self, quietly};

/// A kernel of Debian 12.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// As `--kernel` calls it.
    pub(crate) name: &'static str,
    /// The package that depends on the newest build.
    package: &'static str,
    /// Parts of the names of tests that do not apply to it.
    pub(crate) not_here: &'static [&'static str],
}

/// 6.1 has no tcx (6.6): tests with `tcx` in their name need it, and those with `clsact_only`
/// are about kernels that lack it. Nor does it rename links that are up (6.2).
pub(crate) const ALL: [Kernel; 2] = [
    Kernel { name: "6.1", package: "linux-image-amd64", not_here: &["tcx", "live_rename"] },
    Kernel { name: "6.12", package: "linux-image-6.12-amd64", not_here: &["clsact_only"] },
];

/// What is left of the package.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) image: PathBuf,
    /// As uname -r says.
    pub(crate) release: String,
    /// A directory like /lib/modules.
    pub(crate) modules: PathBuf,
}

/// Where guests' files are kept.
pub(crate) fn directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| project::root().join("target"), PathBuf::from)
        .join("vm")
}

impl Kernel {
    /// The kernel's files, downloaded unless they are there already.
    pub(crate) fn files(&self) -> Result<Files> {
        let build = package::newest(self.package)
            .with_context(|| format!("find a package with Linux {}", self.name))?;
        let home = directory().join(build.directory());
        if !home.join("complete").exists() {
            eprintln!("{} {} comes from the archive once", build.name, build.version);
            unpack(&build, &home)?;
        }
        let release = only_entry(&home.join("lib/modules"))?;
        let image = home.join("boot").join(format!("vmlinuz-{release}"));
        ensure!(image.is_file(), "{} has no {}", build.name, image.display());
        Ok(Files { image, release, modules: home.join("lib/modules") })
    }
}

/// Downloads and unpacks a kernel's package, and lists its modules' dependencies.
fn unpack(build: &package::Build, home: &Path) -> Result<()> {
    let unfinished = home.with_extension("unfinished");
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove {}", unfinished.display()));
        }
        _ => {}
    }
    fs::create_dir_all(&unfinished).with_context(|| format!("create {}", unfinished.display()))?;
    let archive = package::download(build, &unfinished)?;
    quietly(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&unfinished))?;
    fs::remove_file(&archive).with_context(|| format!("remove {}", archive.display()))?;
    let release = only_entry(&unfinished.join("lib/modules"))?;
    quietly(Command::new("depmod").arg("--basedir").arg(&unfinished).arg(&release))?;
    fs::write(unfinished.join("complete"), "")
        .with_context(|| format!("write into {}", unfinished.display()))?;
    fs::rename(&unfinished, home).with_context(|| format!("rename to {}", home.display()))
}

/// The name of the one thing in a directory.
fn only_entry(directory: &Path) -> Result<String> {
    let what = || format!("list {}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).with_context(what)? {
        names.push(entry.with_context(what)?.file_name().to_string_lossy().into_owned());
    }
    match names.as_slice() {
        [name] => Ok(name.clone()),
        _ => bail!("{} should contain one directory, not {names:?}", directory.display()),
    }
}
