//! The tar: the Debian package's files, with the static program in place of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Job, output};
use crate::project::{self, quietly};

/// What is Debian's alone.
const DEBIAN: [&str; 3] = [
    "usr/share/doc/prroute/changelog.Debian.gz",
    "usr/share/doc/prroute/copyright",
    "usr/share/lintian",
];

pub(crate) fn make(job: &Job<'_>, deb: &Path, program: &Path) -> Result<PathBuf> {
    let directory = output("tar")?;
    let name = format!("prroute-{}-{}", env!("CARGO_PKG_VERSION"), job.architecture.machine());
    let tree = directory.join(&name);
    quietly(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(&tree))?;
    for path in DEBIAN.map(|path| tree.join(path)) {
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("remove {}", path.display()))?;
    }
    copy(program, &tree.join("usr/bin/prroute"))?;
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy(&project::root().join(licence), &tree.join("usr/share/doc/prroute").join(licence))?;
    }
    let archive = directory.join(format!("{name}.tar.xz"));
    let mut tar = Command::new("tar");
    // Of one commit it is always the same.
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"])
        .arg("--mode=u+rw,go+r,go-w")
        .arg(format!("--mtime=@{}", job.commit.seconds))
        .arg("--use-compress-program=xz --threads=1")
        .arg("--create")
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(&directory)
        .arg(&name);
    quietly(&mut tar)?;
    Ok(archive)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("copy {} to {}", from.display(), to.display()))
}
