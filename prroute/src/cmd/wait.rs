//! `prroute wait`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::unistd::Pid;

use crate::cli::WaitArgs;
use crate::cmd::{NoSocket, NotAllowed, NotRunning, belongs, socket};
use crate::examine::Examination;
use crate::http::client::AskError;
use crate::instance::Instance;
use crate::json::ReadyJson;
use crate::runtime::{RunDirectory, is_stopped};

/// How often to look.
const PERIOD: Duration = Duration::from_millis(100);

/// What is seen of the start.
#[derive(Debug)]
pub(super) enum Progress {
    NotRunning,
    Starting,
    /// The daemon cannot be asked.
    Silent(anyhow::Error),
    /// The daemon is ready, and this is missing all the same.
    Missing(Vec<String>),
    Ready,
}

pub(super) async fn run(args: &WaitArgs) -> Result<()> {
    let instance = &args.instance.instance;
    match until_ready(instance, args.timeout).await? {
        Progress::Ready => Ok(()),
        Progress::NotRunning => Err(NotRunning::of(instance).into()),
        Progress::Silent(error) => Err(error),
        Progress::Starting => bail!("instance {instance}: the daemon is starting"),
        Progress::Missing(what) => bail!("instance {instance}: {}", what.join("; ")),
    }
}

/// Waits so long at most, and tells how it is then.
pub(super) async fn until_ready(instance: &Instance, limit: Duration) -> Result<Progress> {
    let must_ask = socket::is_needed()?;
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let progress = match must_ask {
            true => ask(instance, left.max(PERIOD)).await?,
            false => look(instance, belongs::find(instance, "wait")?.daemon).await?,
        };
        if matches!(progress, Progress::Ready) || Instant::now() >= deadline {
            return Ok(progress);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Asks the kernel.
pub(super) async fn look(instance: &Instance, daemon: Option<Pid>) -> Result<Progress> {
    let Some(pid) = daemon else { return Ok(Progress::NotRunning) };
    let report = RunDirectory::of(instance).read_report().usable();
    let is_ready = report.is_some_and(|report| report.is_ready(pid));
    let mut missing = Vec::new();
    if is_stopped(pid) {
        missing.push(format!("the daemon (pid {pid}) is stopped"));
    } else if !is_ready {
        return Ok(Progress::Starting);
    }
    if is_ready {
        let examined = Examination::look(instance, Some(pid)).await?;
        missing.extend(examined.not_in_force().into_iter().map(|finding| finding.what));
    }
    Ok(match missing.is_empty() {
        true => Progress::Ready,
        false => Progress::Missing(missing),
    })
}

/// Asks the daemon.
async fn ask(instance: &Instance, limit: Duration) -> Result<Progress> {
    let answer = match socket::ask_here(instance, "/v1/ready", false, limit).await {
        Err(error) if error.is::<NotRunning>() => return Ok(Progress::NotRunning),
        // It hangs, or ended while it was asked, or has not made its socket or opened it to the group yet.
        Err(error)
            if error.is::<AskError>() || error.is::<NotAllowed>() || error.is::<NoSocket>() =>
        {
            return Ok(Progress::Silent(error));
        }
        answer => answer?,
    };
    let report = serde_json::from_str(&answer.body).context("read the daemon's answer")?;
    Ok(match report {
        ReadyJson { ready: true, .. } => Progress::Ready,
        ReadyJson { missing, .. } if missing.is_empty() => Progress::Starting,
        ReadyJson { missing, .. } => Progress::Missing(missing),
    })
}

impl Progress {
    /// As the daemon tells it.
    pub(super) fn to_json(&self) -> ReadyJson {
        let (ready, missing) = match self {
            Self::Ready => (true, Vec::new()),
            Self::Missing(missing) => (false, missing.clone()),
            Self::NotRunning | Self::Starting | Self::Silent(_) => (false, Vec::new()),
        };
        ReadyJson { schema: "prroute.ready/1".to_owned(), ready, missing }
    }
}
