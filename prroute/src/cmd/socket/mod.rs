//! The daemon's socket: who is not root asks there what only root can ask the kernel.

mod answers;

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use nix::unistd::Group;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tracing::subscriber::NoSubscriber;

use self::answers::FromKernel;
use crate::capability::{self, MissingCapabilities};
use crate::causes::with_causes;
use crate::cmd::{NotRunning, namespaces};
use crate::http::client::{self, Received};
use crate::http::{self, Listener, StatusCode};
use crate::instance::Instance;
use crate::namespace::NetworkNamespace;
use crate::runtime::{RunDirectory, socket};

/// This user may not connect.
#[derive(Debug, thiserror::Error)]
#[error("only root{} may ask the daemon: {remedy}", group.as_ref().map_or(String::new(), |group| format!(" and the members of group `{group}`")))]
pub struct NotAllowed {
    group: Option<String>,
    remedy: String,
}

impl NotAllowed {
    fn of(path: &Path) -> Self {
        // It cannot be seen in a directory that this user may not enter.
        let group = std::fs::metadata(path).map(|socket| socket.gid());
        let named = |gid| Group::from_gid(gid).ok().flatten().map(|group| group.name);
        match group {
            Ok(0) => Self {
                group: None,
                remedy: format!(
                    "when it started there was no group `{}` (`systemd-sysusers` makes it)",
                    socket::GROUP
                ),
            },
            Ok(gid) => Self::because_of(named(gid.into()).unwrap_or_else(|| gid.to_string())),
            Err(_) => Self::because_of(socket::GROUP.to_owned()),
        }
    }

    fn because_of(group: String) -> Self {
        let remedy = format!("`usermod -aG {group} USER`, which holds from the next login on");
        Self { group: Some(group), remedy }
    }
}

/// There is a daemon, and nobody answers at its socket.
#[derive(Debug, thiserror::Error)]
#[error(
    "the daemon of instance {instance} (pid {pid}) has no socket, perhaps because it is of an earlier \
     version: ask as root, or restart it"
)]
pub struct NoSocket {
    instance: Instance,
    pid: i32,
}

/// Answers on the socket until it is dropped, in a thread of its own: who asks keeps the daemon from
/// nothing.
pub(super) struct Server {
    directory: RunDirectory,
    _stop: oneshot::Sender<()>,
}

impl Server {
    pub(super) fn start(instance: &Instance, directory: &RunDirectory) -> Result<Self> {
        let listener = socket::bind(directory)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (instance, directory) = (instance.clone(), directory.clone());
        let its = directory.clone();
        let work = move || {
            if let Err(error) = serve(&instance, &its, listener, stopped) {
                drop(socket::remove(&its));
                let why = with_causes(error.as_ref());
                tracing::warn!(
                    event = "socket-unavailable",
                    "{}: {why}",
                    its.socket_path().display()
                );
            }
        };
        let named = thread::Builder::new().name("socket".to_owned());
        named.spawn(work).context("start the thread of the socket")?;
        Ok(Self { directory, _stop: stop })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = socket::remove(&self.directory) {
            tracing::debug!("{}", with_causes(&error));
        }
    }
}

fn serve(
    instance: &Instance,
    directory: &RunDirectory,
    listener: std::os::unix::net::UnixListener,
    stopped: oneshot::Receiver<()>,
) -> Result<()> {
    match socket::open_to_group(directory) {
        Ok(true) => {}
        Ok(false) => {
            tracing::debug!("there is no group {}: only root may use the socket", socket::GROUP);
        }
        Err(error) => tracing::warn!(
            event = "socket-unavailable",
            "only root may use the socket: {}",
            with_causes(&error)
        ),
    }
    // What a look finds odd is in the answer. The log has it from the daemon's own looks.
    let _quiet = tracing::subscriber::set_default(NoSubscriber::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answers = Rc::new(FromKernel::new(instance.clone()));
    LocalSet::new().block_on(&runtime, async {
        let listener = Listener::of_unix(listener)?;
        tokio::select! {
            never = http::serve(&listener, answers) => match never {},
            _ = stopped => Ok(()),
        }
    })
}

/// Whether this process has to ask the daemon, because the kernel tells it too little.
pub(super) fn is_needed() -> Result<bool> {
    match capability::require() {
        Ok(()) => Ok(false),
        Err(error) if error.is::<MissingCapabilities>() => Ok(true),
        Err(error) => Err(error),
    }
}

/// For an answer, beside what is asked to be waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// For so long a daemon may run without its socket: between taking its lock and binding it, and between
/// removing it and its end.
const HANDOVER: Duration = Duration::from_secs(5);

/// Asks the daemon for `target`, a path with a query, as text for people or as JSON, and waits so long.
///
/// # Errors
///
/// When none runs, when this user may not ask, or when it answers with an error.
pub(super) async fn ask(
    instance: &Instance,
    target: &str,
    wants_text: bool,
    limit: Duration,
) -> Result<Received> {
    let directory = RunDirectory::of(instance);
    let path = directory.socket_path();
    let (asked, handover) = (Instant::now(), HANDOVER.min(limit));
    let answer = loop {
        let error = match client::ask(&path, target, wants_text, limit).await {
            Ok(answer) => break answer,
            Err(error) => error,
        };
        return Err(match error.connecting() {
            Some(ErrorKind::PermissionDenied) => NotAllowed::of(&path).into(),
            Some(ErrorKind::NotFound) => match running(&directory) {
                // It begins, or it ends.
                Some(_) if asked.elapsed() < handover => {
                    tokio::time::sleep(HANDOVER / 50).await;
                    continue;
                }
                Some(pid) => NoSocket { instance: instance.clone(), pid }.into(),
                None => NotRunning::of(instance).into(),
            },
            Some(ErrorKind::ConnectionRefused) => NotRunning::of(instance).into(),
            _ => error.into(),
        });
    };
    // What is not ready yet is an answer, too.
    if answer.status == StatusCode::OK || answer.health.is_some() {
        return Ok(answer);
    }
    let said: Option<serde_json::Value> = serde_json::from_str(&answer.body).ok();
    let said = said.as_ref().and_then(|said| said["error"].as_str());
    Err(anyhow!("{}", said.unwrap_or(answer.status.as_str())))
}

/// Likewise, about the network namespace of this process.
pub(super) async fn ask_here(
    instance: &Instance,
    target: &str,
    wants_text: bool,
    limit: Duration,
) -> Result<Received> {
    let answer = ask(instance, target, wants_text, limit).await?;
    let here = NetworkNamespace::current().map(NetworkNamespace::inode).ok();
    match answer.namespace {
        Some(there) if here.is_some_and(|here| here != there) => Err(anyhow!(
            "instance {instance} belongs to another network namespace, {}",
            namespaces::name(there)
        )),
        _ => Ok(answer),
    }
}

/// Whether the daemon ended, while it was asked or before: another one may come.
pub(super) fn is_gone(error: &anyhow::Error) -> bool {
    error.is::<NotRunning>() || error.is::<client::AskError>()
}

/// Whether there is a daemon that does not answer.
pub(super) fn hangs(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(client::AskError::is_unanswered)
}

/// The daemon that reported last, if it still runs.
fn running(directory: &RunDirectory) -> Option<i32> {
    let pid = directory.read_report().usable()?.daemon?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (name.trim_end() == "prroute").then_some(pid)
}
