//! `prroute monitor --json`.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

/// One line.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(untagged)]
pub(crate) enum MonitorJson {
    Said(SaidJson),
    Traced(TracedJson),
}

/// A packet, or what one did to its flow.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct TracedJson {
    /// Name and number of this format.
    pub(crate) schema: String,
    /// RFC 3339, UTC.
    pub(crate) time: String,
    /// `packet` or `flow`.
    pub(crate) kind: String,
    /// `in` or `out`.
    pub(crate) direction: String,
    /// The interface that it was on.
    pub(crate) dev: String,
    /// By its name, where it has a common one; else the number.
    pub(crate) protocol: String,
    /// As in the IP header.
    pub(crate) source: IpAddr,
    /// 0 without ports; an echo's identifier.
    pub(crate) source_port: u16,
    /// As in the IP header.
    pub(crate) destination: IpAddr,
    /// 0 without ports.
    pub(crate) destination_port: u16,
    /// Of TCP, as tcpdump has them.
    pub(crate) flags: Option<String>,
    /// A fragment without ports.
    pub(crate) fragment: bool,
    /// Bytes with the link-layer header.
    pub(crate) length: u32,
    /// `passed`, `moved`, `refused`, `held`, `dropped` or `told`.
    pub(crate) verdict: String,
    /// What was decided about its flow; `null`: the flow does not matter.
    pub(crate) flow: Option<String>,
    /// The uplink that its flow was known to be on.
    pub(crate) flow_on: Option<String>,
    /// Why it does not leave by `uplink`: a counter's name.
    pub(crate) reason: Option<String>,
    /// The uplink that it should leave by.
    pub(crate) uplink: Option<String>,
    /// `mode = "observe"`: it was left as it is.
    pub(crate) observed: bool,
    /// The same in words.
    pub(crate) text: String,
}

/// What the daemon said.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct SaidJson {
    /// Name and number of this format.
    pub(crate) schema: String,
    /// RFC 3339, UTC.
    pub(crate) time: String,
    /// `uplink` or `heal`.
    pub(crate) kind: String,
    /// `error`, `warning` or `info`.
    pub(crate) priority: String,
    /// Its name in the journal (docs/journal.md).
    pub(crate) event: String,
    /// The interface, where it is about one.
    pub(crate) dev: Option<String>,
    /// One sentence.
    pub(crate) text: String,
}
