//! Files that a reader sees whole or not at all, and that are read whatever is in their place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc;

use crate::runtime::format::{MAX_SIZE, Unusable};

/// An operation on a file or directory of an instance that failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}", path.display())]
pub struct RuntimeError {
    pub operation: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

pub(super) fn failed(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> RuntimeError {
    let path = path.to_owned();
    move |source| RuntimeError { operation, path, source }
}

/// The file's bytes; `None` when there is none. Waits for nobody, whatever is in its place.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Unusable> {
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = match open {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Err(Unusable::NoFile);
    }
    let mut text = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_SIZE {
        return Err(Unusable::TooLong);
    }
    Ok(Some(text))
}

/// Whether a new file is on the disk before it takes the old one's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// It survives the machine.
    Synced,
    /// It survives this process.
    Cached,
}

/// Replaces the file: a reader sees the old one or the new one, whole.
pub(super) fn write(
    path: &Path,
    text: &[u8],
    mode: u32,
    durability: Durability,
) -> Result<(), RuntimeError> {
    let new = beside(path, "new");
    let written = write_new(&new, text, mode, durability)
        .and_then(|()| fs::rename(&new, path).map_err(failed("rename to", path)));
    if written.is_err() {
        // On a full file system even a part takes room. The first failure is the one to tell.
        drop(fs::remove_file(&new));
    }
    written?;
    match path.parent() {
        Some(parent) if durability == Durability::Synced => {
            File::open(parent).and_then(|it| it.sync_all()).map_err(failed("sync", parent))
        }
        _ => Ok(()),
    }
}

/// Replaces a file that everybody may read. One that a crash of the machine loses is written again.
///
/// # Errors
///
/// When it cannot be written; the file that was there is there still. A device or a pipe is never replaced.
pub(crate) fn publish(path: &Path, text: &[u8]) -> Result<(), RuntimeError> {
    replace(path, text, 0o644)
}

/// Likewise, one that only its owner may read.
///
/// # Errors
///
/// Likewise.
pub(crate) fn publish_private(path: &Path, text: &[u8]) -> Result<(), RuntimeError> {
    replace(path, text, 0o600)
}

fn replace(path: &Path, text: &[u8], mode: u32) -> Result<(), RuntimeError> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let error = io::Error::other("it is no regular file");
        return Err(failed("replace", path)(error));
    }
    write(path, text, mode, Durability::Cached)
}

fn write_new(
    path: &Path,
    text: &[u8],
    mode: u32,
    durability: Durability,
) -> Result<(), RuntimeError> {
    // What was left there, or put there to be written through, goes. Nobody may open it before it has its
    // mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", path)(error));
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(path).map_err(failed("create", path))?;
    // Whatever the umask says.
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed("set mode of", path))?;
    file.write_all(text).map_err(failed("write", path))?;
    match durability {
        Durability::Synced => file.sync_all().map_err(failed("sync", path)),
        Durability::Cached => Ok(()),
    }
}

/// Takes whatever has the file's name out of the way; the name it has then. There is only one such.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf, RuntimeError> {
    let aside = beside(path, "unreadable");
    remove(&aside).map_err(failed("remove", &aside))?;
    fs::rename(path, &aside).map_err(failed("rename", path))?;
    Ok(aside)
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// `journal.json` and `new` are `journal.json.new`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}
