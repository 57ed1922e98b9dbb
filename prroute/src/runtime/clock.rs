//! The time of day, and that since the machine started, as the report has them.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

pub(crate) fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// An instant by the kernel's monotonic clock: until the next boot all processes read the same one. It
/// stands still while the machine is suspended, and nobody sets it. `None`: before the machine started.
pub(crate) fn since_boot(instant: Instant) -> Option<Duration> {
    // Always by the same pair: the same instant is the same time.
    static PAIR: OnceLock<Option<(Instant, Duration)>> = OnceLock::new();
    let read = || Some((Instant::now(), clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?.into()));
    let (base, time) = (*PAIR.get_or_init(read))?;
    match instant.checked_duration_since(base) {
        Some(after) => time.checked_add(after),
        None => time.checked_sub(base - instant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_the_same_time_in_every_process() {
        let now = Instant::now();
        let time = since_boot(now).unwrap();
        assert_eq!(since_boot(now), Some(time));
        let earlier = Duration::from_millis(1);
        assert_eq!(since_boot(now - earlier), Some(time - earlier));
        let read = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
        assert!(read >= time && read - time < Duration::from_secs(60), "{read:?} {time:?}");
    }
}
