//! The time of day, as the report has it.

use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
