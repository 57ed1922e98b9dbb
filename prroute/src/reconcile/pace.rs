//! How long the daemon waits for more changes before it answers those it has heard of. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::netlink::Change;

/// A round begins when no change came for so long, ...
const QUIET: Duration = Duration::from_millis(20);
/// ... for so long if something appeared, since replies wait for it, ...
const QUIET_ARRIVED: Duration = Duration::from_millis(2);
/// ... and for so long if addresses and routes only disappeared: a program that changes an interface
/// removes them and adds them again. systemd-networkd takes up to 50 ms for that.
const QUIET_GONE: Duration = Duration::from_millis(100);
/// But never later than this after the first.
pub(super) const PATIENCE: Duration = Duration::from_millis(200);

/// Hasty rounds in a row; one more after each [`PATIENCE`]. Thousands of addresses that come one
/// by one are answered in few rounds.
const HASTY: u32 = 10;

/// Keeps count of hasty rounds.
#[derive(Debug)]
pub(super) struct Pace {
    left: u32,
    counted: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: HASTY, counted: now }
    }

    /// How long it has to be quiet after the last of these changes.
    pub(super) fn quiet(&self, change: Change) -> Duration {
        let gone = Change {
            addresses: change.addresses,
            routes: change.routes,
            // The kernel forgets the gateway together with the last address.
            neighbours: change.neighbours,
            ..Change::default()
        };
        if change.arrived {
            if self.left > 0 { QUIET_ARRIVED } else { QUIET }
        } else if change == gone {
            QUIET_GONE
        } else {
            QUIET
        }
    }

    /// These changes are answered now.
    pub(super) fn answer(&mut self, change: Change, now: Instant) {
        let periods =
            now.saturating_duration_since(self.counted).as_millis() / PATIENCE.as_millis();
        if periods > 0 {
            let more = u32::try_from(periods).unwrap_or(HASTY);
            self.left = self.left.saturating_add(more).min(HASTY);
            self.counted = now;
        }
        if change.arrived {
            self.left = self.left.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::{HASTY, PATIENCE, Pace, QUIET, QUIET_ARRIVED, QUIET_GONE};
    use crate::netlink::Change;

    const ARRIVED: Change = Change { addresses: true, arrived: true, ..NOTHING };
    const GONE: Change = Change { addresses: true, routes: true, ..NOTHING };
    const NOTHING: Change = Change {
        links: false,
        addresses: false,
        routes: false,
        rules: false,
        neighbours: false,
        arrived: false,
        overrun: false,
    };

    #[test]
    fn what_comes_is_answered_at_once_and_what_goes_may_come_back() {
        let pace = Pace::new(Instant::now());
        assert_eq!(pace.quiet(ARRIVED), QUIET_ARRIVED);
        assert_eq!(pace.quiet(GONE), QUIET_GONE);
        assert_eq!(pace.quiet(Change { neighbours: true, ..GONE }), QUIET_GONE);
        // A link that went down, or a rule that somebody deleted, is another matter.
        assert_eq!(pace.quiet(Change { links: true, ..GONE }), QUIET);
        assert_eq!(pace.quiet(Change { rules: true, ..NOTHING }), QUIET);
        assert_eq!(pace.quiet(Change { overrun: true, ..GONE }), QUIET);
        // An address that went, and then another that came.
        assert_eq!(pace.quiet(Change { arrived: true, ..GONE }), QUIET_ARRIVED);
    }

    #[test]
    fn thousands_that_come_one_by_one_are_answered_together() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for _ in 0..HASTY {
            assert_eq!(pace.quiet(ARRIVED), QUIET_ARRIVED);
            pace.answer(ARRIVED, start);
        }
        assert_eq!(pace.quiet(ARRIVED), QUIET);
        pace.answer(GONE, start + PATIENCE);
        assert_eq!(pace.quiet(ARRIVED), QUIET_ARRIVED);
        pace.answer(ARRIVED, start + PATIENCE);
        assert_eq!(pace.quiet(ARRIVED), QUIET);
    }
}
