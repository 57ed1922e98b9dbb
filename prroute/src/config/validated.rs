//! The configuration after validation: what the rest of prroute works with.

use std::fmt;
use std::net::IpAddr;
use std::ops::{Not, RangeInclusive};

use ipnet::IpNet;
use prroute_common::uplink::MAX_UPLINKS;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::source::mac_address;
use super::{Attach, Mode, OnDown, OnStop, OwnSource, Pattern, Reply, RpFilter};

/// First rule priority of our block when the configuration names no other.
pub const DEFAULT_RULE_PRIORITY: u32 = 21_000;
/// First routing table of our block when the configuration names no other.
pub const DEFAULT_TABLE: u32 = 21_000;
/// Priority of the kernel's rule for the main table: our block ends before it.
pub const PRIORITY_MAIN: u32 = 32_766;
/// How many rule priorities, and how many tables, are ours.
pub const RANGE: u32 = 1000;

/// Seconds. Detection takes this, and as long as two unanswered questions.
const DEFAULT_GATEWAY_PROBE: u32 = 2;

/// A daemon writes it into its report: what is not there, which an earlier version has not written, is the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Config {
    pub mode: Mode,
    /// What a stopping daemon does with datapath, rules and tables.
    pub on_stop: OnStop,
    pub attach: Attach,
    /// Flows per family; `None`: as many as the machine's memory allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<u32>,
    /// Interfaces that are never uplinks, by name, altname or glob.
    pub exclude: Vec<Pattern>,
    #[serde(flatten)]
    pub ranges: Ranges,
    /// `rule-priority` is in the configuration: all of prroute's rules are in that range.
    #[serde(skip_serializing_if = "Not::not")]
    pub rule_priority_is_fixed: bool,
    pub rp_filter: RpFilter,
    pub own_source: OwnSource,
    pub on_down: OnDown,
    /// Packets of applications that are bound to an uplink's device leave by it.
    pub bind_device: bool,
    /// Wildcard UDP servers answer from the address that was asked.
    pub udp_source: bool,
    /// Seconds between two questions to a gateway whether it is still there; 0: none are asked.
    pub gateway_probe: u32,
    #[serde(rename = "uplink")]
    pub uplinks: Vec<UplinkConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            on_stop: OnStop::Keep,
            attach: Attach::Auto,
            flows: None,
            exclude: Vec::new(),
            ranges: Ranges::default(),
            rule_priority_is_fixed: false,
            rp_filter: RpFilter::Loosen,
            own_source: OwnSource::Rules,
            on_down: OnDown::Route,
            bind_device: false,
            udp_source: true,
            gateway_probe: DEFAULT_GATEWAY_PROBE,
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

    /// Tables that an uplink can be given by number: those before go by uplink id.
    pub const fn fixed_tables(&self) -> RangeInclusive<u32> {
        self.table + MAX_UPLINKS..=self.table + RANGE - 1
    }
}

/// Which interfaces an `[[uplink]]` is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selector {
    /// By name, altname or glob of either.
    Name(Pattern),
    /// By MAC address.
    #[serde(serialize_with = "display", deserialize_with = "parse")]
    Mac([u8; 6]),
}

impl Selector {
    /// Whether it is about one interface.
    pub fn is_exact(&self) -> bool {
        match self {
            Self::Name(pattern) => pattern.is_exact(),
            Self::Mac(_) => true,
        }
    }

    fn matches(&self, names: &[&str], mac: Option<[u8; 6]>) -> bool {
        match self {
            Self::Name(pattern) => names.iter().any(|name| pattern.matches(name)),
            Self::Mac(wanted) => mac == Some(*wanted),
        }
    }

    /// A MAC address tells more than a name, a name more than a glob.
    fn rank(&self) -> u8 {
        match self {
            Self::Mac(_) => 2,
            Self::Name(pattern) => u8::from(pattern.is_exact()),
        }
    }
}

fn display<S: serde::Serializer>(mac: &[u8; 6], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Selector::Mac(*mac))
}

fn parse<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 6], D::Error> {
    let text = String::deserialize(deserializer)?;
    mac_address(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is no MAC address")))
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(pattern) => pattern.fmt(f),
            Self::Mac([a, b, c, d, e, g]) => {
                write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
            }
        }
    }
}

/// One `[[uplink]]`: settings for the interfaces it names, which become uplinks even where
/// discovery would not take them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UplinkConfig {
    #[serde(flatten)]
    pub selector: Selector,
    /// Gateways in order of preference, before those that routes name.
    #[serde(rename = "gateway")]
    pub gateways: Vec<IpAddr>,
    pub reply: Reply,
    /// `None`: as for all uplinks.
    pub on_down: Option<OnDown>,
    /// The number of its routing table; `None`: by its id.
    pub table: Option<u32>,
    /// Destinations that are reached over it by whatever has no source address of another
    /// uplink, forwarded packets included.
    pub to: Vec<IpNet>,
}

impl UplinkConfig {
    /// An entry that says nothing but which interfaces it is about.
    pub const fn new(selector: Selector) -> Self {
        Self {
            selector,
            gateways: Vec::new(),
            reply: Reply::Auto,
            on_down: None,
            table: None,
            to: Vec::new(),
        }
    }
}

impl Config {
    /// The settings for an interface with these names and this MAC address: one by MAC address
    /// wins over one by name, a name over a glob, a later entry over an earlier one.
    pub fn uplink(&self, names: &[&str], mac: Option<[u8; 6]>) -> Option<&UplinkConfig> {
        let matching = self.uplinks.iter().filter(|u| u.selector.matches(names, mac));
        matching.max_by_key(|u| u.selector.rank())
    }

    /// Whether packets are only observed.
    pub fn observes(&self) -> bool {
        self.mode == Mode::Observe
    }

    /// Whether UDP servers that are bound to no address are given a source.
    pub fn gives_udp_sources(&self) -> bool {
        self.udp_source && !self.observes()
    }

    /// The entry of `exclude` that an interface with these names matches.
    pub fn excluded(&self, names: &[&str]) -> Option<&Pattern> {
        self.exclude.iter().find(|pattern| names.iter().any(|name| pattern.matches(name)))
    }
}
