//! The configuration as it stands in one file.

use toml::Spanned;
use toml::de::DeTable;

use super::error::ConfigError;
use super::fields::Fields;
use super::source::SourceFile;
use super::{Attach, Mode, OnDown, OnStop, OwnSource, Reply, RpFilter};

/// One file. A key that is absent leaves what earlier files or the defaults say.
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    pub(super) mode: Option<Mode>,
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
    pub(super) uplink: Vec<Spanned<RawUplink>>,
}

/// One `[[uplink]]`.
#[derive(Debug)]
pub(super) struct RawUplink {
    /// How many of the next two keys are written, rightly or not.
    pub(super) selectors: usize,
    pub(super) name: Option<Spanned<String>>,
    pub(super) mac: Option<Spanned<String>>,
    pub(super) gateway: Option<Vec<Spanned<String>>>,
    pub(super) reply: Option<Reply>,
    pub(super) on_down: Option<OnDown>,
    pub(super) table: Option<Spanned<i64>>,
    pub(super) to: Option<Vec<Spanned<String>>>,
}

/// So many errors of a file that is not TOML are looked at.
const MOST_ERRORS: usize = 100;

impl RawConfig {
    /// What can be read of a file; the rest of it are mistakes. Nothing of a file that is not TOML.
    pub(super) fn read(source: &SourceFile<'_>, mistakes: &mut ConfigError) -> Option<Self> {
        let (table, errors) = DeTable::parse_recoverable(source.text());
        let mut line = None;
        // A text that is something else altogether has one in each line.
        for mistake in errors.iter().take(MOST_ERRORS).map(|error| source.syntax(error)) {
            // What follows from the first mistake of a line is none.
            if line != Some(mistake.line()) {
                line = Some(mistake.line());
                mistakes.push(mistake);
            }
        }
        if !errors.is_empty() {
            return None;
        }
        let mut fields = Fields::new(source, table.into_inner(), mistakes);
        let mut raw = Self {
            mode: fields.word("mode"),
            on_stop: fields.word("on-stop"),
            attach: fields.word("attach"),
            flows: fields.number("flows"),
            exclude: fields.texts("exclude"),
            rule_priority: fields.number("rule-priority"),
            table: fields.number("table"),
            rp_filter: fields.word("rp-filter"),
            own_source: fields.word("own-source"),
            on_down: fields.word("on-down"),
            bind_device: fields.boolean("bind-device"),
            udp_source: fields.boolean("udp-source"),
            gateway_probe: fields.number("gateway-probe"),
            uplink: Vec::new(),
        };
        fields.tables("uplink", |fields, span| {
            raw.uplink.push(Spanned::new(span, RawUplink::read(fields)));
        });
        fields.finish();
        Some(raw)
    }
}

impl RawUplink {
    fn read(mut fields: Fields<'_, '_>) -> Self {
        let raw = Self {
            selectors: ["name", "mac"].iter().filter(|key| fields.has(key)).count(),
            name: fields.text("name"),
            mac: fields.text("mac"),
            gateway: fields.texts("gateway"),
            reply: fields.word("reply"),
            on_down: fields.word("on-down"),
            table: fields.number("table"),
            to: fields.texts("to"),
        };
        fields.finish();
        raw
    }
}
