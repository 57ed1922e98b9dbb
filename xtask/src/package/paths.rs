//! Folders of this machine: what a program says of its sources must not depend on where they lie.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Job, licences};
use crate::project;

/// What the compiler calls the folder of the sources, and those in which cargo keeps other people's crates.
const SOURCES: &str = "/prroute";
const CRATES: &str = "/crates";

/// Folders that the compiler is told to call otherwise.
#[derive(Debug)]
pub(crate) struct Folders {
    crates: BTreeSet<PathBuf>,
}

impl Folders {
    pub(crate) fn of(job: &Job<'_>) -> Result<Self> {
        let metadata = licences::metadata(job, job.target)?;
        Ok(Self { crates: crates(&metadata) })
    }

    /// Flags of rustc. Of several that fit a path the last one counts.
    pub(crate) fn renaming(&self) -> Vec<String> {
        let flag = |folder: &Path, name| format!("--remap-path-prefix={}={name}", folder.display());
        let mut flags = vec![flag(project::root(), SOURCES), flag(&project::target(), SOURCES)];
        flags.extend(self.crates.iter().map(|folder| flag(folder, CRATES)));
        flags
    }

    /// The BPF object inside it is made by a cargo of its own: so it is asked of the whole program.
    pub(crate) fn ensure_unnamed_in(&self, program: &Path) -> Result<()> {
        let bytes = fs::read(program).with_context(|| format!("read {}", program.display()))?;
        let root = project::root().to_owned();
        for folder in [root, project::target()].iter().chain(&self.crates) {
            let found = first(&bytes, &folder.display().to_string());
            ensure!(
                found.is_none(),
                "{} names a folder of this machine: {}",
                program.display(),
                found.unwrap_or_default()
            );
        }
        Ok(())
    }
}

/// The folders that have other people's crates in them: one for each registry.
fn crates(metadata: &Value) -> BTreeSet<PathBuf> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let others = packages.iter().filter(|package| !package["source"].is_null());
    let manifests = others.filter_map(|package| package["manifest_path"].as_str());
    let folders = manifests.filter_map(|path| Path::new(path).parent()?.parent());
    folders.map(Path::to_owned).collect()
}

/// Where `folder` stands in a program, with a little of what follows.
fn first(program: &[u8], folder: &str) -> Option<String> {
    let at = program.windows(folder.len()).position(|bytes| bytes == folder.as_bytes())?;
    let end = program.len().min(at + folder.len() + 60);
    let text = program[at..end].split(|byte| !byte.is_ascii_graphic()).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::{crates, first};

    #[test]
    fn each_registry_is_one_folder_and_the_sources_are_none() {
        let package = |source: Option<&str>, manifest: &str| json!({"source": source, "manifest_path": manifest});
        let metadata = json!({"packages": [
            package(None, "/src/prroute/Cargo.toml"),
            package(Some("registry"), "/home/.cargo/registry/src/index/a-1.0.0/Cargo.toml"),
            package(Some("registry"), "/home/.cargo/registry/src/index/b-1.0.0/Cargo.toml"),
        ]});
        let found = crates(&metadata);
        assert!(found.iter().eq([Path::new("/home/.cargo/registry/src/index")]), "{found:?}");
    }

    #[test]
    fn a_folder_is_found_with_what_follows() {
        let program = b"\x7fELF\0main/home/a/src/lib.rs\0rest";
        assert_eq!(first(program, "/home/a").as_deref(), Some("/home/a/src/lib.rs"));
        assert_eq!(first(program, "/home/b"), None);
    }
}
