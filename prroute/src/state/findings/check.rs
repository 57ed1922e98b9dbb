//! What was looked at, whether or not something was found.

use super::Kind;

/// A check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Of its findings.
    pub(crate) kind: Kind,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Found,
    /// It could not be looked at, or there is nothing to look at.
    Skipped,
}
