//! The directories on bpffs: only root writes and opens them. Elsewhere anybody could make one
//! first, or hold a lock on one: the kernel's default for bpffs is `mode=1777`.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::datapath::error::{DatapathError, Result};
use crate::namespace::NetworkNamespace;

/// Where distributions mount the BPF file system.
pub(super) const BPFFS: &str = "/sys/fs/bpf";

/// How the names of what belongs to a network namespace begin; no instance has such a name.
pub(super) const NAMESPACE: &str = "netns:";

/// How the name begins of the directory that says of a layout that it is in force, and which version
/// of memory its programs have.
pub(super) const MEMORY: &str = "memory:";

/// Write permission of the group and of everybody.
const WRITABLE: u32 = 0o022;

/// Where all instances are.
pub(super) fn of_prroute() -> PathBuf {
    Path::new(BPFFS).join("prroute")
}

/// The directory that the one daemon of a network namespace locks.
pub(crate) fn of_namespace(namespace: NetworkNamespace) -> PathBuf {
    of_prroute().join(format!("{NAMESPACE}{namespace}"))
}

/// All directories of [`of_namespace`].
pub(crate) fn of_namespaces() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(of_prroute()) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.path());
    names.filter(|path| is_of_namespace(path)).collect()
}

/// Whether the name says that it belongs to a network namespace.
pub(super) fn is_of_namespace(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(NAMESPACE))
}

/// Makes a directory below [`of_prroute`], and those above it, for root alone. One that an earlier
/// version left open to others is closed.
///
/// # Errors
///
/// When one of them is somebody else's.
pub(crate) fn create(path: &Path) -> Result<()> {
    let failed = |operation| move |source| file_error(operation, path, source);
    for last in [false, false, true] {
        if let Some(parent) = path.parent().filter(|_| path != of_prroute()) {
            create(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => break,
            // Another prroute has just removed the parent, as the last one that used it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !last => {}
            result => {
                result.map_err(failed("create"))?;
                break;
            }
        }
    }
    match check(path)? {
        Some(mode) if mode & 0o777 != 0o700 => {
            fs::set_permissions(path, Permissions::from_mode(0o700))
                .map_err(failed("close to others"))
        }
        _ => Ok(()),
    }
}

/// Refuses a directory of somebody else's; the mode of one that is there.
///
/// # Errors
///
/// Names its owner.
pub(crate) fn check(path: &Path) -> Result<Option<u32>> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error("look at", path, error)),
    };
    let owner = metadata.uid();
    if !metadata.is_dir() {
        let is = if metadata.is_symlink() { "symbolic link" } else { "file" };
        let what = format!("a {is} is in the place of a directory");
        return Err(DatapathError::Foreign { path: path.to_owned(), what });
    }
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(DatapathError::ForeignDirectory { path: path.to_owned(), owner });
    }
    Ok(Some(metadata.mode()))
}

/// Refuses what is not a file of ours, or not the directory that a name stands for.
///
/// # Errors
///
/// Says what it is.
pub(super) fn refuse_foreign(path: &Path) -> Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file_error("look at", path, error)),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_mark = name.starts_with(MEMORY);
    let what = if metadata.is_symlink() {
        "a symbolic link is in the place of a pin".to_owned()
    } else if metadata.is_dir() != is_mark {
        let is = if metadata.is_dir() { "directory" } else { "file" };
        format!("a {is} is in the place of a {}", if is_mark { "directory" } else { "pin" })
    } else if metadata.uid() != 0 && metadata.uid() != geteuid().as_raw() {
        format!("it belongs to user {}, not to root", metadata.uid())
    } else if metadata.mode() & WRITABLE != 0 {
        format!("others than root may write it (mode {:04o})", metadata.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(DatapathError::Foreign { path: path.to_owned(), what })
}

/// Removes the parent of all with the last of them.
pub(crate) fn remove_unused() {
    // Not empty: others are in it. Nothing else depends on it.
    drop(fs::remove_dir(of_prroute()));
}

/// Puts a pin in the place of another: there is no moment without.
pub(super) fn move_pin(new: &Path, pin: &Path) -> Result<()> {
    fs::rename(new, pin).map_err(|source| file_error("rename to", pin, source))
}

/// Removes a pin; one that is gone already is fine.
///
/// # Errors
///
/// When it is there, and stays.
pub(crate) fn remove_pin(pin: &Path) -> Result<()> {
    match fs::remove_file(pin) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(file_error("remove", pin, source))
        }
        _ => Ok(()),
    }
}

pub(super) fn file_error(operation: &'static str, path: &Path, source: io::Error) -> DatapathError {
    DatapathError::File { operation, path: path.to_owned(), source }
}
