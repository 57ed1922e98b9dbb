//! What is answered on the daemon's socket.
//!
//! Nothing here may open the lock of the instance: closing a file gives up the record locks that this
//! process, the daemon, holds on it.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::causes::with_causes;
use crate::cmd::cached::{Cached, Turn};
use crate::cmd::log::recent;
use crate::cmd::status::Look;
use crate::cmd::{events, flows, metrics, status, wait};
use crate::datapath::secret;
use crate::http::{Answer, Answers, Kind, MAX_WAIT, Request, StatusCode, UNREPORTED};
use crate::instance::Instance;
use crate::json::HealthJson;
use crate::namespace::NetworkNamespace;

/// Of the flows, those that were seen last.
const MAX_FLOWS: usize = 10_000;

/// Rates are of so much time at most.
const WATCHED: Duration = Duration::from_secs(60);

/// So many may wait for events at once; others are answered as it is.
const SEATS: usize = 8;

const INDEX: &str = "\
/v1/status   health, problems, uplinks: ?brief=true &statistics=true &details=true
             &all=true &dev=NAME; text with `Accept: text/plain`
/v1/ready    200 when replies are steered, else 503
/v1/flows    what is recorded: ?filter=FILTER &limit=NUMBER (up to 10000) &tcp=true
             &udp=true &ipv4=true &ipv6=true &summary=true &extended=true;
             text likewise
/v1/events   what happened: ?after=NUMBER &run=RUN &wait=SECONDS (up to 30)
/v1/metrics  OpenMetrics, also at /metrics
";

/// What a request gets, by a look at the kernel.
pub(super) struct FromKernel {
    instance: Instance,
    /// The [mark](run_mark) of the daemon, from its start to its end.
    run: u64,
    /// All looks at the kernel, one after the other.
    turn: Turn,
    status: Cached<status::Seen>,
    /// The last one, for rates.
    look: RefCell<Option<Look>>,
    ready: Cached<wait::Progress>,
    metrics: Cached<String>,
    /// For those who wait for events.
    seats: Semaphore,
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
            "/v1/events" => self.events(&request).await,
            "/v1/metrics" | "/metrics" => self.metrics().await,
            _ => {
                return Answer::error(
                    StatusCode::NOT_FOUND,
                    "there is no such path; / has them all",
                );
            }
        };
        let answer = answer.unwrap_or_else(|error| {
            let status = match error.is::<Unanswerable>() {
                true => StatusCode::BAD_REQUEST,
                false => StatusCode::INTERNAL_SERVER_ERROR,
            };
            Answer::error(status, &with_causes(error.as_ref()).to_string())
        });
        let namespace = NetworkNamespace::current().map(NetworkNamespace::inode).ok();
        Answer { namespace, ..answer }
    }
}

impl FromKernel {
    pub(super) fn new(instance: Instance) -> Self {
        Self {
            instance,
            run: run_mark(),
            turn: Turn::default(),
            status: Cached::default(),
            look: RefCell::default(),
            ready: Cached::default(),
            metrics: Cached::default(),
            seats: Semaphore::new(SEATS),
        }
    }

    async fn status(&self, request: &Request) -> Result<Answer> {
        let form = status::Form::parse(&request.query).map_err(|error| unanswerable(&error))?;
        let seen = self.status.get(&self.turn, self.look()).await?;
        let report = form.select(seen.report.clone()).map_err(|error| unanswerable(&error))?;
        let answer = match request.wants_text {
            true => Answer::of(Kind::Text, form.text(&report)),
            false => json(&report)?,
        };
        let health = match seen.is_reported {
            true => report.health.to_string(),
            false => UNREPORTED.to_owned(),
        };
        Ok(Answer { health: Some(health), ..answer })
    }

    /// With rates since the look before, where somebody watches.
    async fn look(&self) -> Result<status::Seen> {
        let mut seen = status::look(&self.instance, this_process()).await?;
        let mut last = self.look.borrow_mut();
        let before = last.take().filter(|look| look.age() < WATCHED);
        *last = Some(Look::follow(before.as_ref(), &mut seen.report, Instant::now()));
        Ok(seen)
    }

    async fn ready(&self) -> Result<Answer> {
        let look = wait::look(&self.instance, this_process());
        let progress = self.ready.get(&self.turn, look).await?;
        let (status, health) = match *progress {
            wait::Progress::Ready => (StatusCode::OK, HealthJson::Ok),
            wait::Progress::Missing(_) => (StatusCode::SERVICE_UNAVAILABLE, HealthJson::Degraded),
            _ => (StatusCode::SERVICE_UNAVAILABLE, HealthJson::Starting),
        };
        let health = Some(health.to_string());
        Ok(Answer { status, health, ..json(&progress.to_json())? })
    }

    async fn flows(&self, request: &Request) -> Result<Answer> {
        let mut question =
            flows::Question::parse(&request.query).map_err(|error| unanswerable(&error))?;
        question.limit_to(MAX_FLOWS);
        let (kind, json) = match request.wants_text {
            true => (Kind::Text, false),
            false => (Kind::Json, true),
        };
        let read = async {
            flows::read(&self.instance, this_process(), &question)
                .and_then(|flows| question.answer(&flows, json))
        };
        Ok(Answer::of(kind, self.turn.take(read).await?))
    }

    async fn events(&self, request: &Request) -> Result<Answer> {
        let since: Since = serde_urlencoded::from_str(&request.query)
            .map_err(|error| unanswerable(&error.into()))?;
        let after = if since.run.is_none_or(|run| run == self.run) { since.after } else { 0 };
        let seat = self.seats.try_acquire();
        let limit = Duration::from_secs(if seat.is_ok() { since.wait } else { 0 }).min(MAX_WAIT);
        let (all, last) = recent::after(after, limit).await;
        json(&events::report(&self.instance, self.run, last, &all))
    }

    async fn metrics(&self) -> Result<Answer> {
        let read = metrics::of_kernel(&self.instance, this_process());
        let text = self.metrics.get(&self.turn, read).await?;
        Ok(Answer::of(Kind::OpenMetrics, String::clone(&text)))
    }
}

/// Tells a daemon from the one before, which may have begun in the same second. As many bits as a JSON reader
/// with floating-point numbers keeps.
fn run_mark() -> u64 {
    secret() >> (u64::BITS - f64::MANTISSA_DIGITS)
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
    /// The `run` that it is of: the next daemon counts from the beginning.
    run: Option<u64>,
    /// For how many seconds to wait for news, where there are none.
    wait: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_daemons_of_the_same_second_are_told_apart() {
        let instance = "default".parse::<Instance>().unwrap();
        let [first, second] = [(); 2].map(|()| FromKernel::new(instance.clone()).run);
        assert_ne!(first, second);
    }
}
