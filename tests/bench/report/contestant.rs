//! How an alternative is drawn: by what it relies on.

use crate::results::Contestant;

/// What an alternative relies on. The charts give each a colour; names stand beside it always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Prroute,
    /// Everything that needs conntrack.
    Conntrack,
    Other,
}

impl Kind {
    pub(crate) fn of(name: &str) -> Self {
        let name = words(name);
        if name.starts_with("prroute") {
            Self::Prroute
        } else if ["connmark", "conntrack", "ct mark"].iter().any(|word| name.contains(word)) {
            Self::Conntrack
        } else {
            Self::Other
        }
    }

    /// The class in the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Prroute => "prroute",
            Self::Conntrack => "conntrack",
            Self::Other => "other",
        }
    }
}

/// Whether it remembers by a mark of the connection where it belongs.
pub(crate) fn marks_connections(contestant: &Contestant) -> bool {
    let name = words(&contestant.name);
    name.contains("connmark") || name.contains("ct mark")
}

/// `ct-mark` is the `ct mark` of nftables.
fn words(name: &str) -> String {
    name.to_lowercase().replace('-', " ")
}
