//! What was looked at, whether or not something was found.

/// A check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// The kind of its findings: what their ids begin with, up to the colon.
    pub(crate) id: String,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Found,
    /// It could not be looked at, or there is nothing to look at.
    Skipped,
}
