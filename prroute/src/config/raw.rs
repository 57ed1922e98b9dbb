//! The configuration as it stands in one file.

use serde::Deserialize;
use toml::Spanned;

use super::{Attach, OnDown, OnStop, OwnSource, Reply, RpFilter};

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
