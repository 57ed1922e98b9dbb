//! Ages, as short as a column.

use std::time::Duration;

use crate::runtime;

/// In the two largest units.
pub(super) fn short(age: Duration) -> String {
    let seconds = age.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, ..) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

/// Of what was then, in seconds since 1970. `None`: it lies ahead; somebody set the clock back.
pub(super) fn since(then: u64) -> Option<Duration> {
    runtime::seconds_since_1970().checked_sub(then).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The report may say anything.
    #[test]
    fn what_lies_ahead_has_no_age() {
        assert_eq!(since(u64::MAX), None);
        assert!(since(0).is_some());
    }

    #[test]
    fn an_age_has_the_two_largest_units() {
        let said =
            [0, 59, 60, 3_599, 3_600, 86_399, 273_600].map(|s| short(Duration::from_secs(s)));
        assert_eq!(said, ["0s", "59s", "1m", "59m", "1h0m", "23h59m", "3d4h"]);
    }
}
