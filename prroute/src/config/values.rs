//! Values that are one of a few words. serde has the words: files, reports and messages spell them alike.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Replies leave by the uplink that their request came in on.
    #[default]
    Enforce,
    /// What leaves by another one is counted, and nothing is changed.
    Observe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnStop {
    /// Everything stays and keeps working.
    Keep,
    /// Everything is undone.
    Undo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attach {
    /// tcx where the kernel has it, clsact elsewhere.
    Auto,
    Tcx,
    Clsact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RpFilter {
    /// Strict reverse-path filtering of an uplink is made loose while prroute manages it, and left to who makes it strict
    /// again.
    Loosen,
    /// It is made loose again and again.
    Enforce,
    Leave,
}

/// What sends packets of the host's own by the uplink that has their source address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnSource {
    /// Routing rules.
    #[default]
    Rules,
    /// The egress program, where `main` has a default route. No rule is made for it.
    Datapath,
}

/// What becomes of packets whose uplink has no carrier or no way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDown {
    /// They go where the kernel's own routing sends them.
    Route,
    /// They leave by no other uplink.
    Hold,
}

/// To which next hop replies are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The gateway if one is known, else the link-layer address the request came from.
    #[default]
    Auto,
    Gateway,
    /// The link-layer address the request came from.
    LastHop,
    /// Flows are not recorded on this uplink.
    Off,
}

macro_rules! display_as_written {
    ($($value:ty),*) => {$(
        impl fmt::Display for $value {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.serialize(f)
            }
        }
    )*};
}

display_as_written!(Mode, OnStop, Attach, RpFilter, OwnSource, OnDown, Reply);
