//! What the daemon answers on its socket to who waits for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct ReadyJson {
    /// Name and number of this format.
    pub(crate) schema: String,
    /// Replies are steered.
    pub(crate) ready: bool,
    /// What is not in force, of a daemon that has started.
    pub(crate) missing: Vec<String>,
}
