//! Rules of netfilter that handle marks.

use super::model::{Place, quoted};
use crate::family::Family;
use crate::state::observed::Mark;

/// What a netfilter rule does about marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Marking {
    /// Packets, or the connections of packets, that come in on an interface get this mark.
    Set { iif: Option<String>, mark: Mark },
    /// Marks go from connections to packets, or back.
    Copy,
}

/// A netfilter rule that handles marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MarkRule {
    pub(crate) place: Place,
    /// What made it: `iptables`, or a variant of it.
    pub(crate) program: String,
    pub(crate) table: String,
    pub(crate) chain: String,
    /// Behind the chain.
    pub(crate) words: Vec<String>,
    pub(crate) marking: Marking,
    /// It looks at ports, addresses or else, too: some packets are not marked.
    pub(crate) selective: bool,
}

impl MarkRule {
    /// The command that deletes it.
    pub(crate) fn deletion(&self) -> String {
        let words: Vec<String> = [self.table.as_str(), "-D", self.chain.as_str()]
            .into_iter()
            .chain(self.words.iter().map(String::as_str))
            .map(quoted)
            .collect();
        format!("{} -t {}", self.program, words.join(" "))
    }

    pub(crate) fn family(&self) -> Family {
        family(&self.program)
    }
}

/// Whose rules a program makes.
pub(super) fn family(program: &str) -> Family {
    if program.starts_with("ip6") { Family::V6 } else { Family::V4 }
}
