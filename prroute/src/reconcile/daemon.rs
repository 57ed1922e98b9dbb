//! The loop: converge, tell the service manager, wait for the network or a signal.

use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::causes::with_causes;
use crate::config::Config;
use crate::netlink::{Change, HookMonitor, Monitor};
use crate::reconcile::long_step::LongStep;
use crate::reconcile::pace::{PATIENCE, Pace};
use crate::reconcile::trouble::Trouble;
use crate::reconcile::{ReconcileError, Reconciler, events};
use crate::runtime::Records;

/// A round that failed is repeated after this, doubled each time up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// A gateway that does not resolve is asked again after this.
const GATEWAY_RETRY: Duration = Duration::from_secs(3);

/// How long the start waits for thousands of rules and routes: the rest follows.
const START_LIMIT: Duration = Duration::from_secs(300);

/// How long it waits for tables to hold still.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// How long the start waits for gateways that do not answer.
const GATEWAY_PATIENCE: Duration = Duration::from_secs(1);

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Signal(&'static str),
}

#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Daemon {
    reconciler: Reconciler,
    monitor: Monitor,
    hooks: HookMonitor,
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    /// What changed since the last round that succeeded.
    change: Change,
    /// The last round of the start could not bring everything about.
    incomplete: bool,
    pace: Pace,
    trouble: Trouble,
}

