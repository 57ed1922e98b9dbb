//! Ending a daemon, also one that hangs, within a time.

use std::fs;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::runtime::directory::RunDirectory;
use crate::runtime::lock::{InstanceLock, LockError};

/// For how long a daemon may take to end by itself.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Ends a daemon that hangs: it handles no SIGUSR2, whose default action ends it. By this signal the unit
/// knows that the daemon was ended on purpose, and does not restart it (`RestartPreventExitStatus=`).
const END: Signal = Signal::SIGUSR2;

/// The signals that a daemon gets until it ends, and how long after the first one.
const STEPS: [(Duration, Signal); 3] =
    [(Duration::ZERO, Signal::SIGTERM), (PATIENCE, END), (Duration::from_secs(7), Signal::SIGKILL)];

/// When to give up.
const LIMIT: Duration = Duration::from_secs(10);

/// How often the lock is looked at while its holder stops.
const RETRY: Duration = Duration::from_millis(20);

/// What became of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// There was none.
    NotRunning,
    /// It ended by itself.
    Ended,
    /// It did not, and was killed.
    Killed(Pid),
}

/// Tells the daemon of an instance to stop, and kills it if it does not.
///
/// # Errors
///
/// When it goes on all the same, and with which process that is.
pub fn stop(directory: &RunDirectory) -> Result<Stopped, LockError> {
    let mut outcome = Stopped::NotRunning;
    let mut told: Option<(Pid, Instant, usize)> = None;
    let begin = Instant::now();
    while let Some(pid) = InstanceLock::holder(directory)? {
        let (since, steps) = match told {
            Some((same, since, steps)) if same == pid => (since, steps),
            // The first, or one that was started in its place.
            _ => (Instant::now(), 0),
        };
        let step = next_step(since.elapsed(), steps);
        if let Some(signal) = step {
            send(pid, signal, directory)?;
            // A stopped process does nothing about the signals that it has.
            send(pid, Signal::SIGCONT, directory)?;
            outcome = if steps == 0 { Stopped::Ended } else { Stopped::Killed(pid) };
        } else if since.elapsed() >= LIMIT || begin.elapsed() >= 2 * LIMIT {
            return Err(LockError::StillHeld { pid, state: state_of(pid) });
        }
        told = Some((pid, since, steps + usize::from(step.is_some())));
        std::thread::sleep(RETRY);
    }
    Ok(outcome)
}

/// The signal that is due, of a daemon that was told to stop so long ago and got so many signals.
fn next_step(elapsed: Duration, taken: usize) -> Option<Signal> {
    let (due, signal) = STEPS.get(taken)?;
    (elapsed >= *due).then_some(*signal)
}

fn send(pid: Pid, signal: Signal, directory: &RunDirectory) -> Result<(), LockError> {
    match kill(pid, signal) {
        // It has just ended.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => {
            Err(LockError::file("signal the holder of", &directory.lock_path())(errno.into()))
        }
    }
}

/// As the kernel says it: `D (disk sleep)`.
fn state_of(pid: Pid) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.map_or("unknown", str::trim).to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::Signal;
    use nix::unistd::Pid;

    use super::{LIMIT, STEPS, next_step, state_of};

    #[test]
    fn it_is_asked_then_ended_then_killed_then_given_up() {
        let (mut taken, mut sent) = (0, Vec::new());
        for tenths in 0..=LIMIT.as_secs() * 10 {
            if let Some(signal) = next_step(Duration::from_millis(tenths * 100), taken) {
                sent.push((tenths, signal));
                taken += 1;
            }
        }
        let expected = [(0, Signal::SIGTERM), (50, Signal::SIGUSR2), (70, Signal::SIGKILL)];
        assert_eq!(sent, expected);
        assert!(STEPS.last().unwrap().0 < LIMIT, "SIGKILL has its time too");
    }

    #[test]
    fn the_state_of_a_process_is_told_as_the_kernel_tells_it() {
        let state = state_of(Pid::this());
        assert!(state.starts_with('R') || state.starts_with('S'), "{state}");
        assert_eq!(state_of(Pid::from_raw(i32::MAX)), "unknown");
    }
}
