//! A control group for the sockets of one prroute: its programs on sockets are attached there
//! and not at the root, where the sockets of all other contestants would pay for them as well.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use prroute_tests::mounts;

/// Removed when dropped.
#[derive(Debug)]
pub(crate) struct Cgroup {
    root: PathBuf,
    /// Where this process was.
    home: PathBuf,
    path: PathBuf,
}

impl Cgroup {
    pub(crate) fn create(name: &str) -> Result<Self> {
        let mounts = read(Path::new("/proc/self/mounts"))?;
        let root = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .find(|fields| fields.get(2) == Some(&"cgroup2"))
            .and_then(|fields| fields.get(1).map(PathBuf::from))
            .context("cgroup v2 is not mounted")?;
        let own = read(Path::new("/proc/self/cgroup"))?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        let (home, path) = (root.join(own), root.join(name));
        fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self { root, home, path })
    }

    /// Words that start a command which takes this group for the whole hierarchy.
    pub(crate) fn as_root(&self) -> Result<Vec<String>> {
        mounts::wrapper(&[(&self.path, &self.root.display().to_string())])
    }

    /// Runs `task` with the whole process in the group: sockets that it opens belong to it.
    pub(crate) fn inside<T>(&self, task: impl FnOnce() -> Result<T>) -> Result<T> {
        enter(&self.path)?;
        let result = task();
        enter(&self.home)?;
        result
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

fn enter(group: &Path) -> Result<()> {
    let file = group.join("cgroup.procs");
    fs::write(&file, std::process::id().to_string())
        .with_context(|| format!("write {}", file.display()))
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.path) {
            eprintln!("remove {}: {error}", self.path.display());
        }
    }
}
