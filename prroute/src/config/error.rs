//! What can be wrong with a configuration, said with file, line and key.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("read configuration {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}{}: {}{message}", path.display(), Line(*line), Key(key.as_deref()))]
    Invalid {
        path: PathBuf,
        /// Counted from 1.
        line: Option<usize>,
        /// The key as written, e.g. `gateway`.
        key: Option<String>,
        message: String,
    },
}

struct Line(Option<usize>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

struct Key<'a>(Option<&'a str>);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |key| write!(f, "{key}: "))
    }
}

/// The line of a byte offset, counted from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&b| b == b'\n').count() + 1
}

/// The key at a byte offset: what stands before the `=` on its line, or on the nearest line
/// above that has one (arrays may span lines).
pub(super) fn key_at(text: &str, offset: usize) -> Option<String> {
    let line = line_of(text, offset);
    for candidate in text.lines().take(line).collect::<Vec<_>>().into_iter().rev() {
        if candidate.trim_start().starts_with('[') && candidate.trim_end().ends_with(']') {
            return None;
        }
        if let Some((key, _)) = candidate.split_once('=') {
            return Some(key.trim().to_owned());
        }
    }
    None
}

/// Appends "did you mean" to serde's complaint about an unknown name.
pub(super) fn with_suggestion(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let Some(given) = quoted.next().filter(|_| unknown) else {
        return message.to_owned();
    };
    let what = if message.starts_with("unknown field") { "key" } else { "value" };
    let known: Vec<&str> = quoted.collect();
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), *name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3)
        .min();
    match nearest {
        Some((_, name)) => format!("unknown {what} `{given}`, did you mean `{name}`?"),
        None => format!("unknown {what} `{given}`, known are {}", known.join(", ")),
    }
}
