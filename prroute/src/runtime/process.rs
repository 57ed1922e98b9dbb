//! What the kernel says of a process: for how long it has been running, and whether it is ending.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// proc(5) tells times in these, wherever prroute runs.
const TICKS_PER_SECOND: u64 = 100;

/// Where in `/proc/PID/stat` they are told, and what the process does, counted from the field after the name.
const STATE: usize = 0;
const FLAGS: usize = 6;
const START: usize = 19;

/// Of the flags: the kernel is giving up what the process had (`PF_EXITING`).
const EXITING: u64 = 4;

/// `None`: it has just ended.
pub fn uptime(pid: Pid) -> Option<Duration> {
    let started = started(&stat(pid)?)?;
    Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?).checked_sub(started)
}

/// Whether a signal (SIGSTOP, SIGTSTP) keeps it from going on. Not for the moment in which a debugger looks.
pub fn is_stopped(pid: Pid) -> bool {
    stat(pid).is_some_and(|stat| word(&stat, STATE) == Some("T"))
}

/// Whether it runs no more, although the kernel may still be closing what it had open.
pub(super) fn is_ending(pid: Pid) -> bool {
    stat(pid).is_none_or(|stat| has_exited(&stat))
}

fn stat(pid: Pid) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// Since the machine started.
fn started(stat: &str) -> Option<Duration> {
    let ticks = field(stat, START)?;
    Some(Duration::from_millis(ticks * (1_000 / TICKS_PER_SECOND)))
}

fn has_exited(stat: &str) -> bool {
    field(stat, FLAGS).is_some_and(|flags| flags & EXITING != 0)
}

fn field(stat: &str, number: usize) -> Option<u64> {
    word(stat, number)?.parse().ok()
}

fn word(stat: &str, number: usize) -> Option<&str> {
    // The name may have spaces and brackets.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(number)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_start_of_a_process_is_told_whatever_its_name() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99";
        assert_eq!(started(stat), Some(Duration::from_millis(123_450)));
        assert!(uptime(Pid::this()).is_some_and(|time| time < Duration::from_secs(86_400)));
        assert_eq!(uptime(Pid::from_raw(i32::MAX)), None);
    }

    #[test]
    fn a_process_is_stopped_until_it_may_go_on() {
        use nix::sys::signal::{Signal, kill};
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        let becomes = |stopped| {
            while is_stopped(pid) != stopped {
                std::thread::yield_now();
            }
        };
        assert!(!is_stopped(pid));
        kill(pid, Signal::SIGSTOP).unwrap();
        becomes(true);
        kill(pid, Signal::SIGCONT).unwrap();
        becomes(false);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_stopped(pid), "gone");
    }

    #[test]
    fn a_process_that_was_killed_is_ending_and_one_that_runs_is_not() {
        assert!(!is_ending(Pid::this()));
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        assert!(!is_ending(pid));
        child.kill().unwrap();
        // It has ended, and nobody has asked how.
        while !has_exited(&stat(pid).unwrap()) {
            std::thread::yield_now();
        }
        assert!(is_ending(pid));
        child.wait().unwrap();
        assert!(is_ending(pid));
    }
}
