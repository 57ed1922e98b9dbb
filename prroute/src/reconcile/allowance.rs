//! How fast prroute puts back what others remove: at once at first, then with growing pauses.
//!
//! ```text
//! loss 1 .. 10: at once     then: after 1 s, 2 s, 4 s .. 60 s     two quiet minutes: from anew
//! ```

use std::time::{Duration, Instant};

/// Repairs without a pause.
const BURST: u32 = 10;
/// Then the pauses begin with this, and double ...
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// ... up to this.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Without a loss for so long, the past is forgotten. Longer than any pause.
pub(super) const CALM: Duration = Duration::from_secs(120);

/// Whether to put back what was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    Granted,
    NotBefore {
        pause: Duration,
        /// This is the first time it is refused since the last repair.
        first: bool,
    },
}

#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// Repairs since the last calm.
    done: u32,
    /// The latest of them.
    last: Option<Instant>,
    /// Refused until then.
    due: Option<Instant>,
}

impl Allowance {
    /// Nothing is to be put back (any more).
    pub(super) const fn nothing_lost(&mut self) {
        self.due = None;
    }

    /// When to try again what was refused.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Asks for a repair now.
    pub(super) fn ask(&mut self, now: Instant) -> Permission {
        if self.last.is_some_and(|last| now.duration_since(last) >= CALM) {
            self.done = 0;
        }
        let since = self.last.map(|last| now.duration_since(last));
        let pause = match self.done.checked_sub(BURST) {
            None => Duration::ZERO,
            Some(beyond) => (PAUSE_MIN * 2_u32.saturating_pow(beyond.min(16))).min(PAUSE_MAX),
        };
        match since {
            Some(since) if since < pause => {
                let first = self.due.is_none();
                self.due = self.last.map(|last| last + pause);
                Permission::NotBefore { pause: pause - since, first }
            }
            _ => {
                self.done += 1;
                self.last = Some(now);
                self.due = None;
                Permission::Granted
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn ten_repairs_come_at_once_and_then_with_growing_pauses() {
        let mut allowance = Allowance::default();
        let mut now = Instant::now();
        for _ in 0..10 {
            assert_eq!(allowance.ask(now), Permission::Granted);
        }
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let refused = allowance.ask(now);
            let Permission::NotBefore { pause, first: true } = refused else {
                panic!("{refused:?}");
            };
            assert!(matches!(allowance.ask(now), Permission::NotBefore { first: false, .. }));
            assert_eq!(allowance.due(), Some(now + pause));
            now += pause;
            assert_eq!(allowance.ask(now), Permission::Granted);
            assert_eq!(allowance.due(), None);
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(allowance.ask(now + 2 * CALM), Permission::Granted);
        assert_eq!(allowance.ask(now + 2 * CALM), Permission::Granted, "forgotten after a calm");
    }

    #[test]
    fn a_repair_a_second_late_is_due_the_rest_of_its_pause_later() {
        let mut allowance = Allowance::default();
        let start = Instant::now();
        for _ in 0..12 {
            allowance.ask(start);
        }
        let half = start + SECOND / 2;
        assert_eq!(allowance.ask(half), Permission::NotBefore { pause: SECOND / 2, first: false });
    }
}
