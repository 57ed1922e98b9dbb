//! The configuration after validation: what the rest of prroute works with.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Pattern;

/// First rule priority of our block when the configuration names no other.
pub const DEFAULT_RULE_PRIORITY: u32 = 21_000;
/// First routing table of our block when the configuration names no other.
pub const DEFAULT_TABLE: u32 = 21_000;
/// How many rule priorities, and how many tables, are ours.
pub const RANGE: u32 = 1000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// What a stopping daemon does with datapath, rules and tables.
    pub on_stop: OnStop,
    pub attach: Attach,
    /// Entries of each family's flow table.
    pub flows: u32,
    /// Interfaces that are never uplinks, by name, altname or glob.
    pub exclude: Vec<Pattern>,
    #[serde(flatten)]
    pub ranges: Ranges,
    pub rp_filter: RpFilter,
    /// Wildcard UDP servers answer from the address that was asked.
    pub udp_source: bool,
    #[serde(rename = "uplink")]
    pub uplinks: Vec<UplinkConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            on_stop: OnStop::Keep,
            attach: Attach::Auto,
            flows: prroute_common::flow::DEFAULT_FLOWS,
            exclude: Vec::new(),
            ranges: Ranges::default(),
            rp_filter: RpFilter::Loosen,
            udp_source: true,
            uplinks: Vec::new(),
        }
    }
}

/// The rule priorities and tables that are ours: [`RANGE`] of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ranges {
    pub rule_priority: u32,
    pub table: u32,
}

impl Default for Ranges {
    fn default() -> Self {
        Self { rule_priority: DEFAULT_RULE_PRIORITY, table: DEFAULT_TABLE }
    }
}

impl Ranges {
    pub const fn has_priority(&self, priority: u32) -> bool {
        priority >= self.rule_priority && priority - self.rule_priority < RANGE
    }

    pub const fn has_table(&self, table: u32) -> bool {
        table >= self.table && table - self.table < RANGE
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnStop {
    /// Everything stays and keeps working.
    Keep,
    /// Everything is undone.
    Undo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attach {
    /// tcx where the kernel has it, clsact elsewhere.
    Auto,
    Tcx,
    Clsact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RpFilter {
    /// Strict reverse-path filtering of an uplink is made loose while prroute manages it.
    Loosen,
    Leave,
}

/// One `[[uplink]]`: settings for the interfaces it names, which become uplinks even where
/// discovery would not take them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UplinkConfig {
    pub name: Pattern,
    /// Gateways in order of preference, before those that routes name.
    #[serde(rename = "gateway")]
    pub gateways: Vec<IpAddr>,
    pub reply: Reply,
}

/// To which next hop replies are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The gateway if one is known.
    Auto,
    Gateway,
    /// Flows are not recorded on this uplink.
    Off,
}

impl Config {
    /// The settings for an interface with these names: an exact name wins over a glob, a later
    /// entry over an earlier one.
    pub fn uplink(&self, names: &[&str]) -> Option<&UplinkConfig> {
        let matching = |u: &&UplinkConfig| names.iter().any(|name| u.name.matches(name));
        let exact = self.uplinks.iter().rev().filter(|u| u.name.is_exact()).find(matching);
        exact.or_else(|| self.uplinks.iter().rev().find(matching))
    }

    /// The entry of `exclude` that an interface with these names matches.
    pub fn excluded(&self, names: &[&str]) -> Option<&Pattern> {
        self.exclude.iter().find(|pattern| names.iter().any(|name| pattern.matches(name)))
    }
}
