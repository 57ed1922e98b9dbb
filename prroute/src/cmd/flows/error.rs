//! What is wrong with a filter.

use std::fmt;

/// A filter that cannot be understood, with a mark below the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FilterError {
    pub(super) text: String,
    pub(super) at: usize,
    pub(super) message: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.text.get(..self.at).map_or(0, |before| before.chars().count());
        write!(f, "{}\n  {}\n  {:before$}^", self.message, self.text, "")
    }
}

impl FilterError {
    pub(in crate::cmd) fn new(text: String, at: usize, message: String) -> Self {
        Self { text, at, message }
    }
}
