//! Ages, as short as a column.

use std::time::{Duration, SystemTime};

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

/// `None`: it lies ahead; somebody set the clock back.
pub(super) fn since(seconds_since_1970: u64) -> Option<Duration> {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds_since_1970);
    SystemTime::now().duration_since(then).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_the_two_largest_units() {
        let said =
            [0, 59, 60, 3_599, 3_600, 86_399, 273_600].map(|s| short(Duration::from_secs(s)));
        assert_eq!(said, ["0s", "59s", "1m", "59m", "1h0m", "23h59m", "3d4h"]);
    }
}
