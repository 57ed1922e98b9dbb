//! Control groups of a lab's containers, in whatever hierarchies the machine has, and processes that
//! are stopped by one.

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

/// A process that does nothing at all, not about signals either, until this is dropped.
#[derive(Debug)]
pub struct Frozen {
    group: PathBuf,
}

impl Frozen {
    /// Moves the process into the group `name` of version 2, and freezes that (Linux 5.2).
    pub fn freeze(name: &str, pid: Pid) -> Result<Self> {
        let group = version2()?.join(name);
        fs::create_dir(&group).with_context(|| format!("create {}", group.display()))?;
        let frozen = Self { group };
        frozen.write("cgroup.procs", &pid.to_string())?;
        frozen.write("cgroup.freeze", "1")?;
        let events = frozen.group.join("cgroup.events");
        wait::until("the process is frozen", Duration::from_secs(5), || {
            let text = fs::read_to_string(&events).context("read cgroup.events")?;
            Ok(text.lines().any(|line| line == "frozen 1").then_some(()))
        })?;
        Ok(frozen)
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.group.join(file);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let gone = self.write("cgroup.freeze", "0").and_then(|()| {
            wait::until_done("a control group is empty", Duration::from_secs(10), || {
                empty(&self.group)
            })
        });
        if let Err(error) = gone {
            eprintln!("{error:#}");
        }
    }
}

/// A group whose processes may have so much memory; removed on drop.
#[derive(Debug)]
pub struct Limited {
    group: PathBuf,
}

impl Limited {
    /// In version 1's hierarchy of memory, or version 2's where that has the controller.
    pub fn create(name: &str, bytes: u64) -> Result<Self> {
        let version1 = Path::new(MOUNTS).join("memory");
        let is_version1 = version1.is_dir();
        let root = if is_version1 { version1 } else { version2()? };
        if !is_version1 {
            let file = root.join("cgroup.subtree_control");
            fs::write(&file, "+memory").with_context(|| format!("write {}", file.display()))?;
        }
        let group = root.join(name);
        fs::create_dir(&group).with_context(|| format!("create {}", group.display()))?;
        let limited = Self { group };
        let file = if is_version1 { "memory.limit_in_bytes" } else { "memory.max" };
        let path = limited.group.join(file);
        fs::write(&path, bytes.to_string()).with_context(|| format!("write {}", path.display()))?;
        Ok(limited)
    }

    /// Words that put the command behind them into the group.
    pub fn wrapper(&self) -> Vec<String> {
        let procs = self.group.join("cgroup.procs");
        let script = format!("echo $$ > {} && exec \"$@\"", procs.display());
        ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let gone = wait::until_done("a control group is empty", Duration::from_secs(10), || {
            empty(&self.group)
        });
        if let Err(error) = gone {
            eprintln!("{error:#}");
        }
    }
}

/// Where version 2 is mounted, alone or beside version 1.
fn version2() -> Result<PathBuf> {
    let roots = [PathBuf::from(MOUNTS), Path::new(MOUNTS).join("unified")];
    let found = roots.into_iter().find(|root| root.join("cgroup.controllers").exists());
    found.with_context(|| format!("no control groups of version 2 below {MOUNTS}"))
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
