//! When the daemon acts although nothing is announced.

use std::time::{Duration, Instant};

/// The kernel tells the rest of a route's life in hundredths of a second, and does not tell a
/// route that has just expired from one that never will.
const EXPIRY_GRACE: Duration = Duration::from_millis(50);

/// A round that failed is repeated after this, doubled each time up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Tables that changed all the time are read again after this.
const UNSTEADY: Duration = Duration::from_secs(1);

/// The next round, and what else is done at a time.
#[derive(Debug)]
pub(super) struct Schedule {
    /// A route of others expires, which the kernel announces much later.
    expiry: Option<Instant>,
    /// What the last round asked for.
    again: Option<Instant>,
    /// The pause after the last round, which failed.
    pause: Option<Duration>,
    /// No round for what the last one did not get to before then.
    not_before: Instant,
    /// Half of the time within which the service manager wants to hear from the daemon.
    watchdog: Option<Duration>,
    /// When it has to hear next.
    alive: Option<Instant>,
}

impl Schedule {
    pub(super) fn new(now: Instant) -> Self {
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        let alive = watchdog.map(|period| now + period);
        Self { expiry: None, again: None, pause: None, not_before: now, watchdog, alive }
    }

    /// A round begins. A route that was to expire just now seems to last for ever: what was due stays
    /// due until then.
    pub(super) fn begin_round(&mut self, now: Instant) {
        self.expiry = self.expiry.filter(|due| *due > now);
        self.again = None;
    }

    /// Another round is due when a route has expired, in so long.
    pub(super) fn expires_in(&mut self, rest: Duration, now: Instant) {
        self.expiry = self.expiry.into_iter().chain([now + rest + EXPIRY_GRACE]).min();
    }

    /// Another round is due then, whatever becomes of this one.
    pub(super) fn round_by(&mut self, due: Instant) {
        self.again = self.again.into_iter().chain([due]).min();
    }

    pub(super) const fn round_succeeded(&mut self) {
        self.pause = None;
    }

    /// The next try comes after a growing pause, which is returned.
    pub(super) fn round_failed(&mut self, now: Instant) -> Duration {
        let pause = self.pause.map_or(RETRY_MIN, |last| (last * 2).min(RETRY_MAX));
        self.pause = Some(pause);
        self.round_by(now + pause);
        self.not_before = now + RETRY_MIN;
        pause
    }

    /// A table changed while it was read: it is read again a little later.
    pub(super) fn round_was_unsteady(&mut self, now: Instant) {
        self.round_by(now + UNSTEADY);
        self.not_before = now + UNSTEADY;
    }

    /// Before when no round is due for what the last one did not get to.
    pub(super) const fn not_before(&self) -> Instant {
        self.not_before
    }

    /// When the next round is due.
    pub(super) fn next_round(&self) -> Option<Instant> {
        self.expiry.into_iter().chain(self.again).min()
    }

    /// When the service manager has to hear that the daemon lives.
    pub(super) const fn alive(&self) -> Option<Instant> {
        self.alive
    }

    pub(super) fn said_alive(&mut self, now: Instant) {
        self.alive = self.watchdog.map(|period| now + period);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule() -> (Schedule, Instant) {
        let now = Instant::now();
        (Schedule::new(now), now)
    }

    #[test]
    fn a_failing_round_is_repeated_after_growing_pauses() {
        let (mut schedule, now) = schedule();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            schedule.begin_round(now);
            let pause = schedule.round_failed(now);
            assert_eq!(schedule.next_round(), Some(now + pause));
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        schedule.begin_round(now);
        schedule.round_succeeded();
        assert_eq!(schedule.next_round(), None);
        assert_eq!(schedule.round_failed(now), RETRY_MIN);
    }

    #[test]
    fn what_a_failed_round_did_not_get_to_is_not_due_at_once() {
        let (mut schedule, now) = schedule();
        assert!(schedule.not_before() <= now);
        schedule.round_failed(now);
        schedule.begin_round(now + SECOND);
        schedule.round_failed(now + SECOND);
        assert_eq!(schedule.not_before(), now + 2 * SECOND, "a second, however long the pause is");
        schedule.begin_round(now + 2 * SECOND);
        schedule.round_was_unsteady(now + 2 * SECOND);
        assert_eq!(schedule.not_before(), now + 3 * SECOND);
    }

    /// A plan is longer than a round, and one of its operations failed: the others do not wait for that.
    #[test]
    fn what_is_left_of_a_plan_does_not_wait_for_what_failed() {
        let (mut schedule, now) = schedule();
        schedule.begin_round(now);
        schedule.round_by(now);
        schedule.round_failed(now);
        assert_eq!(schedule.next_round(), Some(now));
    }

    #[test]
    fn a_route_that_is_to_expire_brings_a_round_then() {
        let (mut schedule, now) = schedule();
        schedule.begin_round(now);
        schedule.expires_in(SECOND, now);
        let due = now + SECOND + EXPIRY_GRACE;
        // It has expired, or nearly: the kernel does not say which.
        schedule.begin_round(now + SECOND);
        assert_eq!(schedule.next_round(), Some(due));
        schedule.expires_in(SECOND, now + SECOND);
        assert_eq!(schedule.next_round(), Some(due), "the earlier one");
        schedule.begin_round(due);
        assert_eq!(schedule.next_round(), None);
    }

    #[test]
    fn the_earliest_of_what_a_round_asks_for_counts_and_only_until_the_next_round() {
        let (mut schedule, now) = schedule();
        schedule.round_by(now + 3 * SECOND);
        schedule.round_by(now + SECOND);
        schedule.round_by(now + 2 * SECOND);
        assert_eq!(schedule.next_round(), Some(now + SECOND));
        schedule.begin_round(now);
        assert_eq!(schedule.next_round(), None);
    }
}
