//! The service as the package installed it, and systemd's word on it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use prroute_tests::command::{self, Output};
use prroute_tests::{prroute, wait};

/// The unit's name.
pub(crate) const UNIT: &str = "prroute.service";

/// How long a job of systemd may take that starts or stops a program.
pub(crate) const JOB: Duration = Duration::from_secs(60);

/// How long a program may take that installs, imports or starts a lot: emulated, that takes a while.
pub(crate) const LONG: Duration = Duration::from_secs(300);

/// Runs a program to its end, which may take [`LONG`]; its standard output, or an error.
pub(crate) fn run(words: &[&str]) -> Result<String> {
    command::output_within(&mut command::command(words)?, LONG, "")?.success()
}

/// The installed unit: stopped when dropped, and all that the daemon made is gone.
#[derive(Debug)]
pub(crate) struct Service {
    /// The journal's position when the case began.
    cursor: String,
    left: bool,
}

impl Service {
    /// The package's unit; it does not run yet.
    pub(crate) fn install() -> Result<Self> {
        systemctl(&["daemon-reload"])?;
        Ok(Self { cursor: cursor()?, left: false })
    }

    /// Starts it: it is ready, or there is an error.
    pub(crate) fn start() -> Result<Self> {
        let service = Self::install()?;
        systemctl(&["start", UNIT]).with_context(|| service.journal(&[]).unwrap_or_default())?;
        Ok(service)
    }

    /// Runs `prroute WORDS` as root, whatever its exit code.
    #[expect(clippy::unused_self, reason = "there is no answer without the service")]
    pub(crate) fn prroute(&self, words: &[&str]) -> Result<Output> {
        let binary = prroute::binary()?.display().to_string();
        let argv = [&[binary.as_str()], words].concat();
        command::output_within(&mut command::command(&argv)?, JOB, "")
    }

    /// What the journal has of the unit since the case began, with more options of journalctl.
    pub(crate) fn journal(&self, options: &[&str]) -> Result<String> {
        // What was written is there.
        command::run(&["journalctl", "--sync"])?;
        let after = format!("--after-cursor={}", self.cursor);
        let query = ["journalctl", "--quiet", "--no-pager", "--unit", UNIT, &after];
        command::run(&[&query, options].concat())
    }

    /// How often the daemon has said this event since the case began.
    pub(crate) fn said(&self, event: &str) -> Result<usize> {
        let field = format!("PRROUTE_EVENT={event}");
        Ok(self.journal(&["--output=cat", &field])?.lines().count())
    }

    /// Waits until the unit is in one of these states.
    pub(crate) fn wait_for(&self, states: &[&str]) -> Result<()> {
        wait::until(&format!("{UNIT} is {states:?}"), JOB, || {
            Ok(states.contains(&property("ActiveState")?.as_str()).then_some(()))
        })
        .with_context(|| self.journal(&[]).unwrap_or_default())
    }

    /// Stops the daemon and leaves everything behind, as a machine that is switched off does.
    pub(crate) fn leave(mut self) -> Result<()> {
        self.left = true;
        systemctl(&["stop", UNIT]).map(drop)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        let undone = systemctl(&["stop", UNIT]).and_then(|_| self.prroute(&["down"])?.success());
        if let Err(error) = undone {
            eprintln!("{error:#}");
        }
    }
}

/// Runs systemctl; its standard output, or an error.
pub(crate) fn systemctl(words: &[&str]) -> Result<String> {
    let argv = [&["systemctl", "--quiet"], words].concat();
    command::output_within(&mut command::command(&argv)?, JOB, "")?.success()
}

/// A property of the unit.
pub(crate) fn property(name: &str) -> Result<String> {
    let shown = systemctl(&["show", "--property", name, "--value", UNIT])?;
    Ok(shown.trim_end().to_owned())
}

/// The journal's position now.
fn cursor() -> Result<String> {
    let shown = command::run(&["journalctl", "--quiet", "--lines=0", "--show-cursor"])?;
    let cursor = shown.lines().find_map(|line| line.strip_prefix("-- cursor: "));
    cursor.map(str::to_owned).with_context(|| format!("no cursor in {shown}"))
}
