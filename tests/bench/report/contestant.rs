//! How an alternative is drawn: by what it relies on.

use crate::results::Contestant;

/// What an alternative relies on. The charts give each a colour; names stand beside it always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Prroute,
    /// Everything that needs conntrack.
    Conntrack,
    Other,
}

impl Kind {
    pub(super) fn of(name: &str) -> Self {
        let name = name.to_lowercase();
        if name.starts_with("prroute") {
            Self::Prroute
        } else if ["connmark", "conntrack", "ct mark"].iter().any(|word| name.contains(word)) {
            Self::Conntrack
        } else {
            Self::Other
        }
    }

    /// The class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Prroute => "prroute",
            Self::Conntrack => "conntrack",
            Self::Other => "other",
        }
    }
}

/// The share of all that conntrack does which remembers where a connection belongs.
pub(super) fn marks_connections(contestant: &Contestant) -> bool {
    let name = contestant.name.to_lowercase();
    name.contains("connmark") || name.contains("ct mark")
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn alternatives_are_told_by_what_they_rely_on() {
        assert_eq!(Kind::of("prroute, last hop"), Kind::Prroute);
        assert_eq!(Kind::of("iptables-legacy CONNMARK"), Kind::Conntrack);
        assert_eq!(Kind::of("nftables ct mark"), Kind::Conntrack);
        assert_eq!(Kind::of("conntrack alone"), Kind::Conntrack);
        assert_eq!(Kind::of("source rules"), Kind::Other);
    }
}
