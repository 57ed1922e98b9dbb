//! Where an instance of prroute leaves traces: pins, state and files.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use crate::command;

const BPFFS: &str = "/sys/fs/bpf";

/// Removes pins and all state of an instance whose program is gone.
pub fn remove_leftovers(instance: &str) {
    remove(&pins(instance));
    remove(&state(instance));
    remove(&lasting_state(instance));
}

/// Where an instance's maps, programs and links are pinned.
pub fn pins(instance: &str) -> PathBuf {
    Path::new(BPFFS).join("prroute").join(instance)
}

/// Where an instance's state and lock are.
pub fn state(instance: &str) -> PathBuf {
    Path::new("/run/prroute").join(instance)
}

/// Where an instance keeps what outlives a boot.
pub fn lasting_state(instance: &str) -> PathBuf {
    Path::new("/var/lib/prroute").join(instance)
}

fn remove(directory: &Path) {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            eprintln!("remove {}: {error}", directory.display());
        }
        _ => {}
    }
}

/// Mounts the BPF file system where systemd would, if nobody did.
pub fn ensure_bpffs() -> Result<()> {
    let is_mounted = || -> Result<bool> {
        let kind = statfs(BPFFS).with_context(|| format!("statfs {BPFFS}"))?;
        Ok(kind.filesystem_type() == BPF_FS_MAGIC)
    };
    if is_mounted()? {
        return Ok(());
    }
    // Two mounts on top of each other would hide pins: one process at a time.
    let directory = File::open(BPFFS).with_context(|| format!("open {BPFFS}"))?;
    directory.lock().with_context(|| format!("lock {BPFFS}"))?;
    if !is_mounted()? {
        command::run(&["mount", "-t", "bpf", "bpf", BPFFS])?;
    }
    Ok(())
}
