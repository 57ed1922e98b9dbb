//! What commands write: data to standard output, remarks to standard error. Nothing else in the
//! crate prints.

use std::borrow::Cow;
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

/// Writes JSON as it was made, with control characters escaped that JSON lets pass.
pub(super) fn written_json(json: &str) -> Result<(), OutputError> {
    write(&for_a_terminal(json))
}

/// Only texts may have such characters in JSON, and white space is between them.
fn for_a_terminal(json: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if !json.contains(is_hidden) {
        return json.into();
    }
    let escaped =
        |c: char| if is_hidden(c) { format!("\\u{:04x}", u32::from(c)) } else { c.into() };
    json.chars().map(escaped).collect()
}

/// Writes a line.
pub(super) fn line(line: impl fmt::Display) -> Result<(), OutputError> {
    text(&format!("{line}\n"))
}

/// Writes a report as indented JSON.
pub(super) fn json(report: &impl serde::Serialize) -> Result<()> {
    Ok(written_json(&format!("{}\n", serde_json::to_string_pretty(report)?))?)
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

#[cfg(test)]
mod tests {
    use super::for_a_terminal;

    #[test]
    fn json_stays_what_it_is_and_moves_no_cursor() {
        let json = serde_json::to_string(&["\u{9b}2J\u{7f}", "wän0\u{1b}"]).unwrap();
        let shown = for_a_terminal(&json);
        assert_eq!(shown, r#"["\u009b2J\u007f","wän0\u001b"]"#);
        let read: Vec<String> = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, ["\u{9b}2J\u{7f}", "wän0\u{1b}"]);
    }
}
