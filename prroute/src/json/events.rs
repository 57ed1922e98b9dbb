//! `prroute events --json`, and what the daemon answers on its socket.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct EventsJson {
    /// Name and number of this format.
    pub(crate) schema: String,
    /// The name of the instance.
    pub(crate) instance: String,
    /// Of the daemon.
    pub(crate) pid: u32,
    /// Of this daemon, from its start to its end: another one counts from the beginning.
    pub(crate) run: u64,
    /// The number of the newest that there is.
    pub(crate) last: u64,
    /// The newest last.
    pub(crate) events: Vec<EventJson>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct EventJson {
    /// Counts from 1, without gaps.
    pub(crate) number: u64,
    /// RFC 3339, UTC.
    pub(crate) time: String,
    /// `error`, `warning` or `info`.
    pub(crate) priority: String,
    /// One sentence.
    pub(crate) message: String,
    /// As the journal has them, without `PRROUTE_`, in small letters.
    pub(crate) fields: BTreeMap<String, String>,
}
