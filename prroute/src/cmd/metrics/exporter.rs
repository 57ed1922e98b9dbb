//! `prroute metrics --listen`: answers Prometheus, in a process of its own that needs no privileges.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use super::Metrics;
use crate::causes::with_causes;
use crate::cmd::cached::Cached;
use crate::cmd::socket;
use crate::http::{self, Answer, Answers, Kind, Listener, Request, StatusCode};
use crate::instance::Instance;

/// For the daemon to answer: one that lists a large table for others takes its time. Prometheus waits ten
/// seconds.
const PATIENCE: Duration = Duration::from_secs(7);

struct Exporter {
    instance: Instance,
    metrics: Cached<Metrics>,
    /// Why there are none, or none of the daemon, as it was logged last.
    failure: RefCell<Option<String>>,
}

impl Exporter {
    /// A daemon that does not answer does not work: that is a figure, and no error.
    async fn look(&self) -> Result<Metrics> {
        match Metrics::read(&self.instance, PATIENCE).await {
            Ok(metrics) => {
                self.failure.replace(None);
                Ok(metrics)
            }
            Err(error) if socket::hangs(&error) => {
                self.warn(&with_causes(error.as_ref()).to_string());
                Metrics::unseen(&self.instance)
            }
            Err(error) => Err(error),
        }
    }

    /// Once, however often somebody asks.
    fn warn(&self, why: &str) {
        if self.failure.replace(Some(why.to_owned())).as_deref() != Some(why) {
            tracing::warn!(event = "socket-unavailable", "{why}");
        }
    }
}

impl Answers for Exporter {
    async fn answer(&self, request: Request) -> Answer {
        if !matches!(&*request.path, "/metrics" | "/") {
            return Answer::error(StatusCode::NOT_FOUND, "there is /metrics only");
        }
        match self.metrics.get_without_turn(self.look()).await {
            Ok(metrics) => Answer::of(Kind::OpenMetrics, metrics.text.clone()),
            Err(error) => {
                let why = with_causes(error.as_ref()).to_string();
                self.warn(&why);
                Answer::error(StatusCode::SERVICE_UNAVAILABLE, &why)
            }
        }
    }
}

/// Answers at the address, or on the sockets from the service manager, until a signal comes.
pub(super) async fn run(instance: &Instance, address: Option<SocketAddr>) -> Result<()> {
    let listeners = match address {
        Some(address) => {
            let bound = TcpListener::bind(address).await;
            vec![Listener::Tcp(bound.with_context(|| format!("listen on {address}"))?)]
        }
        None => inherited().context("take the sockets from systemd")?,
    };
    if listeners.is_empty() {
        bail!("no socket comes from systemd: give an address, as in `--listen 127.0.0.1:9713`");
    }
    let exporter = Rc::new(Exporter {
        instance: instance.clone(),
        metrics: Cached::default(),
        failure: RefCell::default(),
    });
    let tasks = LocalSet::new();
    for listener in listeners {
        let exporter = Rc::clone(&exporter);
        drop(tasks.spawn_local(async move { http::serve(&listener, exporter).await }));
    }
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tasks
        .run_until(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await;
    Ok(())
}

fn inherited() -> io::Result<Vec<Listener>> {
    let descriptors = sd_notify::listen_fds()?;
    let owned = descriptors.map(|descriptor| {
        // SAFETY: the service manager hands it to this process, which takes it once.
        unsafe { OwnedFd::from_raw_fd(descriptor) }
    });
    owned.map(Listener::of_descriptor).collect()
}
