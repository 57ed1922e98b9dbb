//! Messages that cannot be decoded: which object each is about, as far as its fixed part tells, so
//! that the object is taken to be as it was.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use nix::libc::{
    RTM_DELADDR, RTM_DELLINK, RTM_DELNEIGH, RTM_DELROUTE, RTM_DELRULE, RTM_NEWADDR, RTM_NEWLINK,
    RTM_NEWNEIGH, RTM_NEWROUTE, RTM_NEWRULE,
};

use crate::state::observed::{Address, Family, Link, Neighbour, Rule};
use crate::state::uplink::Ifindex;

/// Between two full reads because of announcements that cannot be decoded. A driver may announce
/// the same thing all the time.
const PAUSE: Duration = Duration::from_secs(5);

/// A message that cannot be decoded, and that the rest of it cannot stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) object: Object,
    /// It was announced that the object is gone.
    pub(super) gone: bool,
    pub(super) error: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Object {
    /// With its name, escaped, where it has one that is not UTF-8.
    Link {
        ifindex: Ifindex,
        name: Option<String>,
    },
    Address {
        family: Family,
        ifindex: Ifindex,
    },
    Route {
        family: Family,
        length: u8,
        protocol: u8,
    },
    Rule {
        family: Family,
        source: u8,
        destination: u8,
    },
    Neighbour {
        family: Family,
        ifindex: Ifindex,
    },
    /// An end or an acknowledgement.
    Control,
    /// Of a kind that is not read.
    Other(u16),
}

const fn family(number: u8) -> Option<Family> {
    match number {
        2 => Some(Family::V4),
        10 => Some(Family::V6),
        _ => None,
    }
}

impl Object {
    /// What a message of type `kind` is about; `fixed` is what comes behind the netlink header.
    pub(super) fn of(kind: u16, fixed: &[u8], name: Option<String>) -> Self {
        let byte = |at: usize| fixed.get(at).copied();
        let ifindex = |at: usize| {
            let bytes = fixed.get(at..at + 4)?.try_into().ok()?;
            Some(Ifindex(u32::from_ne_bytes(bytes)))
        };
        let family = || family(byte(0)?);
        let object = || {
            Some(match kind {
                RTM_NEWLINK | RTM_DELLINK => Self::Link { ifindex: ifindex(4)?, name },
                RTM_NEWADDR | RTM_DELADDR => {
                    Self::Address { family: family()?, ifindex: ifindex(4)? }
                }
                RTM_NEWROUTE | RTM_DELROUTE => {
                    Self::Route { family: family()?, length: byte(1)?, protocol: byte(5)? }
                }
                RTM_NEWNEIGH | RTM_DELNEIGH => {
                    Self::Neighbour { family: family()?, ifindex: ifindex(4)? }
                }
                RTM_NEWRULE | RTM_DELRULE => {
                    Self::Rule { family: family()?, source: byte(2)?, destination: byte(1)? }
                }
                ..RTM_NEWLINK => Self::Control,
                _ => return None,
            })
        };
        object().unwrap_or(Self::Other(kind))
    }

    pub(super) fn may_be_link(&self, link: &Link) -> bool {
        matches!(self, Self::Link { ifindex, name: None } if *ifindex == link.ifindex)
    }

    pub(super) fn may_be_address(&self, address: &Address) -> bool {
        matches!(self, Self::Address { family, ifindex }
            if *ifindex == address.ifindex && *family == Family::of_net(&address.net))
    }

    pub(super) fn may_be_route(&self, destination: &IpNet, of_protocol: u8) -> bool {
        matches!(self, Self::Route { family, length, protocol }
            if *family == Family::of_net(destination)
                && *length == destination.prefix_len()
                && *protocol == of_protocol)
    }

    pub(super) fn may_be_rule(&self, rule: &Rule) -> bool {
        let length = |net: Option<ipnet::IpNet>| net.map_or(0, |net| net.prefix_len());
        matches!(self, Self::Rule { family, source, destination }
            if *family == rule.family
                && *source == length(rule.source)
                && *destination == length(rule.destination))
    }

    pub(super) fn may_be_neighbour(&self, neighbour: &Neighbour) -> bool {
        matches!(self, Self::Neighbour { family, ifindex }
            if *ifindex == neighbour.ifindex && *family == Family::of(&neighbour.address))
    }
}

/// Adds to what was read those of the objects read before that an unreadable message may be about,
/// and that were not read now.
pub(super) fn keep_last<T: Clone, K: Ord>(
    found: &mut Vec<T>,
    before: &[T],
    unreadable: &[Unreadable],
    may_be: impl Fn(&Object, &T) -> bool,
    key: impl Fn(&T) -> K,
) {
    if unreadable.is_empty() {
        return;
    }
    let read: BTreeSet<K> = found.iter().map(&key).collect();
    let is_meant = |one: &&T| {
        unreadable.iter().any(|message| may_be(&message.object, one)) && !read.contains(&key(one))
    };
    found.extend(before.iter().filter(is_meant).cloned());
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            Object::Link { ifindex, name: Some(name) } => {
                return write!(
                    f,
                    "interface {ifindex} is not managed: its name \"{name}\" is not UTF-8"
                );
            }
            Object::Link { ifindex, name: None } => write!(f, "interface {ifindex}")?,
            Object::Address { family, ifindex } => {
                write!(f, "an {family} address of interface {ifindex}")?;
            }
            Object::Route { family, length, protocol } => {
                write!(f, "an {family} route with prefix length {length} and protocol {protocol}")?;
            }
            Object::Rule { family, source, destination } => write!(
                f,
                "an {family} rule with source prefix length {source} and destination prefix length \
                 {destination}"
            )?,
            Object::Neighbour { family, ifindex } => {
                write!(f, "an {family} neighbour on interface {ifindex}")?;
            }
            Object::Control => f.write_str("an answer of the kernel")?,
            Object::Other(kind) => write!(f, "a netlink message of type {kind}")?,
        }
        write!(f, " cannot be decoded; taken to be unchanged: {}", self.error)
    }
}

/// When everything is to be read again because of announcements that cannot be decoded.
#[derive(Debug, Default)]
pub(super) struct Reread {
    last: Option<Instant>,
    due: Option<Instant>,
}

impl Reread {
    /// Whether to read everything now; if not, it is due later.
    pub(super) fn ask(&mut self, now: Instant) -> bool {
        match self.last.map(|last| last + PAUSE).filter(|next| *next > now) {
            Some(next) => {
                self.due = Some(next);
                false
            }
            None => {
                *self = Self { last: Some(now), due: None };
                true
            }
        }
    }

    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether the time has come.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now) && self.ask(now)
    }
}

#[cfg(test)]
mod tests;
