//! HTTP that only reads: a server with limits, and a client for a unix socket.

pub(crate) mod client;
mod listener;
mod server;

use std::time::Duration;

pub(crate) use hyper::StatusCode;

pub(crate) use self::listener::Listener;
pub(crate) use self::server::{Answers, serve};

/// Tells how prroute is, beside a text that says it to people: `ok`, `starting`, `DEGRADED`, or `unreported`
/// where the daemon's report cannot be read.
pub(crate) const HEALTH: &str = "prroute-health";

/// A value of it.
pub(crate) const UNREPORTED: &str = "unreported";

/// The longest that a request may ask to wait for news.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(30);

/// A GET or HEAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// What follows the `?`, as it came.
    pub(crate) query: String,
    /// The asker wants text for people, not JSON.
    pub(crate) wants_text: bool,
}

/// Media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    Text,
    OpenMetrics,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) kind: Kind,
    pub(crate) body: String,
    /// The value of [`HEALTH`].
    pub(crate) health: Option<String>,
    /// The value of [`NAMESPACE`].
    pub(crate) namespace: Option<u64>,
}

/// Tells which network namespace the answer is about, by its inode.
pub(crate) const NAMESPACE: &str = "prroute-namespace";

impl Answer {
    pub(crate) const fn of(kind: Kind, body: String) -> Self {
        Self { status: StatusCode::OK, kind, body, health: None, namespace: None }
    }

    /// An error, in the form of all JSON of this server.
    pub(crate) fn error(status: StatusCode, message: &str) -> Self {
        let body = serde_json::json!({ "schema": "prroute.error/1", "error": message });
        Self { status, ..Self::of(Kind::Json, format!("{body}\n")) }
    }
}
