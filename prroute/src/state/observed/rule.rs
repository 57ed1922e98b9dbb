//! Rules.

use std::fmt;

use ipnet::IpNet;
#[cfg(test)]
use serde::Deserialize;

use super::{Family, PROTOCOL};

/// What a rule demands of a packet's mark: `packet & mask == value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize))]
pub struct Mark {
    pub value: u32,
    pub mask: u32,
}

/// As `ip rule` writes it.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.value)?;
        if self.mask == u32::MAX { Ok(()) } else { write!(f, "/{:#x}", self.mask) }
    }
}

/// An action of a rule that ends a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize), serde(rename_all = "lowercase"))]
pub enum Rejection {
    Blackhole,
    Unreachable,
    Prohibit,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Deserialize))]
pub struct Rule {
    pub family: Family,
    pub priority: u32,
    pub source: Option<IpNet>,
    pub destination: Option<IpNet>,
    pub iif: Option<String>,
    /// The device a packet's socket is bound to.
    pub oif: Option<String>,
    pub mark: Option<Mark>,
    /// `not`: the rule matches packets that do not match the fields above.
    #[cfg_attr(test, serde(default))]
    pub invert: bool,
    /// 0 when the rule looks nothing up.
    pub table: u32,
    /// The priority at which the list goes on for packets that match. A rule with neither a table
    /// nor this does nothing: it is there to be gone on at.
    pub goto: Option<u32>,
    /// Packets that match are refused: nothing is looked up.
    pub refusal: Option<Rejection>,
    pub suppress_prefix_length: Option<u32>,
    pub protocol: u8,
    /// Has selectors or an action that are not listed above.
    pub other: bool,
}

impl Rule {
    /// A rule of ours that concerns every packet, and does nothing with it.
    pub const fn nop(family: Family, priority: u32) -> Self {
        Self {
            family,
            priority,
            source: None,
            destination: None,
            iif: None,
            oif: None,
            mark: None,
            invert: false,
            table: 0,
            goto: None,
            refusal: None,
            suppress_prefix_length: None,
            protocol: PROTOCOL,
            other: false,
        }
    }

    /// Whether it is there only to be gone on at, or to keep a place.
    pub fn is_nop(&self) -> bool {
        *self == Self { protocol: self.protocol, ..Self::nop(self.family, self.priority) }
    }

    /// Whether it only spares packets the walk past rules that cannot match them.
    pub const fn is_shortcut(&self) -> bool {
        self.goto.is_some()
    }
}
