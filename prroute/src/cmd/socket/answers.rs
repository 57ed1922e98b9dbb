//! What is answered on the daemon's socket.
//!
//! Nothing here may open the lock of the instance: closing a file gives up the record locks that this
//! process, the daemon, holds on it.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::cached::Cached;
use crate::causes::with_causes;
use crate::cmd::log::recent;
use crate::cmd::status::Look;
use crate::cmd::{events, flows, metrics, status, wait};
use crate::http::{Answer, Answers, Kind, MAX_WAIT, Request, StatusCode};
use crate::instance::Instance;
use crate::json::StatusJson;

/// Of the flows, those that were seen last.
const MAX_FLOWS: usize = 10_000;

/// Rates are of so much time at most.
const WATCHED: Duration = Duration::from_secs(60);

const INDEX: &str = "\
/v1/status   health, problems, uplinks: ?brief=true &statistics=true &details=true
             &all=true &dev=NAME; text with `Accept: text/plain`
/v1/ready    200 when replies are steered, else 503
/v1/flows    what is recorded: ?filter=FILTER &limit=NUMBER (up to 10000) &tcp=true
             &udp=true &ipv4=true &ipv6=true &summary=true; text likewise
/v1/events   what happened: ?after=NUMBER &pid=PID &wait=SECONDS (up to 30)
/v1/metrics  OpenMetrics, also at /metrics
";

/// What a request gets, by a look at the kernel.
pub(super) struct FromKernel {
    instance: Instance,
    status: Cached<StatusJson>,
    /// The last one, for rates.
    look: RefCell<Option<Look>>,
    ready: Cached<wait::Progress>,
    /// Whose flows are read.
    turn: Mutex<()>,
    metrics: Cached<String>,
}

/// A request that cannot be answered, because of the request.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unanswerable(String);

impl Answers for FromKernel {
    async fn answer(&self, request: Request) -> Answer {
        let answer = match request.path.as_str() {
            "/" => Ok(Answer::of(Kind::Text, INDEX.to_owned())),
            "/v1/status" => self.status(&request).await,
            "/v1/ready" => self.ready().await,
            "/v1/flows" => self.flows(&request).await,
            "/v1/events" => happened(&self.instance, &request).await,
            "/v1/metrics" | "/metrics" => self.metrics().await,
            _ => {
                return Answer::error(
                    StatusCode::NOT_FOUND,
                    "there is no such path; / has them all",
                );
            }
        };
        answer.unwrap_or_else(|error| {
            let status = match error.is::<Unanswerable>() {
                true => StatusCode::BAD_REQUEST,
                false => StatusCode::INTERNAL_SERVER_ERROR,
            };
            Answer::error(status, &with_causes(error.as_ref()).to_string())
        })
    }
}

impl FromKernel {
    pub(super) fn new(instance: Instance) -> Self {
        let (status, ready) = (Cached::default(), Cached::default());
        let (turn, metrics) = (Mutex::default(), Cached::default());
        Self { instance, status, look: RefCell::default(), ready, turn, metrics }
    }

    async fn status(&self, request: &Request) -> Result<Answer> {
        let form = status::Form::parse(&request.query).map_err(|error| unanswerable(&error))?;
        let report = self.status.get(self.look()).await?;
        let report =
            form.select(StatusJson::clone(&report)).map_err(|error| unanswerable(&error))?;
        let answer = match request.wants_text {
            true => Answer::of(Kind::Text, form.text(&report)),
            false => json(&report)?,
        };
        Ok(Answer { health: Some(report.health.to_string()), ..answer })
    }

    /// With rates since the look before, where somebody watches.
    async fn look(&self) -> Result<StatusJson> {
        let mut report = status::look(&self.instance, this_process()).await?.report;
        let mut last = self.look.borrow_mut();
        let before = last.take().filter(|look| look.age() < WATCHED);
        *last = Some(Look::follow(before.as_ref(), &mut report, Instant::now()));
        Ok(report)
    }

    async fn ready(&self) -> Result<Answer> {
        let look = wait::look(&self.instance, this_process());
        let progress = self.ready.get(look).await?;
        let is_ready = matches!(*progress, wait::Progress::Ready);
        let health = if is_ready { "ok" } else { "starting" };
        let answer = Answer { health: Some(health.to_owned()), ..json(&progress.to_json())? };
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        Ok(Answer { status, ..answer })
    }

    async fn flows(&self, request: &Request) -> Result<Answer> {
        let mut question =
            flows::Question::parse(&request.query).map_err(|error| unanswerable(&error))?;
        question.limit_to(MAX_FLOWS);
        let (kind, json) = match request.wants_text {
            true => (Kind::Text, false),
            false => (Kind::Json, true),
        };
        // One at a time, and for half of the time at most: a question may take all tables to be read.
        let _turn = self.turn.lock().await;
        let begun = Instant::now();
        let answer =
            flows::read(&self.instance, &question).and_then(|flows| question.answer(&flows, json));
        tokio::time::sleep(begun.elapsed()).await;
        Ok(Answer::of(kind, answer?))
    }

    async fn metrics(&self) -> Result<Answer> {
        let read = metrics::of_kernel(&self.instance, this_process());
        let text = self.metrics.get(read).await?;
        Ok(Answer::of(Kind::OpenMetrics, String::clone(&text)))
    }
}

/// The daemon.
fn this_process() -> Option<Pid> {
    Some(Pid::this())
}

fn unanswerable(error: &anyhow::Error) -> Unanswerable {
    Unanswerable(with_causes(error.as_ref()).to_string())
}

fn json(report: &impl serde::Serialize) -> Result<Answer> {
    Ok(Answer::of(Kind::Json, format!("{}\n", serde_json::to_string_pretty(report)?)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Since {
    /// The number of the last one that is known.
    after: u64,
    /// The daemon that told of it: another one counts from the beginning.
    pid: Option<i32>,
    /// For how many seconds to wait for news, where there are none.
    wait: u64,
}

async fn happened(instance: &Instance, request: &Request) -> Result<Answer> {
    let since: Since =
        serde_urlencoded::from_str(&request.query).map_err(|error| unanswerable(&error.into()))?;
    let pid = Pid::this().as_raw();
    let after = if since.pid.is_none_or(|known| known == pid) { since.after } else { 0 };
    let limit = Duration::from_secs(since.wait).min(MAX_WAIT);
    let (all, last) = recent::after(after, limit).await;
    json(&events::report(instance, pid, last, all))
}
