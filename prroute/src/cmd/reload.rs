//! `prroute reload`.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};

use crate::cli::InstanceArgs;
use crate::cmd::{NotRunning, belongs, output};
use crate::instance::Instance;
use crate::runtime::{DaemonReport, InstanceLock, RunDirectory};

/// For how long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// The daemon refused the configuration, and goes on with the one before.
#[derive(Debug, thiserror::Error)]
#[error("{message}; the previous configuration stays in force")]
pub struct Refused {
    pub message: String,
    /// The configuration is at fault.
    pub configuration: bool,
}

pub(super) fn run(args: &InstanceArgs) -> Result<()> {
    tell(of(&args.instance)?)
}

/// Has the daemon read the configuration again; what it reported then.
pub(super) fn of(instance: &Instance) -> Result<DaemonReport> {
    let directory = RunDirectory::of(instance);
    belongs::find_present(instance, "reload")?;
    let deadline = Instant::now() + PATIENCE;
    let mut asked: Option<(i32, u64)> = None;
    while Instant::now() < deadline {
        let Some(holder) = InstanceLock::holder(&directory)? else {
            return match asked {
                None => Err(NotRunning::of(instance).into()),
                Some((pid, _)) => bail!(
                    "the daemon (pid {pid}) ended before it had read the \
                                         configuration"
                ),
            };
        };
        let report = directory.read_report().usable().unwrap_or_default();
        match asked {
            // A reload that began after the question has read what was written before it.
            Some((pid, started))
                if report.daemon == Some(pid) && report.reload.finished > started =>
            {
                return taken(report);
            }
            Some((pid, _)) if report.daemon == Some(pid) => {}
            Some((pid, _)) => bail!(
                "the daemon (pid {pid}) ended before it had read the \
                                     configuration"
            ),
            // The signal would undo everything.
            None if report.daemon == Some(holder.as_raw()) && report.trial => {
                bail!("`prroute try` (pid {holder}) is running: end it first")
            }
            // Not who only takes things back, nor a daemon that does not hear signals yet: the
            // signal would end them.
            None if report.daemon == Some(holder.as_raw()) => {
                let started = report.reload.started;
                match kill(holder, Signal::SIGHUP) {
                    Ok(()) => asked = Some((holder.as_raw(), started)),
                    Err(Errno::ESRCH) => {}
                    Err(errno) => {
                        let error = anyhow::Error::from(std::io::Error::from(errno));
                        return Err(error.context(format!("signal the daemon (pid {holder})")));
                    }
                }
            }
            None => {}
        }
        std::thread::sleep(LOOK);
    }
    bail!(
        "the daemon of instance {instance} did not finish the reload within {} s",
        PATIENCE.as_secs()
    )
}

fn taken(report: DaemonReport) -> Result<DaemonReport> {
    match &report.reload.refusal {
        Some(refusal) => {
            let (message, configuration) = (refusal.message.clone(), refusal.configuration);
            Err(Refused { message, configuration }.into())
        }
        None => Ok(report),
    }
}

fn tell(report: DaemonReport) -> Result<()> {
    for note in &report.reload.notes {
        output::remark(note);
    }
    Ok(output::line(report.summary)?)
}
