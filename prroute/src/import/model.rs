//! What was set up by others, in whatever notation it was read.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::marks::MarkRule;
use super::unread::{Subject, Unread};
use crate::family::Family;
use crate::state::observed::{
    Mark, Rejection, RouteExtras, TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN,
};

/// What the kernel gives an IPv6 route without a metric (`IP6_RT_PRIO_USER`).
const DEFAULT_METRIC_V6: u32 = 1024;

/// Where something was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// A file, or what takes its place.
    pub(crate) source: Arc<str>,
    /// Counted from 1; `None` for the kernel.
    pub(crate) line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// A routing table, by number or by its name in `rt_tables`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Number(u32),
    Name(String),
}

impl Table {
    pub(crate) const MAIN: Self = Self::Number(TABLE_MAIN);

    /// `None`: what is no name, either.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "main" => Self::MAIN,
            "default" => Self::Number(TABLE_DEFAULT),
            "local" => Self::Number(TABLE_LOCAL),
            _ => match number(word) {
                Some(0) => return None,
                Some(number) => Self::Number(number),
                None if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => return None,
                None if word.is_empty() || !word.chars().all(is_of_name) => return None,
                None => Self::Name(word.to_owned()),
            },
        })
    }

    /// One of the kernel's own.
    pub(crate) const fn is_kernels(&self) -> bool {
        matches!(self, Self::Number(0 | TABLE_DEFAULT | TABLE_LOCAL | TABLE_MAIN))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(TABLE_MAIN) => f.write_str("main"),
            Self::Number(TABLE_LOCAL) => f.write_str("local"),
            Self::Number(TABLE_DEFAULT) => f.write_str("default"),
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.+-".contains(c)
}

/// A number, decimal or as `0x1`.
pub(crate) fn number(word: &str) -> Option<u32> {
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// An interface, as its configuration names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Device {
    /// A name, or a glob of names.
    Name(String),
    /// One that has no name there.
    Mac(String),
}

impl Device {
    /// What a name, a MAC address and more conditions (`has_more`) leave: `None` where that cannot be said in
    /// prroute's configuration, as by a list within a glob or by a driver.
    pub(super) fn matched(name: Option<&str>, mac: Option<&str>, has_more: bool) -> Option<Self> {
        let is_exact = |name: &&str| !name.contains(['*', '?']);
        let name = name.filter(|name| !name.is_empty() && !name.contains(['[', '!', ' ']));
        if let Some(name) = name.filter(is_exact) {
            return Some(Self::Name(name.to_owned()));
        }
        if let Some(mac) = mac {
            return Some(Self::Mac(mac.to_owned()));
        }
        name.filter(|_| !has_more).map(|name| Self::Name(name.to_owned()))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) | Self::Mac(text) => f.write_str(text),
        }
    }
}

/// What a routing rule does with packets that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Lookup(Table),
    /// As `ip rule` writes it.
    Other(String),
}

/// A routing rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) place: Place,
    pub(crate) family: Family,
    pub(crate) priority: Option<u32>,
    pub(crate) invert: bool,
    pub(crate) from: Option<IpNet>,
    pub(crate) to: Option<IpNet>,
    pub(crate) mark: Option<Mark>,
    pub(crate) iif: Option<String>,
    pub(crate) oif: Option<String>,
    pub(crate) action: Action,
    pub(crate) suppress_prefix_length: Option<u32>,
    /// Words about a packet that prroute never looks at (ports, users), as `ip rule` writes them.
    pub(crate) other: Vec<String>,
    /// Some of it is not known.
    pub(crate) partial: bool,
}

/// As `ip rule` takes it behind `add` or `del`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.priority.map(|priority| format!("priority {priority}")));
        words.extend(self.invert.then(|| "not".to_owned()));
        words.push(self.from.map_or_else(|| "from all".to_owned(), |net| format!("from {net}")));
        words.extend(self.to.map(|net| format!("to {net}")));
        words.extend(self.mark.map(|mark| format!("fwmark {mark}")));
        words.extend(self.iif.as_deref().map(|name| format!("iif {}", quoted(name))));
        words.extend(self.oif.as_deref().map(|name| format!("oif {}", quoted(name))));
        words.extend(self.other.iter().map(|word| quoted(word)));
        match &self.action {
            Action::Lookup(table) => words.push(format!("lookup {table}")),
            Action::Other(action) => words.extend(action.split(' ').map(quoted)),
        }
        let suppress = self.suppress_prefix_length;
        words.extend(suppress.map(|length| format!("suppress_prefixlength {length}")));
        f.write_str(&words.join(" "))
    }
}

