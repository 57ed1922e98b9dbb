//! One daemon per network namespace: a lock on a directory of bpffs, which every mount namespace
//! and container that shares the datapath shares too, and that only root can open.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::stat::{major, minor};
use nix::unistd::{AccessFlags, Pid, access};

use crate::datapath::directory;
use crate::instance::Instance;
use crate::namespace::NetworkNamespace;
use crate::runtime::directory::RunDirectory;
use crate::runtime::lock::{InstanceLock, LockError};
use crate::runtime::process::is_ending;

/// How long to try. A process that removes leftovers holds the lock for a moment.
const PATIENCE: Duration = Duration::from_secs(1);

/// Likewise where the holder was killed. The kernel releases the lock when it has closed what the process had
/// open, and waits for readers of each BPF map and program among that: on a busy machine for seconds.
const PATIENCE_WITH_ENDING: Duration = Duration::from_secs(30);

/// How often it is tried meanwhile.
const RETRY: Duration = Duration::from_millis(20);

/// Held by the one daemon, or undo, of a network namespace; the kernel releases it with the
/// process. The directory goes with it.
#[derive(Debug)]
pub struct NamespaceLock {
    path: PathBuf,
    _directory: File,
}

impl NamespaceLock {
    /// # Errors
    ///
    /// When another process holds it, or the directory cannot be made.
    pub fn acquire(namespace: NetworkNamespace) -> Result<Self, LockError> {
        let path = directory::of_namespace(namespace);
        let begin = Instant::now();
        let mut patience = PATIENCE;
        loop {
            directory::create(&path)?;
            let opened = match open(&path) {
                // Who held it has just removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(LockError::file("open", &path))?,
            };
            // One that a killed daemon left can be locked where nobody may write. What comes next would be done
            // by half there.
            match access(&path, AccessFlags::W_OK) {
                Err(Errno::ENOENT) => continue,
                writable => writable.map_err(|e| LockError::file("write to", &path)(e.into()))?,
            }
            match opened.try_lock() {
                Ok(()) if is_at(&opened, &path) => {
                    remove_abandoned();
                    return Ok(Self { path, _directory: opened });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let holder = holder(&opened);
                    if holder.is_some_and(is_ending) {
                        patience = PATIENCE_WITH_ENDING;
                    }
                    if begin.elapsed() >= patience {
                        let instance = holder.and_then(instance_of);
                        return Err(LockError::NamespaceHeld { holder, instance });
                    }
                    std::thread::sleep(RETRY);
                }
                Err(TryLockError::Error(error)) => {
                    return Err(LockError::file("lock", &path)(error));
                }
            }
        }
    }
}

impl Drop for NamespaceLock {
    fn drop(&mut self) {
        // While it is locked nobody else uses the directory. One that cannot be removed does no harm.
        drop(fs::remove_dir(&self.path));
        directory::remove_unused();
    }
}

/// Removes what daemons left that were killed, in namespaces that may be gone.
fn remove_abandoned() {
    for path in directory::of_namespaces() {
        if let Ok(opened) = open(&path)
            && opened.try_lock().is_ok()
            && is_at(&opened, &path)
        {
            // What cannot be removed is in nobody's way.
            drop(fs::remove_dir(&path));
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(path)
}

/// Whether the directory still is the one with this name.
fn is_at(opened: &File, path: &Path) -> bool {
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (opened.metadata(), fs::symlink_metadata(path)) {
        (Ok(opened), Ok(named)) => id(opened) == id(named),
        _ => false,
    }
}

/// Who holds the lock, as far as this PID namespace shows it.
fn holder(opened: &File) -> Option<Pid> {
    let metadata = opened.metadata().ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let device = (major(metadata.dev()), minor(metadata.dev()));
    holder_in(&locks, device, metadata.ino()).map(Pid::from_raw)
}

/// The instance whose daemon a process is. Looking gives up this process's own lock of an instance: it is
/// for errors that end it.
fn instance_of(daemon: Pid) -> Option<Instance> {
    let is_its = |instance: &Instance| {
        InstanceLock::holder(&RunDirectory::of(instance)).is_ok_and(|pid| pid == Some(daemon))
    };
    RunDirectory::instances().into_iter().find(is_its)
}

/// proc_locks(5): ordinal, kind, mode, access, pid, `MAJOR:MINOR:INODE` (the first two
/// hexadecimal), range. A process that waits for a lock has `->` as kind.
fn holder_in(locks: &str, (major, minor): (u64, u64), inode: u64) -> Option<i32> {
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (kind, pid, name) = (fields.next()?, fields.nth(2)?, fields.next()?);
        (kind == "FLOCK" && name == file).then(|| pid.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::holder_in;

    const LOCKS: &str = "\
1: POSIX  ADVISORY  WRITE 700 00:27:7580450 0 EOF
2: FLOCK  ADVISORY  WRITE 1546 00:27:7580450 0 EOF
2: -> FLOCK  ADVISORY  WRITE 1547 00:27:7580450 0 EOF
3: FLOCK  ADVISORY  WRITE 1600 fe:01:7580450 0 EOF
";

    #[test]
    fn the_holder_of_a_lock_is_found_by_device_and_inode() {
        assert_eq!(holder_in(LOCKS, (0, 0x27), 7_580_450), Some(1546));
        assert_eq!(holder_in(LOCKS, (0xfe, 1), 7_580_450), Some(1600));
        assert_eq!(holder_in(LOCKS, (0, 0x27), 1), None);
    }
}
