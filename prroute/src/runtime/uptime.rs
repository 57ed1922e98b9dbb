//! For how long a process has been running.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// proc(5) tells times in these, wherever prroute runs.
const TICKS_PER_SECOND: u64 = 100;

/// Where in `/proc/PID/stat` the start is told, counted from the field after the name.
const START: usize = 19;

/// `None`: it has just ended.
pub fn uptime(pid: Pid) -> Option<Duration> {
    let started = started(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?).checked_sub(started)
}

/// Since the machine started.
fn started(stat: &str) -> Option<Duration> {
    // The name may have spaces and brackets.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().nth(START)?.parse().ok()?;
    Some(Duration::from_millis(ticks * (1_000 / TICKS_PER_SECOND)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_process_is_told_whatever_its_name() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99";
        assert_eq!(started(stat), Some(Duration::from_millis(123_450)));
        assert!(uptime(Pid::this()).is_some_and(|time| time < Duration::from_secs(86_400)));
        assert_eq!(uptime(Pid::from_raw(i32::MAX)), None);
    }
}
