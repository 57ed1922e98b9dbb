//! `prroute wait`.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::cli::WaitArgs;
use crate::cmd::{NotRunning, belongs};
use crate::examine::Examination;
use crate::instance::Instance;
use crate::runtime::RunDirectory;

/// How often to look.
const PERIOD: Duration = Duration::from_millis(100);

/// What is seen of the start.
enum Progress {
    NotRunning,
    Starting,
    /// The daemon is ready, and this is missing all the same.
    Missing(Vec<String>),
    Ready,
}

pub(super) fn run(args: &WaitArgs) -> Result<()> {
    let instance = &args.instance.instance;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let deadline = Instant::now() + args.timeout;
    loop {
        let progress = runtime.block_on(look(instance))?;
        let is_over = Instant::now() >= deadline;
        match progress {
            Progress::Ready => return Ok(()),
            Progress::NotRunning if is_over => return Err(NotRunning(instance.clone()).into()),
            Progress::Starting if is_over => bail!("instance {instance}: the daemon is starting"),
            Progress::Missing(what) if is_over => {
                bail!("instance {instance}: {}", what.join("; "));
            }
            _ => std::thread::sleep(PERIOD),
        }
    }
}

async fn look(instance: &Instance) -> Result<Progress> {
    let Some(pid) = belongs::find(instance, "wait")?.daemon else {
        return Ok(Progress::NotRunning);
    };
    let report = RunDirectory::of(instance).read_report().usable();
    if !report.is_some_and(|report| report.is_ready(pid)) {
        return Ok(Progress::Starting);
    }
    let missing = Examination::look(instance, Some(pid)).await?.not_in_force();
    Ok(match missing.is_empty() {
        true => Progress::Ready,
        false => Progress::Missing(missing.into_iter().map(|finding| finding.what).collect()),
    })
}
