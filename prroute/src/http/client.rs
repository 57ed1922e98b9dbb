//! Asks the server on a unix socket.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{HEALTH, NAMESPACE};

/// Of an answer: far more than the server sends.
const MAX_BODY: usize = 64 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
#[error("ask {}: {problem}", path.display())]
pub(crate) struct AskError {
    path: PathBuf,
    #[source]
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("no answer within {:.0?}: the daemon hangs, or is stopped", .0)]
    Late(Duration),
    #[error("too many ask at once")]
    Crowded,
    #[error("{0}")]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl AskError {
    /// What connecting failed with.
    pub(crate) fn connecting(&self) -> Option<ErrorKind> {
        match &self.problem {
            Problem::Io(error) => Some(error.kind()),
            _ => None,
        }
    }

    /// Somebody listens, and does not answer in time, or so many wait already that no more may.
    pub(crate) const fn is_unanswered(&self) -> bool {
        matches!(self.problem, Problem::Late(_) | Problem::Crowded)
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) health: Option<String>,
    /// Of the network namespace that it is about.
    pub(crate) namespace: Option<u64>,
    pub(crate) body: String,
}

/// Asks for `target`, a path and a query, as JSON or as text, and waits so long.
///
/// # Errors
///
/// When nobody answers, or not in time, or what answers does not speak HTTP.
pub(crate) async fn ask(
    socket: &Path,
    target: &str,
    wants_text: bool,
    limit: Duration,
) -> Result<Received, AskError> {
    let asked = timeout(limit, exchange(socket, target, wants_text)).await;
    let received = asked.unwrap_or(Err(Problem::Late(limit)));
    received.map_err(|problem| AskError { path: socket.to_owned(), problem })
}

async fn exchange(socket: &Path, target: &str, wants_text: bool) -> Result<Received, Problem> {
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => Problem::Crowded,
        _ => error.into(),
    })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(target)
        .header(HOST, "localhost")
        .header(ACCEPT, if wants_text { "text/plain" } else { "application/json" })
        .body(Empty::<Bytes>::new())
        .map_err(|error| Problem::Other(error.into()))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let health = response.headers().get(HEALTH).and_then(|value| value.to_str().ok());
        let (status, health) = (response.status(), health.map(ToOwned::to_owned));
        let namespace = response.headers().get(NAMESPACE).and_then(|value| value.to_str().ok());
        let namespace = namespace.and_then(|inode| inode.parse().ok());
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        let body = body.map_err(Problem::Other)?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Received { status, health, namespace, body })
    };
    tokio::pin!(answer);
    tokio::select! {
        received = &mut answer => received,
        ended = connection => {
            ended?;
            answer.await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream as Stream};

    use nix::sys::socket::{Backlog, listen};

    use super::*;

    /// As a daemon that is stopped: the kernel takes connections for it, until its queue is full.
    #[tokio::test]
    async fn who_is_there_and_does_not_answer_is_told_from_who_is_not_there() {
        let path = std::env::temp_dir().join(format!("prroute-client-{}", std::process::id()));
        let patience = Duration::from_millis(50);
        let nobody = ask(&path, "/", true, patience).await.unwrap_err();
        assert_eq!(nobody.connecting(), Some(ErrorKind::NotFound));
        assert!(!nobody.is_unanswered());
        let listener = UnixListener::bind(&path).unwrap();
        listen(&listener, Backlog::new(1).unwrap()).unwrap();
        let late = ask(&path, "/", true, patience).await.unwrap_err();
        assert!(matches!(late.problem, Problem::Late(_)) && late.is_unanswered(), "{late}");
        let _waiting = Stream::connect(&path).unwrap();
        let crowded = ask(&path, "/", true, patience).await.unwrap_err();
        assert!(
            matches!(crowded.problem, Problem::Crowded) && crowded.is_unanswered(),
            "{crowded}"
        );
        drop(listener);
        let refused = ask(&path, "/", true, patience).await.unwrap_err();
        assert!(!refused.is_unanswered(), "{refused}");
        std::fs::remove_file(&path).unwrap();
    }
}
