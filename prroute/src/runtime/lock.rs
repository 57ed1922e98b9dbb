//! One daemon per instance: a lock on a file that only root can open.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::unistd::Pid;

use crate::datapath::DatapathError;
use crate::instance::Instance;
use crate::runtime::directory::RunDirectory;

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another prroute (pid {pid}) runs this instance; stop it first, or use --instance")]
    InstanceHeld { pid: Pid },
    #[error(
        "{} is locked by a process that cannot be seen from this PID namespace; run this where it \
         can be seen, or use another --instance",
        path.display()
    )]
    HiddenHolder { path: PathBuf },
    #[error(
        "{}: process {pid}, which is not prroute, holds a read lock on this file: end that \
         process, then try again",
        path.display()
    )]
    ReadLocked { path: PathBuf, pid: Pid },
    #[error(
        "another prroute ({}{}) runs in this network namespace; there can be only one",
        instance.as_ref().map_or(String::new(), |instance| format!("instance {instance}, ")),
        holder.map_or("pid unknown".to_owned(), |pid| format!("pid {pid}"))
    )]
    NamespaceHeld { holder: Option<Pid>, instance: Option<Instance> },
    #[error("the daemon (pid {pid}) did not end, even after SIGKILL; it is in state {state}")]
    StillHeld { pid: Pid, state: String },
    #[error("{operation} {}: {source}", path.display())]
    File { operation: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Bpffs(#[from] DatapathError),
}

impl LockError {
    /// Whether only root may do this.
    pub fn is_permission_denied(&self) -> bool {
        match self {
            Self::File { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Self::Bpffs(error) => error.is_permission_denied(),
            _ => false,
        }
    }

    pub(super) fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { operation, path, source }
    }
}

/// Held while a daemon, or an undo, works on an instance. A POSIX record lock, because it names
/// its holder; the kernel releases it with the process.
#[derive(Debug)]
pub struct InstanceLock {
    _file: File,
}

impl InstanceLock {
    /// # Errors
    ///
    /// When another process holds the lock, or the file cannot be made.
    pub fn acquire(directory: &RunDirectory) -> Result<Self, LockError> {
        let path = directory.lock_path();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .map_err(LockError::file("open", &path))?;
        // Whoever can open the file can lock it; earlier versions let everybody.
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(LockError::file("close to others", &path))?;
        match fcntl(&file, FcntlArg::F_SETLK(&whole_file(libc::F_WRLCK))) {
            Ok(_) => Ok(Self { _file: file }),
            Err(Errno::EAGAIN | Errno::EACCES) => Err(held(&file, path)),
            Err(errno) => Err(LockError::file("lock", &path)(errno.into())),
        }
    }

    /// The process that holds an instance's lock, if any.
    ///
    /// # Errors
    ///
    /// When the lock cannot be looked at, or its holder cannot be seen from here.
    pub fn holder(directory: &RunDirectory) -> Result<Option<Pid>, LockError> {
        let path = directory.lock_path();
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LockError::file("open", &path)(error)),
        };
        match conflict(&file, libc::F_RDLCK).map_err(LockError::file("look at the lock", &path))? {
            None => Ok(None),
            Some(Conflict { pid: Some(pid), .. }) => Ok(Some(pid)),
            Some(Conflict { pid: None, .. }) => Err(LockError::HiddenHolder { path }),
        }
    }
}

/// Why the lock could not be had.
fn held(file: &File, path: PathBuf) -> LockError {
    match conflict(file, libc::F_WRLCK) {
        Ok(Some(Conflict { pid: Some(pid), write: true })) => LockError::InstanceHeld { pid },
        Ok(Some(Conflict { pid: Some(pid), write: false })) => LockError::ReadLocked { path, pid },
        Ok(Some(Conflict { pid: None, .. })) => LockError::HiddenHolder { path },
        // Its holder went between two looks.
        Ok(None) => LockError::file("lock", &path)(Errno::EAGAIN.into()),
        Err(error) => LockError::file("look at the lock", &path)(error),
    }
}

struct Conflict {
    /// `None` when it belongs to another PID namespace.
    pid: Option<Pid>,
    /// Only prroute takes write locks: a read lock is somebody else's.
    write: bool,
}

/// The lock that is in the way of one of this kind.
fn conflict(file: &File, kind: i32) -> io::Result<Option<Conflict>> {
    let mut lock = whole_file(kind);
    fcntl(file, FcntlArg::F_GETLK(&mut lock))?;
    let pid = (lock.l_pid > 0).then(|| Pid::from_raw(lock.l_pid));
    let write = lock.l_type == libc::F_WRLCK as i16;
    Ok((lock.l_type != libc::F_UNLCK as i16).then_some(Conflict { pid, write }))
}

fn whole_file(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
