//! Steps that block the daemon's thread for long: the service manager hears meanwhile that it lives.
//!
//! Verifying the programs takes a second on a fast machine and minutes on an emulated one, in one
//! call. Without a word the watchdog would end the daemon in the middle of it, and again after each
//! restart.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::reconcile::daemon::notify;

/// Between two words where no watchdog asks for more.
const PERIOD: Duration = Duration::from_secs(10);

/// Says that the daemon lives, until it is dropped or the step has taken too long.
#[derive(Debug)]
pub(super) struct LongStep {
    /// Ends the thread when it is dropped.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// What is shown again afterwards.
    before: String,
}

impl LongStep {
    /// `systemctl status` shows `what` until the end, and then what it showed `before`. After `limit`
    /// the step counts as a hang: nothing is said any more, and the watchdog does what it is there
    /// for.
    pub(super) fn begin(what: &str, before: &str, limit: Duration) -> Self {
        notify(&[NotifyState::Status(what)]);
        let period = sd_notify::watchdog_enabled().map_or(PERIOD, |watchdog| watchdog / 2);
        let mut step = Self::saying(period, limit, move || alive(period));
        before.clone_into(&mut step.before);
        step
    }

    fn saying(period: Duration, limit: Duration, say: impl Fn() + Send + 'static) -> Self {
        let (end, ended) = mpsc::channel();
        let until = Instant::now() + limit;
        say();
        let thread = thread::Builder::new().name("long-step".to_owned()).spawn(move || {
            while Instant::now() < until
                && ended.recv_timeout(period) == Err(RecvTimeoutError::Timeout)
            {
                say();
            }
        });
        let thread = thread.inspect_err(|error| {
            tracing::debug!("start a thread that feeds the watchdog: {error}");
        });
        Self { end: Some(end), thread: thread.ok(), before: String::new() }
    }
}

impl Drop for LongStep {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::debug!("the thread that fed the watchdog panicked");
        }
        if !self.before.is_empty() {
            notify(&[NotifyState::Status(&self.before)]);
        }
    }
}

/// The watchdog counts from READY on; before that the time for the start does.
fn alive(period: Duration) {
    let next = u32::try_from((period * 3).as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::Watchdog, NotifyState::ExtendTimeoutUsec(next)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(5);

    #[test]
    fn it_says_so_again_and_again_until_the_step_ends() {
        let (said, heard) = mpsc::channel();
        let step = LongStep::saying(PERIOD, Duration::from_secs(60), move || {
            said.send(()).unwrap_or_default();
        });
        for _ in 0..5 {
            heard.recv_timeout(Duration::from_secs(30)).unwrap();
        }
        drop(step);
        // Its thread, and what it says by, are gone.
        while heard.recv_timeout(Duration::from_secs(30)) == Ok(()) {}
        assert_eq!(heard.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }

    #[test]
    fn a_step_that_takes_too_long_is_a_hang() {
        let (said, heard) = mpsc::channel();
        let step = LongStep::saying(PERIOD, 4 * PERIOD, move || said.send(()).unwrap_or_default());
        let times = std::iter::from_fn(|| heard.recv_timeout(Duration::from_secs(30)).ok()).count();
        assert!((1..=6).contains(&times), "{times}");
        drop(step);
    }
}