/// One of the ways of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) via: Option<IpAddr>,
    pub(crate) device: Option<Device>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) place: Place,
    pub(crate) table: Table,
    pub(crate) destination: IpNet,
    /// Of some sources' packets only.
    pub(crate) source: Option<IpNet>,
    pub(crate) kind: Kind,
    pub(crate) hops: Vec<Hop>,
    pub(crate) metric: u32,
    pub(crate) extras: RouteExtras,
}

impl Route {
    pub(crate) const fn family(&self) -> Family {
        Family::of_net(&self.destination)
    }

    pub(crate) fn is_default(&self) -> bool {
        self.source.is_none() && self.destination.prefix_len() == 0
    }

    /// Its metric in the kernel: the lowest is preferred.
    pub(crate) const fn rank(&self) -> u32 {
        match (self.family(), self.metric) {
            (Family::V6, 0) => DEFAULT_METRIC_V6,
            (_, metric) => metric,
        }
    }
}

/// As `ip route` writes it, without its table.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Unicast => {}
            Kind::Refusal(refusal) => write!(f, "{refusal} ")?,
            Kind::Throw => f.write_str("throw ")?,
            Kind::Kernels => f.write_str("local ")?,
        }
        match self.destination.prefix_len() {
            0 => f.write_str("default")?,
            _ => write!(f, "{}", self.destination)?,
        }
        if let Some(source) = self.source {
            write!(f, " from {source}")?;
        }
        for hop in &self.hops {
            if self.hops.len() > 1 {
                f.write_str(" nexthop")?;
            }
            if let Some(via) = hop.via {
                write!(f, " via {via}")?;
            }
            if let Some(device) = &hop.device {
                write!(f, " dev {device}")?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unicast,
    /// Packets go no further.
    Refusal(Rejection),
    /// The next rule decides, as if the table had no route.
    Throw,
    /// The host's own addresses, and what is for all: the kernel makes those.
    Kernels,
}

impl Kind {
    /// By the word of `ip route`, which is that of netplan and networkd as well.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "unicast" => Self::Unicast,
            "unreachable" => Self::Refusal(Rejection::Unreachable),
            "blackhole" => Self::Refusal(Rejection::Blackhole),
            "prohibit" => Self::Refusal(Rejection::Prohibit),
            "throw" => Self::Throw,
            "local" | "broadcast" | "anycast" | "multicast" => Self::Kernels,
            _ => return None,
        })
    }
}

/// All that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) rules: Vec<Rule>,
    pub(crate) routes: Vec<Route>,
    pub(crate) marks: Vec<MarkRule>,
    /// Of the host, as far as they are known.
    pub(crate) addresses: Vec<(Device, IpNet)>,
    /// All of them are.
    pub(crate) knows_addresses: bool,
    pub(crate) unread: Vec<Unread>,
}

impl Setup {
    pub(crate) fn append(&mut self, mut other: Self) {
        self.rules.append(&mut other.rules);
        self.routes.append(&mut other.routes);
        self.marks.append(&mut other.marks);
        self.addresses.append(&mut other.addresses);
        self.knows_addresses |= other.knows_addresses;
        self.unread.append(&mut other.unread);
    }

    /// Gives tables their numbers, where `rt_tables` has them.
    pub(crate) fn resolve(&mut self, names: &BTreeMap<String, u32>) {
        let resolve = |table: &mut Table| {
            if let Table::Name(name) = table
                && let Some(number) = names.get(name)
            {
                *table = Table::Number(*number);
            }
        };
        for rule in &mut self.rules {
            if let Action::Lookup(table) = &mut rule.action {
                resolve(table);
            }
        }
        self.routes.iter_mut().for_each(|route| resolve(&mut route.table));
        for unread in &mut self.unread {
            if let Subject::Rule { table, .. } | Subject::Route { table, .. } = &mut unread.subject
            {
                table.iter_mut().for_each(resolve);
            }
        }
    }
}

/// The lines `NUMBER NAME` of a file like `/etc/iproute2/rt_tables`.
pub(crate) fn table_names(text: &str) -> BTreeMap<String, u32> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let pairs = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((number(words.next()?)?, words.next()?.to_owned()))
    });
    pairs.map(|(number, name)| (name, number)).collect()
}

/// A word as a shell takes it for itself.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    match word {
        // What iptables writes for "not" stands for itself.
        "!" => word.to_owned(),
        _ if !word.is_empty() && word.chars().all(is_plain) => word.to_owned(),
        _ => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
