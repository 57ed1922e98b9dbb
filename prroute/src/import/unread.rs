//! What could not be read, and what it may be about: nothing is removed that it may need.

use std::fmt;
use std::net::IpAddr;

use super::model::{Place, Setup, Table};
use super::{iptables, words};
use crate::family::Family;

/// Why a route is not read.
pub(super) const NO_INTERFACE: &str =
    "which interface it is only the running host knows: import that instead";

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) place: Place,
    pub(crate) subject: Subject,
    pub(crate) why: String,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

/// What an unread thing is about, as far as its words say it; `None` may be any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Neither a rule, nor a route, nor a mark.
    Other,
    Rule {
        family: Option<Family>,
        table: Option<Table>,
        looks_at_marks: bool,
    },
    Route {
        family: Option<Family>,
        table: Option<Table>,
    },
    /// Netfilter rules that set or copy marks.
    Marks {
        family: Option<Family>,
    },
    /// Rules and routes of all kinds.
    Anything,
}

impl Subject {
    /// A rule, by what stands behind `ip rule add`.
    pub(super) fn rule(words: &[String], family: Option<Family>) -> Self {
        let looks_at_marks = words.iter().any(|word| word == "fwmark")
            || words.iter().enumerate().any(|(at, word)| is_unknown(word) && !is_value(words, at));
        Self::Rule {
            family: family_of(words).or(family),
            table: named_table(words).flatten(),
            looks_at_marks,
        }
    }

    /// A route, by what stands behind `ip route add`; without a word about it, it is of `table`.
    pub(super) fn route(words: &[String], family: Option<Family>, table: Option<Table>) -> Self {
        Self::Route {
            family: family_of(words).or(family),
            table: named_table(words).unwrap_or(table),
        }
    }

    /// What a command of another program is about, which may be `ip` by another name (`$IP`).
    pub(super) fn command(words: &[String]) -> Self {
        let first = words.first().map(String::as_str).unwrap_or_default();
        if matches!(first, "echo" | "printf" | "logger") {
            return Self::Other;
        }
        // As `eval` takes them.
        let words: Vec<String> =
            words.iter().flat_map(|word| word.split_whitespace()).map(str::to_owned).collect();
        for (at, pair) in words.windows(2).enumerate() {
            let behind = words.get(at + 2..).unwrap_or_default();
            let adds = matches!(&*pair[1], "add" | "a" | "replace" | "append" | "prepend");
            match &*pair[0] {
                "rule" | "ru" if adds => return Self::rule(behind, None),
                "route" | "ro" | "r" if adds => {
                    return Self::route(behind, None, table_unless_hidden(behind));
                }
                _ => {}
            }
        }
        match iptables::handles_marks(&words) {
            true => Self::Marks { family: None },
            false => Self::Other,
        }
    }
}

/// The table of a route that names none: main, unless a variable may stand for more than a value.
pub(super) fn table_unless_hidden(words: &[String]) -> Option<Table> {
    let mut all = words.iter().enumerate();
    let is_hidden = !words.iter().any(|word| is_unknown(word))
        || all.any(|(at, word)| is_unknown(word) && !is_value(words, at));
    (!is_hidden).then_some(Table::MAIN)
}

/// Whether a shell puts something else in its place.
pub(super) fn is_unknown(word: &str) -> bool {
    word.contains(['$', '`'])
}

/// Whether a word is one value for sure: a destination, or what stands behind a keyword.
fn is_value(words: &[String], at: usize) -> bool {
    let is_list = matches!(words.get(at).map(String::as_str), Some("$@" | "$*"));
    let is_behind = match at.checked_sub(1).and_then(|before| words.get(before)) {
        Some(before) => words::takes_value(before),
        None => words.len() > 1,
    };
    is_behind && !is_list
}

/// The table that words name; the inner `None`: one that is not known.
fn named_table(words: &[String]) -> Option<Option<Table>> {
    let at = words.iter().position(|word| word == "table" || word == "lookup")?;
    Some(words.get(at + 1).and_then(|word| Table::parse(word)))
}

/// The family of the first address among words.
pub(super) fn family_of<S: AsRef<str>>(words: &[S]) -> Option<Family> {
    let addresses = words.iter().filter_map(|word| {
        let address = word.as_ref().split('/').next().unwrap_or_default();
        address.parse::<IpAddr>().ok()
    });
    addresses.map(|address| Family::of(&address)).next()
}

/// Why something could not be read, and what it is about.
#[derive(Debug)]
pub(super) struct NotRead {
    pub(super) subject: Subject,
    pub(super) why: String,
}

impl NotRead {
    pub(super) fn new(subject: Subject, why: impl Into<String>) -> Self {
        Self { subject, why: why.into() }
    }
}

impl Setup {
    /// Notes what is neither a rule, nor a route, nor a mark.
    pub(super) fn miss(&mut self, place: Place, why: impl Into<String>) {
        self.miss_of(place, Subject::Other, why);
    }

    pub(super) fn miss_of(&mut self, place: Place, subject: Subject, why: impl Into<String>) {
        self.unread.push(Unread { place, subject, why: why.into() });
    }

    /// What may be a route of a table.
    pub(super) fn unread_route(&self, family: Family, table: &Table) -> Option<&Unread> {
        self.unread.iter().find(|unread| match &unread.subject {
            Subject::Route { family: its, table: of } => {
                is(*its, family) && may_be(of.as_ref(), table)
            }
            Subject::Anything => true,
            _ => false,
        })
    }

    /// A rule that may look a table up.
    pub(super) fn unread_lookup(&self, family: Family, table: &Table) -> Option<&Unread> {
        self.unread_rule(family, |of, _| may_be(of, table))
    }

    /// A rule that may look at marks.
    pub(super) fn unread_look_at_marks(&self, family: Family) -> Option<&Unread> {
        self.unread_rule(family, |_, looks_at_marks| looks_at_marks)
    }

    pub(super) fn has_unread_rule(&self, family: Family) -> bool {
        self.unread_rule(family, |_, _| true).is_some()
    }

    fn unread_rule(
        &self,
        family: Family,
        fits: impl Fn(Option<&Table>, bool) -> bool,
    ) -> Option<&Unread> {
        self.unread.iter().find(|unread| match &unread.subject {
            Subject::Rule { family: its, table, looks_at_marks } => {
                is(*its, family) && fits(table.as_ref(), *looks_at_marks)
            }
            Subject::Anything => true,
            _ => false,
        })
    }

    /// What may set a mark.
    pub(super) fn unread_marks(&self, family: Family) -> Option<&Unread> {
        self.unread.iter().find(
            |unread| matches!(unread.subject, Subject::Marks { family: its } if is(its, family)),
        )
    }
}

fn is(its: Option<Family>, family: Family) -> bool {
    its.is_none_or(|its| its == family)
}

/// A name may be that of any number, where `rt_tables` was not given.
fn may_be(unread: Option<&Table>, table: &Table) -> bool {
    let Some(unread) = unread else { return true };
    let is_name = |table: &Table| matches!(table, Table::Name(_));
    unread == table || !unread.is_kernels() && is_name(unread) != is_name(table)
}
