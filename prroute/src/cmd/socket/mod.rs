//! The daemon's socket: who is not root asks there what only root can ask the kernel.

mod answers;
mod cached;

use std::io::ErrorKind;
use std::rc::Rc;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use self::answers::FromKernel;
use crate::capability::{self, MissingCapabilities};
use crate::causes::with_causes;
use crate::cmd::NotRunning;
use crate::http::client::{self, Received};
use crate::http::{self, Listener, StatusCode};
use crate::instance::Instance;
use crate::runtime::{RunDirectory, socket};

/// Nobody who is not in the group may connect.
#[derive(Debug, thiserror::Error)]
#[error(
    "only root and the members of group `{group}` may ask the daemon. As root: `usermod -aG {group} \
     USER`; it holds from the next login on",
    group = socket::GROUP
)]
pub struct NotAllowed;

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

/// Asks the daemon for `target`, a path with a query, as text for people or as JSON.
///
/// # Errors
///
/// When none runs, when this user may not ask, or when it answers with an error.
pub(super) async fn ask(instance: &Instance, target: &str, wants_text: bool) -> Result<Received> {
    let socket = RunDirectory::of(instance).socket_path();
    let answer = match client::ask(&socket, target, wants_text).await {
        Ok(answer) => answer,
        Err(error) => {
            return Err(match error.connecting() {
                Some(ErrorKind::PermissionDenied) => anyhow::Error::from(NotAllowed),
                Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                    NotRunning::of(instance).into()
                }
                _ => error.into(),
            });
        }
    };
    // What is not ready yet is an answer, too.
    if answer.status == StatusCode::OK || answer.health.is_some() {
        return Ok(answer);
    }
    let said: Option<serde_json::Value> = serde_json::from_str(&answer.body).ok();
    let said = said.as_ref().and_then(|said| said["error"].as_str());
    Err(anyhow!("{}", said.unwrap_or(answer.status.as_str())))
}
