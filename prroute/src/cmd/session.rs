//! A daemon in this process, from its locks to its end: for `run` and `try`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::causes::with_causes;
use crate::cmd::belongs;
use crate::cmd::socket::Server;
use crate::config::{Config, FileStamp};
use crate::datapath::Pins;
use crate::instance::Instance;
use crate::netlink::{HookMonitor, Kernel, Monitor};
use crate::reconcile::{Daemon, ReconcileError, Reconciler, Undone, undo};
use crate::runtime::{InstanceLock, LockError, NamespaceLock, Records, RunDirectory};

/// What a daemon is started with.
pub(super) struct Setup<'a> {
    pub(super) instance: &'a Instance,
    /// The command that starts it.
    pub(super) command: &'static str,
    pub(super) config: Config,
    /// `None`: the usual files.
    pub(super) config_file: Option<&'a Path>,
    /// The files as they were before they were read.
    pub(super) read: Vec<FileStamp>,
    /// To observe only, whatever the configuration says.
    pub(super) observe: bool,
    pub(super) log_packets: bool,
}

/// A daemon with its locks.
pub(super) struct Session {
    pub(super) daemon: Daemon,
    pins: Pins,
    directory: RunDirectory,
    /// There was a datapath before.
    took_over: bool,
    /// Dropped before the locks: the socket that it removes may be the next daemon's after that.
    _server: Option<Server>,
    _namespace_lock: NamespaceLock,
    _instance_lock: InstanceLock,
}

impl Session {
    /// Takes the locks; nothing is changed in the network yet.
    ///
    /// # Errors
    ///
    /// When another daemon runs, or what it needs is not there.
    pub(super) async fn prepare(setup: Setup<'_>) -> Result<Self> {
        let Setup { instance, command, config, config_file, mut read, observe, log_packets } =
            setup;
        crate::capability::require()?;
        let pins = Pins::of(instance);
        pins.check()?;
        let found = belongs::find(instance, command)?;
        if let Some(pid) = found.daemon {
            return Err(LockError::InstanceHeld { pid }.into());
        }
        let directory = RunDirectory::of(instance);
        let namespace_lock = NamespaceLock::acquire(found.namespace)?;
        directory.create()?;
        let instance_lock = InstanceLock::acquire(&directory)?;
        if found.abandoned {
            tracing::warn!(
                event = "namespace-gone",
                "the network namespace of this instance no longer exists: removing the datapath that \
                 it left"
            );
            pins.remove()?;
        }
        let config_file = absolute(config_file)?;
        for stamp in &mut read {
            stamp.path = std::path::absolute(&stamp.path).context("find the configuration")?;
        }
        let took_over = pins.has_any();
        // Listening starts before the first look: no change falls between the two.
        let (monitor, hooks) = (Monitor::open()?, HookMonitor::open()?);
        let kernel = Kernel::connect().await?;
        let records = Records::take(&directory, config.ranges, took_over);
        let reconciler = Reconciler::new(config, instance, kernel, records, log_packets);
        let daemon = Daemon::new(reconciler, monitor, hooks, config_file, read, observe)
            .context("catch signals")?;
        let server = Server::start(instance, &directory)
            .inspect_err(|error| {
                let why = with_causes(error.as_ref());
                tracing::warn!(
                    event = "socket-unavailable",
                    "there is no socket for those who are not root: {why}"
                );
            })
            .ok();
        Ok(Self {
            daemon,
            pins,
            directory,
            took_over,
            _namespace_lock: namespace_lock,
            _instance_lock: instance_lock,
            _server: server,
        })
    }

    /// Starts it. When that fails nothing half-applied stays; what an earlier daemon left goes on as it is.
    ///
    /// # Errors
    ///
    /// Why it could not be started, and what could not be undone of it.
    pub(super) async fn start(mut self) -> Result<Self> {
        let Err(error) = self.daemon.start().await else { return Ok(self) };
        if self.took_over {
            return Err(error.into());
        }
        let undone = self.undo().await;
        Err(failed_start(error, undone.err()))
    }

    /// Undoes everything, and ends.
    ///
    /// # Errors
    ///
    /// What could not be undone.
    pub(super) async fn undo(self) -> Result<Undone, ReconcileError> {
        // The locks are kept to the end.
        let Self { daemon, pins, directory, .. } = self;
        undo(&Kernel::connect().await?, &pins, &directory, daemon.into_records()).await
    }
}

/// Why the start failed comes first, and what could not be undone of it after that.
fn failed_start(error: ReconcileError, undo: Option<ReconcileError>) -> anyhow::Error {
    match undo {
        None => error.into(),
        Some(undo) => {
            let (first, then) = (with_causes(&error), with_causes(&undo));
            let both = format!("{first}; undoing what was done before that failed: {then}");
            anyhow::Error::from(error).context(both)
        }
    }
}

/// A reload must find the file wherever it is asked for.
fn absolute(file: Option<&Path>) -> Result<Option<PathBuf>> {
    let absolute =
        |file: &Path| std::path::absolute(file).with_context(|| format!("find {}", file.display()));
    file.map(absolute).transpose()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::runtime::RuntimeError;

    fn error(operation: &'static str, errno: i32) -> ReconcileError {
        let source = io::Error::from_raw_os_error(errno);
        RuntimeError { operation, path: "/run/prroute/x".into(), source }.into()
    }

    #[test]
    fn a_failed_undo_does_not_hide_why_the_start_failed() {
        let both = failed_start(error("write", 28), Some(error("remove", 30)));
        assert_eq!(
            with_causes(both.as_ref()).to_string(),
            "write /run/prroute/x: No space left on device (os error 28); undoing what was done \
             before that failed: remove /run/prroute/x: Read-only file system (os error 30)"
        );
        let one = failed_start(error("write", 28), None);
        assert!(!one.to_string().contains("undone"), "{one}");
    }
}
