//! Control groups of a lab's containers, in whatever hierarchies the machine has.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait;

const MOUNTS: &str = "/sys/fs/cgroup";

/// Kills every process in the group `name`, in all hierarchies, and removes it.
pub fn remove(name: &str) -> Result<()> {
    for group in hierarchies()?.into_iter().map(|root| root.join(name)) {
        if group.is_dir() {
            wait::until_done("a control group is empty", Duration::from_secs(10), || {
                empty(&group)
            })?;
        }
    }
    Ok(())
}

/// The mount points of version 1's controllers, and version 2's.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mut roots = vec![PathBuf::from(MOUNTS)];
    for entry in fs::read_dir(MOUNTS).with_context(|| format!("list {MOUNTS}"))? {
        let path = entry.with_context(|| format!("list {MOUNTS}"))?.path();
        if path.is_dir() {
            roots.push(path);
        }
    }
    Ok(roots)
}

/// Kills what is in `group`, then removes the groups that are empty, innermost first.
fn empty(group: &Path) -> Result<Option<()>> {
    let Ok(entries) = fs::read_dir(group) else { return Ok(Some(())) };
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            empty(&entry.path())?;
        }
    }
    for pid in fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default().lines() {
        if let Ok(pid) = pid.parse() {
            // ESRCH: it ended by itself.
            kill(Pid::from_raw(pid), Signal::SIGKILL)
                .or_else(
                    |error| if error == nix::errno::Errno::ESRCH { Ok(()) } else { Err(error) },
                )
                .with_context(|| format!("kill process {pid} of {}", group.display()))?;
        }
    }
    Ok(fs::remove_dir(group).is_ok().then_some(()))
}
