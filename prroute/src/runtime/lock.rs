//! One daemon per instance, and one per network namespace.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::runtime::directory::RunDirectory;

/// A daemon that is told to stop and does not within this time is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// How often a lock is tried again while its holder stops.
const RETRY: Duration = Duration::from_millis(20);

/// Abstract socket names belong to a network namespace, and vanish with their process.
const NAMESPACE_SOCKET: &[u8] = b"prroute/daemon";

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another prroute (pid {pid}) runs this instance; stop it first, or use --instance")]
    InstanceHeld { pid: i32 },
    #[error("another prroute runs in this network namespace; there can be only one")]
    NamespaceHeld,
    #[error("{operation} {}: {source}", path.display())]
    File { operation: &'static str, path: PathBuf, source: io::Error },
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
            .open(&path)
            .map_err(|source| LockError::File { operation: "open", path: path.clone(), source })?;
        match fcntl(&file, FcntlArg::F_SETLK(&whole_file())) {
            Ok(_) => Ok(Self { _file: file }),
            Err(Errno::EAGAIN | Errno::EACCES) => {
                Err(LockError::InstanceHeld { pid: holder_of(&file).map_or(0, Pid::as_raw) })
            }
            Err(errno) => Err(LockError::File { operation: "lock", path, source: errno.into() }),
        }
    }

    /// The process that holds an instance's lock, if any.
    pub fn holder(directory: &RunDirectory) -> Option<Pid> {
        holder_of(&File::open(directory.lock_path()).ok()?)
    }

    /// Takes the lock from a running daemon: tells it to stop, and kills it if it does not.
    /// `on_kill` is told before that.
    ///
    /// # Errors
    ///
    /// When the lock cannot be had.
    pub fn take_over(
        directory: &RunDirectory,
        on_kill: impl Fn(Pid),
    ) -> Result<(Self, bool), LockError> {
        let mut stopped = false;
        let mut asked: Option<(Pid, Instant)> = None;
        loop {
            let pid = match Self::acquire(directory) {
                Ok(lock) => return Ok((lock, stopped)),
                Err(LockError::InstanceHeld { pid }) => Pid::from_raw(pid),
                Err(error) => return Err(error),
            };
            let signalled = |signal| match kill(pid, signal) {
                Ok(()) | Err(Errno::ESRCH) => Ok(()),
                Err(errno) => Err(LockError::File {
                    operation: "stop the holder of",
                    path: directory.lock_path(),
                    source: errno.into(),
                }),
            };
            // 0 is "nobody": the holder went between two looks.
            if pid.as_raw() > 0 {
                match asked {
                    Some((told, since)) if told == pid => {
                        if since.elapsed() > STOP_PATIENCE {
                            on_kill(pid);
                            signalled(Signal::SIGKILL)?;
                            asked = Some((pid, Instant::now()));
                        }
                    }
                    _ => {
                        signalled(Signal::SIGTERM)?;
                        asked = Some((pid, Instant::now()));
                    }
                }
                stopped = true;
            }
            std::thread::sleep(RETRY);
        }
    }
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn holder_of(file: &File) -> Option<Pid> {
    let mut lock = whole_file();
    // Asking about a read lock needs no write access.
    lock.l_type = libc::F_RDLCK as i16;
    fcntl(file, FcntlArg::F_GETLK(&mut lock)).ok()?;
    (lock.l_type != libc::F_UNLCK as i16 && lock.l_pid > 0).then(|| Pid::from_raw(lock.l_pid))
}

/// Held by the one daemon of a network namespace.
#[derive(Debug)]
pub struct NamespaceLock {
    _socket: UnixListener,
}

impl NamespaceLock {
    /// # Errors
    ///
    /// When another daemon runs in this network namespace.
    pub fn acquire() -> Result<Self, LockError> {
        let failed = |source| LockError::File {
            operation: "bind the abstract socket",
            path: "prroute/daemon".into(),
            source,
        };
        let address = SocketAddr::from_abstract_name(NAMESPACE_SOCKET).map_err(failed)?;
        match UnixListener::bind_addr(&address) {
            Ok(socket) => Ok(Self { _socket: socket }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(LockError::NamespaceHeld),
            Err(error) => Err(failed(error)),
        }
    }
}
