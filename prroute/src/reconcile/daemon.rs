//! The loop: converge, tell the service manager, wait for the network or a signal.

use std::future::pending;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::netlink::Monitor;
use crate::reconcile::{ReconcileError, Reconciler};

/// Events that come together are answered together: this long after the last one, ...
const QUIET: Duration = Duration::from_millis(20);
/// ... but never later than this after the first.
const PATIENCE: Duration = Duration::from_millis(200);

/// A round that failed is repeated after this, doubled each time up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// A gateway that does not resolve is asked again after this.
const GATEWAY_RETRY: Duration = Duration::from_secs(3);

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Signal(&'static str),
}

#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Daemon {
    reconciler: Reconciler,
    monitor: Monitor,
    terminate: Signal,
    interrupt: Signal,
}

impl Daemon {
    /// # Errors
    ///
    /// When the signals cannot be caught.
    pub fn new(reconciler: Reconciler, monitor: Monitor) -> std::io::Result<Self> {
        Ok(Self {
            reconciler,
            monitor,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The first round: an error here means that nothing is managed.
    ///
    /// # Errors
    ///
    /// What the first round failed with.
    pub async fn start(&mut self) -> Result<(), ReconcileError> {
        self.reconciler.converge(&mut self.monitor).await?;
        let memory = self.reconciler.memory();
        for skipped in &memory.skipped {
            tracing::info!("{}: not managed: {}", skipped.name, skipped.reason);
        }
        tracing::info!("ready, {}", memory.summary);
        notify(&[NotifyState::Ready, NotifyState::Status(&memory.summary)]);
        Ok(())
    }

    /// Follows the network until a signal comes. A round that fails is logged and repeated.
    ///
    /// # Errors
    ///
    /// When the kernel's announcements cannot be read any more.
    pub async fn follow(&mut self) -> Result<Stop, ReconcileError> {
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        let mut alive = watchdog.map(|period| Instant::now() + period);
        let mut retry: Option<(Instant, Duration)> = None;
        loop {
            tokio::select! {
                biased;
                _ = self.terminate.recv() => return Ok(Stop::Signal("SIGTERM")),
                _ = self.interrupt.recv() => return Ok(Stop::Signal("SIGINT")),
                () = at(alive) => {
                    notify(&[NotifyState::Watchdog]);
                    alive = watchdog.map(|period| Instant::now() + period);
                    continue;
                }
                change = self.monitor.next() => {
                    change?;
                    self.settle().await?;
                }
                () = at(retry.map(|(when, _)| when)) => {}
            }
            retry = match self.round().await {
                Ok(()) if self.reconciler.retries_gateways() => {
                    Some((Instant::now() + GATEWAY_RETRY, RETRY_MIN))
                }
                Ok(()) => None,
                Err(error) => {
                    let pause = retry.map_or(RETRY_MIN, |(_, last)| (last * 2).min(RETRY_MAX));
                    tracing::error!("{error}; trying again in {} s", pause.as_secs());
                    Some((Instant::now() + pause, pause))
                }
            };
        }
    }

    /// Waits until no more changes come, within limits.
    async fn settle(&mut self) -> Result<(), ReconcileError> {
        let limit = Instant::now() + PATIENCE;
        loop {
            let quiet = (Instant::now() + QUIET).min(limit);
            tokio::select! {
                () = sleep_until(quiet) => return Ok(()),
                change = self.monitor.next() => change.map(drop)?,
            }
        }
    }

    async fn round(&mut self) -> Result<(), ReconcileError> {
        let before = self.reconciler.memory().summary.clone();
        let result = self.reconciler.converge(&mut self.monitor).await;
        let now = &self.reconciler.memory().summary;
        if *now != before {
            tracing::info!("{now}");
            notify(&[NotifyState::Status(now)]);
        }
        result
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => pending().await,
    }
}

/// Tells the service manager; without one there is nobody to tell.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("sd_notify: {error}");
    }
}
