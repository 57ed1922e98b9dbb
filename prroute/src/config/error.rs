//! What can be wrong with a configuration, said with file, line and key.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// So many mistakes are listed.
const MOST: usize = 100;

/// A configuration that cannot be used: all of its mistakes, in the order of files and lines.
#[derive(Debug, Default)]
pub struct ConfigError {
    mistakes: Vec<Mistake>,
    /// How many are not listed.
    left_out: usize,
}

/// One mistake.
#[derive(Debug, thiserror::Error)]
pub enum Mistake {
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

impl Mistake {
    pub(super) fn line(&self) -> Option<usize> {
        match self {
            Self::Read { .. } => None,
            Self::Invalid { line, .. } => *line,
        }
    }
}

impl ConfigError {
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The first mistake, and how many more there are: one line.
    pub fn summary(&self) -> String {
        let first = self.mistakes.first().map(ToString::to_string).unwrap_or_default();
        match self.mistakes.len().saturating_sub(1) + self.left_out {
            0 => first,
            1 => format!("{first} (and one more mistake)"),
            more => format!("{first} (and {more} more mistakes)"),
        }
    }

    pub(super) fn push(&mut self, mistake: Mistake) {
        if self.mistakes.len() < MOST {
            self.mistakes.push(mistake);
        } else {
            self.left_out += 1;
        }
    }

    /// The value, or its mistake is noted.
    pub(super) fn note<T>(&mut self, value: Result<T, Mistake>) -> Option<T> {
        value.map_err(|mistake| self.push(mistake)).ok()
    }

    /// Adds those of one file, by line.
    pub(super) fn append(&mut self, mut others: Self) {
        self.left_out += others.left_out;
        others.mistakes.sort_by_key(Mistake::line);
        others.mistakes.into_iter().for_each(|mistake| self.push(mistake));
    }

    pub(super) fn result(self) -> Result<(), Self> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Mistake> for ConfigError {
    fn from(mistake: Mistake) -> Self {
        Self { mistakes: vec![mistake], left_out: 0 }
    }
}

impl std::error::Error for ConfigError {}

/// A line for each mistake.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{mistake}")?;
        }
        match self.left_out {
            0 => Ok(()),
            count => write!(f, "\n{count} more mistakes are not listed"),
        }
    }
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

/// What is said of a name that is none of those known: the nearest of them, or all.
pub(super) fn unknown(what: &str, given: &str, known: &[&str]) -> String {
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
