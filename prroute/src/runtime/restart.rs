//! Keeping systemd from starting a daemon again that was ended on purpose, or was dead already: a unit that
//! waits to start it (`Restart=on-failure`) would bring everything back.

use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::unit;

/// For how long systemd may take to notice that the daemon has ended.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// What systemd says of the unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    active: String,
    main_pid: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Stop,
    /// It has not noticed yet, or has not decided.
    Ask,
    Nothing,
}

/// Stops the unit of a daemon that has ended, where systemd would start that one again; whether it was so.
///
/// # Errors
///
/// When the unit cannot be stopped.
pub(crate) fn prevent(unit: &str) -> Result<bool> {
    // It would end itself: a drop-in may run `prroute down` before a start, or after the end.
    if unit::is_own(unit) {
        return Ok(false);
    }
    let begin = Instant::now();
    while let Some(state) = asked(unit)? {
        match next(&state, is_gone(state.main_pid)) {
            Next::Stop => {
                let stop = unit::command("stop", unit);
                let status = Command::new("systemctl").args(["stop", unit]).status();
                let is_stopped = status.context("run systemctl")?.success();
                ensure!(
                    is_stopped,
                    "systemd is about to start the daemon again: `{stop}` prevents it"
                );
                return Ok(true);
            }
            Next::Ask if begin.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Next::Ask | Next::Nothing => break,
        }
    }
    Ok(false)
}

/// `None`: there is no systemctl here, or no systemd that answers it.
fn asked(unit: &str) -> Result<Option<State>> {
    let properties = ["--property=ActiveState", "--property=MainPID"];
    let mut systemctl = Command::new("systemctl");
    systemctl.arg("show").args(properties).arg(unit).stderr(Stdio::null());
    match systemctl.output() {
        Ok(output) if output.status.success() => {
            Ok(Some(State::parse(&String::from_utf8_lossy(&output.stdout))))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("run systemctl"),
    }
}

impl State {
    fn parse(text: &str) -> Self {
        let value =
            |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let main_pid = value("MainPID").and_then(|pid| pid.parse().ok()).unwrap_or_default();
        Self { active: value("ActiveState").unwrap_or_default().to_owned(), main_pid }
    }
}

/// Nobody holds the lock of the instance.
fn next(state: &State, is_gone: bool) -> Next {
    match state.active.as_str() {
        // It waits until it starts the daemon, or starts it just now.
        "activating" => Next::Stop,
        "deactivating" => Next::Ask,
        "active" | "reloading" if is_gone => Next::Ask,
        // Its daemon is that of another instance.
        _ => Next::Nothing,
    }
}

/// A process that has ended has no program any more, also while it waits for its parent.
fn is_gone(pid: u32) -> bool {
    let program = fs::read_link(format!("/proc/{pid}/exe"));
    pid == 0 || program.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(active: &str) -> State {
        State { active: active.to_owned(), main_pid: 7 }
    }

    #[test]
    fn what_systemctl_shows_is_read_in_any_order() {
        assert_eq!(State::parse("MainPID=7\nActiveState=activating\n"), state("activating"));
        assert_eq!(State::parse(""), State::default());
    }

    #[test]
    fn a_unit_that_waits_to_start_the_daemon_is_stopped_and_no_other_one() {
        for is_gone in [true, false] {
            assert_eq!(next(&state("activating"), is_gone), Next::Stop);
            assert_eq!(next(&state("deactivating"), is_gone), Next::Ask);
            for active in ["inactive", "failed", "maintenance", ""] {
                assert_eq!(next(&state(active), is_gone), Next::Nothing);
            }
        }
        assert_eq!(next(&state("active"), true), Next::Ask);
        assert_eq!(next(&state("active"), false), Next::Nothing);
    }

    #[test]
    fn a_process_that_has_ended_is_told_from_one_that_runs() {
        assert!(!is_gone(std::process::id()));
        assert!(is_gone(0) && is_gone(u32::MAX));
        let mut ended = Command::new("true").spawn().unwrap();
        let pid = ended.id();
        let begin = Instant::now();
        while !is_gone(pid) && begin.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(PAUSE);
        }
        assert!(is_gone(pid), "it waits for its parent");
        ended.wait().unwrap();
    }
}
