//! What the daemon answers on its socket to who waits for it.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadyJson {
    pub(crate) schema: String,
    /// Replies are steered.
    pub(crate) ready: bool,
    /// What is not in force, of a daemon that has started.
    pub(crate) missing: Vec<String>,
}