impl Daemon {
    /// `config_file` is what SIGHUP has read again; `None`: the usual files.
    ///
    /// # Errors
    ///
    /// When the signals cannot be caught.
    pub fn new(
        mut reconciler: Reconciler,
        monitor: Monitor,
        hooks: HookMonitor,
        config_file: Option<PathBuf>,
    ) -> std::io::Result<Self> {
        let (terminate, interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let reload = signal(SignalKind::hangup())?;
        reconciler.is_daemon(config_file);
        let change = Change::default();
        Ok(Self {
            reconciler,
            monitor,
            hooks,
            terminate,
            interrupt,
            reload,
            change,
            incomplete: false,
            pace: Pace::new(Instant::now()),
            trouble: Trouble::default(),
        })
    }

    /// What is to be undone, whether or not the disk has it.
    pub fn into_records(self) -> Records {
        let Reconciler { journal, report, ids, .. } = self.reconciler;
        Records { journal, report, ids }
    }

    pub fn config(&self) -> &Config {
        self.reconciler.config()
    }

    /// The first round: an error here means that nothing is managed.
    ///
    /// # Errors
    ///
    /// What the first round failed with.
    pub async fn start(&mut self) -> Result<(), ReconcileError> {
        self.try_round().await?;
        let limit = Instant::now() + START_PATIENCE;
        while self.reconciler.is_unsteady() && Instant::now() < limit {
            self.try_round().await?;
        }
        self.finish().await?;
        self.await_gateways().await?;
        let report = &self.reconciler.report;
        tracing::info!("ready, {}", report.summary);
        notify(&[NotifyState::Ready, NotifyState::Status(&report.summary)]);
        Ok(())
    }

    /// Who waits for the start finds all rules and routes in force, however many there are.
    async fn finish(&mut self) -> Result<(), ReconcileError> {
        if !self.reconciler.is_unfinished() {
            return Ok(());
        }
        let summary = &self.reconciler.report.summary;
        let _step = LongStep::begin("making rules and routes", summary, START_LIMIT);
        let limit = Instant::now() + START_LIMIT;
        while self.reconciler.is_unfinished() && Instant::now() < limit {
            self.try_round().await?;
        }
        Ok(())
    }

    /// Ready means that replies are steered: a gateway that resolves at all does so at once.
    async fn await_gateways(&mut self) -> Result<(), ReconcileError> {
        let limit = Instant::now() + GATEWAY_PATIENCE;
        while self.reconciler.awaits_gateways() {
            tokio::select! {
                () = sleep_until(limit) => return Ok(()),
                change = self.monitor.next() => self.change.merge(change?),
            }
            self.try_round().await?;
        }
        Ok(())
    }

    /// A round of the start, which fails when something is refused.
    async fn try_round(&mut self) -> Result<(), ReconcileError> {
        let complete = self.reconciler.try_to_converge(&mut self.monitor, self.change).await?;
        if complete {
            self.change = Change::default();
        }
        self.incomplete = !complete;
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
        let first = self.incomplete.then(|| Instant::now() + RETRY_MIN);
        let mut retry = first.map(|first| (first, RETRY_MIN));
        let mut asked = Instant::now();
        let mut inspected = Instant::now();
        loop {
            self.hooks.watch(self.reconciler.filtered());
            let inspect = self.reconciler.inspection_period().map(|period| inspected + period);
            let ask = self.reconciler.question_period().map(|period| asked + period);
            tokio::select! {
                biased;
                _ = self.terminate.recv() => return Ok(Stop::Signal("SIGTERM")),
                _ = self.interrupt.recv() => return Ok(Stop::Signal("SIGINT")),
                () = at(alive) => {
                    notify(&[NotifyState::Watchdog]);
                    alive = watchdog.map(|period| Instant::now() + period);
                    continue;
                }
                () = at(ask) => {
                    self.reconciler.question_gateways(&self.monitor).await;
                    asked = Instant::now();
                    continue;
                }
                () = at(inspect) => {
                    inspected = Instant::now();
                    if !self.reconciler.inspect().await {
                        continue;
                    }
                }
                gone = self.hooks.next() => {
                    gone?;
                    if !self.reconciler.inspect().await {
                        continue;
                    }
                }
                _ = self.reload.recv() => {
                    self.reload().await;
                }
                change = self.monitor.next() => {
                    self.change.merge(change?);
                    // A gateway that came or went concerns every reply now.
                    if !self.change.is_only_neighbours() {
                        self.settle().await?;
                    }
                }
                () = at(self.reconciler.report_due().map(Instant::from_std)) => {
                    self.reconciler.tell_the_rest();
                    continue;
                }
                () = at(self.reconciler.is_unfinished().then(Instant::now)) => {}
                () = at(retry.map(|(when, _)| when)) => {}
                () = at(self.reconciler.repair_due().map(Instant::from_std)) => {}
                () = at(self.reconciler.expiry().map(Instant::from_std)) => {}
            }
            retry = match self.round().await {
                Ok(()) if self.reconciler.retries_gateways() => {
                    Some((Instant::now() + GATEWAY_RETRY, RETRY_MIN))
                }
                Ok(()) => None,
                Err(error) => {
                    let pause = retry.map_or(RETRY_MIN, |(_, last)| (last * 2).min(RETRY_MAX));
                    tracing::debug!("{error}; trying again in {} s", pause.as_secs());
                    Some((Instant::now() + pause, pause))
                }
            };
        }
    }

    /// Waits until no more changes come, within limits.
    async fn settle(&mut self) -> Result<(), ReconcileError> {
        let limit = Instant::now() + PATIENCE;
        loop {
            let now = Instant::now();
            let quiet = (now + self.pace.quiet(self.change)).min(limit);
            tokio::select! {
                () = sleep_until(quiet) => {
                    self.pace.answer(self.change, now);
                    return Ok(());
                }
                change = self.monitor.next() => self.change.merge(change?),
            }
        }
    }

    /// The service manager hears that it is over before who asked for it does.
    async fn reload(&mut self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!("read the monotonic clock: {error}"),
        }
        self.reconciler.reload(&mut self.monitor).await;
        let report = &self.reconciler.report;
        notify(&[NotifyState::Ready, NotifyState::Status(&report.summary)]);
        self.reconciler.publish();
    }

    async fn round(&mut self) -> Result<(), ReconcileError> {
        let before = self.reconciler.report.summary.clone();
        let result = self.reconciler.converge(&mut self.monitor, self.change).await;
        let said = match &result {
            Ok(()) => self.trouble.over(),
            Err(error) => {
                let text = with_causes(error).to_string();
                self.trouble.failed(std::time::Instant::now(), &text, error.is_transient())
            }
        };
        events::write(said.as_slice());
        if result.is_ok() {
            self.change = Change::default();
        }
        let now = &self.reconciler.report.summary;
        if *now != before {
            tracing::debug!("{now}");
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
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("sd_notify: {error}");
    }
}
