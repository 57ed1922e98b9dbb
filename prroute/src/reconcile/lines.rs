//! Lines of the log: a sentence for people, and fields beside it for programs that read the journal.
//! `docs/journal.md` names all kinds.

use std::net::IpAddr;

use tracing::Level;

/// What happened, in one word: `PRROUTE_EVENT` in the journal. A name keeps its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventName(pub(super) &'static str);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) text: String,
    pub(super) kind: EventName,
    pub(super) uplink: Option<String>,
    pub(super) gateway: Option<IpAddr>,
}

impl Line {
    pub(super) fn new(level: Level, kind: EventName, text: String) -> Self {
        Self { level, text, kind, uplink: None, gateway: None }
    }
}

/// What is beside the text becomes fields of the journal, and is not shown elsewhere.
pub(super) fn write(line: &Line) {
    let Line { level, text, kind: EventName(event), uplink, gateway } = line;
    let (uplink, gateway) = (uplink.as_deref(), gateway.map(|gateway| gateway.to_string()));
    let gateway = gateway.as_deref();
    match *level {
        Level::ERROR => tracing::error!(event, uplink, gateway, "{text}"),
        Level::WARN => tracing::warn!(event, uplink, gateway, "{text}"),
        _ => tracing::info!(event, uplink, gateway, "{text}"),
    }
}
