//! What commands write: data to standard output, remarks to standard error. Nothing else in the
//! crate prints.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use nix::sys::signal::{SigHandler, Signal, raise, signal};
use tracing::Level;

use crate::cmd::log;

/// Data that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write to standard output: {0}")]
pub struct OutputError(#[from] io::Error);

impl OutputError {
    /// Whoever read it has read enough.
    pub fn is_closed_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Writes text, with control characters escaped ([`log::printable`]).
pub(super) fn text(text: &str) -> Result<(), OutputError> {
    write(&log::printable(text))
}

fn write(text: &str) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Before a report that is repeated: on a terminal it takes the place of the one before, elsewhere it follows
/// after an empty line.
pub(super) fn begin_again() -> Result<(), OutputError> {
    if io::stdout().is_terminal() { write("\x1b[H\x1b[J") } else { write("\n") }
}

/// Writes what is fit for a terminal already, as JSON is.
pub(super) fn raw(text: &str) -> Result<(), OutputError> {
    write(text)
}

/// Writes a line.
pub(super) fn line(line: impl fmt::Display) -> Result<(), OutputError> {
    text(&format!("{line}\n"))
}

/// Writes a report as indented JSON.
pub(super) fn json(report: &impl serde::Serialize) -> Result<()> {
    Ok(write(&format!("{}\n", serde_json::to_string_pretty(report)?))?)
}

/// Says something worth knowing on standard error.
pub(super) fn remark(remark: impl fmt::Display) {
    log::say(Level::WARN, &format!("prroute: {remark}"));
}

/// Says there why the command failed.
pub(super) fn failure(failure: impl fmt::Display) {
    log::say(Level::ERROR, &format!("prroute: {failure}"));
}

/// Writes what clap answers by itself: help and version are data, a wrong usage is none.
pub(super) fn clap(answer: &clap::Error) -> ExitCode {
    let written = answer.print().and_then(|()| io::stdout().flush());
    match written.map_err(OutputError) {
        Err(error) if !answer.use_stderr() => failed(&error),
        _ => ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(super::code::FAILED)),
    }
}

/// Ends a command whose data could not be written. A closed pipe ends it as it ends other
/// programs: without a word, by SIGPIPE.
pub(super) fn failed(error: &OutputError) -> ExitCode {
    if error.is_closed_pipe() {
        // SAFETY: the default action runs no code of this process.
        let restored = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
        if let Err(errno) = restored.and_then(|_| raise(Signal::SIGPIPE)) {
            tracing::debug!("end by SIGPIPE: {errno}");
        }
    } else {
        failure(error);
    }
    ExitCode::from(super::code::FAILED)
}
