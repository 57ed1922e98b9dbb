//! The configuration as it stands in one file.

use serde::Deserialize;
use toml::Spanned;

/// One file. A key that is absent leaves what earlier files or the defaults say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawConfig {
    pub(super) on_stop: Option<OnStop>,
    pub(super) attach: Option<Attach>,
    pub(super) flows: Option<Spanned<i64>>,
    pub(super) exclude: Option<Vec<Spanned<String>>>,
    pub(super) rule_priority: Option<Spanned<i64>>,
    pub(super) table: Option<Spanned<i64>>,
    pub(super) rp_filter: Option<RpFilter>,
    pub(super) own_source: Option<OwnSource>,
    pub(super) on_down: Option<OnDown>,
    pub(super) bind_device: Option<bool>,
    pub(super) udp_source: Option<bool>,
    pub(super) gateway_probe: Option<Spanned<i64>>,
    #[serde(default)]
    pub(super) uplink: Vec<Spanned<RawUplink>>,
}

/// One `[[uplink]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawUplink {
    pub(super) name: Option<Spanned<String>>,
    pub(super) mac: Option<Spanned<String>>,
    pub(super) gateway: Option<Vec<Spanned<String>>>,
    pub(super) reply: Option<Reply>,
    pub(super) on_down: Option<OnDown>,
    pub(super) table: Option<Spanned<i64>>,
    pub(super) to: Option<Vec<Spanned<String>>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OnStop {
    Keep,
    Undo,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Attach {
    Auto,
    Tcx,
    Clsact,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RpFilter {
    Loosen,
    Leave,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OwnSource {
    Rules,
    Datapath,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OnDown {
    Route,
    Hold,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reply {
    Auto,
    Gateway,
    LastHop,
    Off,
}
