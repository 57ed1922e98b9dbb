//! The loop: converge, tell the service manager, wait for the network or a signal.

mod start;

use std::convert::Infallible;
use std::future::pending;
use std::path::PathBuf;
use std::pin::pin;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::causes::with_causes;
use crate::config::{Config, FileStamp};
use crate::datapath::pin_monitor::PinMonitor;
use crate::netlink::{Announced, Change, HookMonitor, Monitor};
use crate::reconcile::lines::{EventName, Line};
use crate::reconcile::pace::{PATIENCE, Pace};
use crate::reconcile::trouble::Trouble;
use crate::reconcile::{Outlook, ReconcileError, Reconciler, lines};
use crate::runtime::Records;

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop<E = Infallible> {
    Signal(&'static str),
    /// What was to end it came.
    End(E),
}

#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Daemon {
    reconciler: Reconciler,
    monitor: Monitor,
    hooks: HookMonitor,
    /// `None`: the kernel has none left for this user.
    pins: Option<PinMonitor>,
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    /// The signal that came during the start, which is broken off.
    ended_by: Option<&'static str>,
    /// What changed since the last round that succeeded.
    change: Change,
    pace: Pace,
    trouble: Trouble,
}

impl Daemon {
    /// `config_file` is what SIGHUP has read again; `None`: the usual files. `read` are the files as
    /// they were before the configuration was read. `observe`: whatever they say about the mode.
    ///
    /// # Errors
    ///
    /// When the signals cannot be caught.
    pub fn new(
        mut reconciler: Reconciler,
        monitor: Monitor,
        hooks: HookMonitor,
        config_file: Option<PathBuf>,
        read: Vec<FileStamp>,
        observe: bool,
    ) -> std::io::Result<Self> {
        let (terminate, interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let reload = signal(SignalKind::hangup())?;
        reconciler.is_daemon(config_file, read, observe);
        let change = Change::default();
        let pins = PinMonitor::open()
            .inspect_err(|error| tracing::debug!("listen to changes of pins: {error}"))
            .ok();
        Ok(Self {
            reconciler,
            monitor,
            hooks,
            pins,
            terminate,
            interrupt,
            reload,
            ended_by: None,
            change,
            pace: Pace::new(Instant::now()),
            trouble: Trouble::default(),
        })
    }

    /// Says in its report that it is a trial.
    pub fn is_trial(&mut self) {
        self.reconciler.records.report.trial = true;
    }

    /// What is to be undone, whether or not the disk has it.
    pub fn into_records(self) -> Records {
        self.reconciler.records.into_records()
    }

    /// What there is, and what there should be.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be read.
    pub async fn look(&self) -> Result<Outlook, ReconcileError> {
        self.reconciler.look().await
    }

    pub fn config(&self) -> &Config {
        self.reconciler.config()
    }

    /// Follows the network until a signal comes. A round that fails is logged and repeated.
    ///
    /// # Errors
    ///
    /// When the kernel's announcements cannot be read any more.
    pub async fn follow(&mut self) -> Result<Stop, ReconcileError> {
        self.follow_until(pending()).await
    }

    /// Likewise, until `end` is ready; no round is broken off.
    ///
    /// # Errors
    ///
    /// Likewise.
    pub async fn follow_until<E>(
        &mut self,
        end: impl Future<Output = E>,
    ) -> Result<Stop<E>, ReconcileError> {
        if let Some(signal) = self.ended_by {
            return Ok(Stop::Signal(signal));
        }
        let mut end = pin!(end);
        loop {
            self.hooks.watch(self.reconciler.filtered());
            self.reconciler.watch_pins(self.pins.as_ref());
            let wakeup = self.reconciler.next_wakeup();
            let is_due = tokio::select! {
                biased;
                _ = self.terminate.recv() => return Ok(Stop::Signal("SIGTERM")),
                _ = self.interrupt.recv() => return Ok(Stop::Signal("SIGINT")),
                // Before a reload: SIGHUP may be the end.
                end = &mut end => return Ok(Stop::End(end)),
                _ = self.reload.recv() => {
                    self.reload().await;
                    true
                }
                () = at(wakeup) => self.reconciler.wake().await,
                gone = self.hooks.next() => {
                    gone?;
                    self.reconciler.inspect().await
                }
                gone = news_of(&mut self.pins) => {
                    if let Err(error) = gone {
                        tracing::debug!("read changes of pins: {error}");
                        self.pins = None;
                    }
                    self.reconciler.inspect().await
                }
                announced = self.monitor.next() => {
                    let is_news = self.hear(&announced?);
                    // A gateway that came or went concerns every reply now.
                    if is_news && !self.change.is_only_neighbours() {
                        self.settle().await?;
                    }
                    is_news
                }
            };
            if is_due {
                self.round().await;
            }
        }
    }

    /// Waits until no more changes come, within limits.
    async fn settle(&mut self) -> Result<(), ReconcileError> {
        let limit = Instant::now() + PATIENCE;
        let mut last = Instant::now();
        loop {
            let quiet = (last + self.pace.quiet(self.change)).min(limit);
            tokio::select! {
                () = sleep_until(quiet) => {
                    self.pace.answer(self.change, last);
                    return Ok(());
                }
                announced = self.monitor.next() => if self.hear(&announced?) {
                    last = Instant::now();
                },
            }
        }
    }

    /// Adds what was announced to the changes since the last round, and tells whether it is news.
    fn hear(&mut self, announced: &Announced) -> bool {
        let mut change = announced.change;
        change.neighbours = self.reconciler.gateways.hear(&announced.neighbours);
        self.change.merge(change);
        change.is_any()
    }

    /// The service manager hears that it is over before who asked for it does.
    async fn reload(&mut self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!("read the monotonic clock: {error}"),
        }
        self.reconciler.reload(&mut self.monitor).await;
        let report = &self.reconciler.records.report;
        notify(&[NotifyState::Ready, NotifyState::Status(&report.summary)]);
        self.reconciler.publish();
    }

    async fn round(&mut self) {
        let before = self.reconciler.records.report.summary.clone();
        let result = self.reconciler.converge(&mut self.monitor, self.change).await;
        let said = match &result {
            Ok(_) => self.trouble.over().map(|said| (said, EventName("round-works"))),
            Err(error) => {
                let (text, now) = (with_causes(error).to_string(), std::time::Instant::now());
                let said = self.trouble.failed(now, &text, error.is_transient());
                said.map(|said| (said, EventName("round-failed")))
            }
        };
        if let Some(((level, text), kind)) = said {
            lines::write(&Line::new(level, kind, text));
        }
        if result.is_ok() || result.is_err_and(|error| error.is_of_one_device()) {
            self.change = Change::default();
        }
        let now = &self.reconciler.records.report.summary;
        if *now != before {
            tracing::debug!("{now}");
            notify(&[NotifyState::Status(now)]);
        }
    }
}

async fn news_of(pins: &mut Option<PinMonitor>) -> std::io::Result<()> {
    match pins {
        Some(pins) => pins.next().await,
        None => pending().await,
    }
}

async fn at(when: Option<std::time::Instant>) {
    match when {
        Some(when) => sleep_until(when.into()).await,
        None => pending().await,
    }
}

/// Tells the service manager; without one there is nobody to tell.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("sd_notify: {error}");
    }
}
