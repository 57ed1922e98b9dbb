//! `prroute run`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::causes::with_causes;
use crate::cli::RunArgs;
use crate::cmd::socket::Server;
use crate::cmd::{belongs, plan};
use crate::config::{Config, FileStamp, Mode, OnStop};
use crate::datapath::Pins;
use crate::netlink::{HookMonitor, Kernel, Monitor};
use crate::reconcile::{Daemon, ReconcileError, Reconciler, Stop, Undone, undo};
use crate::runtime::{InstanceLock, LockError, NamespaceLock, Records, RunDirectory};

pub(super) fn run(args: &RunArgs) -> Result<()> {
    let read = FileStamp::of_configuration(args.config.as_deref())?;
    let mut config = Config::load(args.config.as_deref())?;
    if args.observe {
        config.mode = Mode::Observe;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(async {
        if args.dry_run { dry_run(args, config).await } else { manage(args, config, read).await }
    })
}

async fn dry_run(args: &RunArgs, config: Config) -> Result<()> {
    belongs::find_present(&args.instance.instance, "run --dry-run")?;
    let kernel = Kernel::connect().await?;
    let instance = &args.instance.instance;
    let records = Records::read(&RunDirectory::of(instance), config.ranges);
    let reconciler = Reconciler::for_one_look(config, instance, kernel, records);
    plan::show(&reconciler, false).await
}

async fn manage(args: &RunArgs, config: Config, mut read: Vec<FileStamp>) -> Result<()> {
    crate::capability::require()?;
    let instance = &args.instance.instance;
    let pins = Pins::of(instance);
    pins.check()?;
    let found = belongs::find(instance, "run")?;
    if let Some(pid) = found.daemon {
        return Err(LockError::InstanceHeld { pid }.into());
    }
    let directory = RunDirectory::of(instance);
    let _namespace_lock = NamespaceLock::acquire(found.namespace)?;
    directory.create()?;
    let _instance_lock = InstanceLock::acquire(&directory)?;
    if found.abandoned {
        tracing::warn!(
            event = "namespace-gone",
            "the network namespace of this instance no longer exists: removing the \
                        datapath that it left"
        );
        pins.remove()?;
    }

    let config_file = absolute(args.config.as_deref())?;
    for stamp in &mut read {
        stamp.path = std::path::absolute(&stamp.path).context("find the configuration")?;
    }
    let took_over = pins.has_any();
    // Listening starts before the first look: no change falls between the two.
    let (monitor, hooks) = (Monitor::open()?, HookMonitor::open()?);
    let kernel = Kernel::connect().await?;
    let records = Records::take(&directory, config.ranges, took_over);
    let reconciler = Reconciler::new(config, instance, kernel, records, args.log_packets);
    let mut daemon = Daemon::new(reconciler, monitor, hooks, config_file, read, args.observe)
        .context("catch signals")?;
    let _server = Server::start(instance, &directory)
        .inspect_err(|error| {
            tracing::warn!(
                event = "socket-unavailable",
                "nobody but root can ask this daemon: {}",
                with_causes(error.as_ref())
            );
        })
        .ok();
    if let Err(error) = daemon.start().await {
        // Nothing half-applied stays; what an earlier daemon left goes on as it is.
        if took_over {
            return Err(error.into());
        }
        let undone = take_back(&pins, &directory, daemon.into_records()).await;
        return Err(failed_start(error, undone.err()));
    }
    let Stop::Signal(signal) = daemon.follow().await?;
    if args.undo_on_exit || daemon.config().on_stop == OnStop::Undo {
        tracing::info!(event = "stopping", "{signal}: undoing everything");
        take_back(&pins, &directory, daemon.into_records()).await.context("undo on exit")?;
    } else {
        tracing::info!(
            event = "stopping",
            "{signal}: stopping; the datapath stays (`prroute down` removes it)"
        );
    }
    Ok(())
}

async fn take_back(
    pins: &Pins,
    directory: &RunDirectory,
    records: Records,
) -> Result<Undone, ReconcileError> {
    undo(&Kernel::connect().await?, pins, directory, records).await
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
pub(super) fn absolute(file: Option<&Path>) -> Result<Option<PathBuf>> {
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
