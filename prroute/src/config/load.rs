//! Reading the files, laying them over each other, and checking what they say.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::Path;

use ipnet::IpNet;
use prroute_common::flow::MIN_FLOWS_PER_CPU;
use toml::Spanned;

use super::raw::{RawConfig, RawUplink};
use super::source::{Position, SourceFile};
use super::text::{read, read_from};
use super::{
    Config, ConfigError, Directories, Mistake, PRIORITY_MAIN, Pattern, RANGE, Selector,
    UplinkConfig,
};

/// Tables up to here are the kernel's (253..255) or reserved.
pub(super) const FIRST_TABLE: u32 = 256;
/// 16 million entries are 1.6 GB.
pub(super) const MAX_FLOWS: u32 = 1 << 24;
/// Seconds. The kernel asks by itself sooner than that.
pub(super) const MAX_GATEWAY_PROBE: u32 = 60;
/// Bounds of `rule-priority` and `table`: all of our range lies below what follows it.
pub(super) const MAX_PRIORITY: u32 = PRIORITY_MAIN - RANGE;
pub(super) const MAX_TABLE: u32 = u32::MAX - RANGE;
/// Of all uplinks together. The kernel compares every packet that it looks up with each of them:
/// so many take 0.1 ms.
pub(super) const MAX_DESTINATIONS: usize = 4_096;
/// `[[uplink]]` entries, and patterns of `exclude`.
pub(super) const MAX_ENTRIES: usize = 1_024;
/// Of one uplink.
pub(super) const MAX_GATEWAYS: usize = 64;

impl Config {
    /// The configuration in `file`; or, with none, in `/etc/prroute` and `/usr/lib/prroute` by
    /// the rules of [`Directories`]. A later file overrides the keys of an earlier one, but
    /// `exclude` and `to` add to what it says, unless they are empty.
    ///
    /// # Errors
    ///
    /// Names file, line and key of all mistakes. A `file` that was asked for must be there.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        match file {
            Some(file) => Self::parse(file, &read(file)?),
            None => Self::load_from(&Directories::default()),
        }
    }

    /// The configuration that a stream says to its end; `name` is for errors.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn read_from(name: &Path, text: impl io::Read) -> Result<Self, ConfigError> {
        Self::parse(name, &read_from(name, text)?)
    }

    /// The configuration that one file says; its path is for errors.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut draft = Draft::default();
        draft.overlay(path, text);
        draft.finish()
    }

    /// As [`Config::load`] without a file, for other directories.
    ///
    /// # Errors
    ///
    /// As there. No file at all is the default configuration.
    pub fn load_from(directories: &Directories) -> Result<Self, ConfigError> {
        let mut draft = Draft::default();
        for path in directories.files()? {
            match read(&path) {
                Ok(text) => draft.overlay(&path, &text),
                // Removed since it was listed; a link that leads nowhere is a mistake.
                Err(Mistake::Read { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {}
                Err(mistake) => draft.miss(mistake),
            }
        }
        draft.finish()
    }
}

/// A configuration of which some files have been read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    /// For each uplink of the configuration, where its keys stand that concern others.
    pub(super) places: Vec<Places>,
    pub(super) mistakes: ConfigError,
    /// Something of the configuration is not known: a file that could not be read.
    pub(super) is_partial: bool,
    /// Likewise: which tables are prroute's.
    pub(super) has_unknown_tables: bool,
}

#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) table: Option<Position>,
    pub(super) to: BTreeMap<IpNet, Position>,
}

impl Draft {
    /// Goes on without a file.
    fn miss(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
        self.is_partial = true;
    }

    /// Lays one file over what is there. What of it is wrong is left out, and noted.
    pub(super) fn overlay(&mut self, path: &Path, text: &str) {
        let source = SourceFile::new(path, text);
        let mut mistakes = ConfigError::default();
        match RawConfig::read(&source, &mut mistakes) {
            Some(raw) => self.overlay_raw(&source, raw, &mut mistakes),
            None => self.is_partial = true,
        }
        self.mistakes.append(mistakes);
    }

    fn overlay_raw(&mut self, source: &SourceFile<'_>, raw: RawConfig, mistakes: &mut ConfigError) {
        let config = &mut self.config;
        overwrite(&mut config.mode, raw.mode);
        overwrite(&mut config.on_stop, raw.on_stop);
        overwrite(&mut config.attach, raw.attach);
        overwrite(&mut config.rp_filter, raw.rp_filter);
        overwrite(&mut config.own_source, raw.own_source);
        overwrite(&mut config.on_down, raw.on_down);
        overwrite(&mut config.bind_device, raw.bind_device);
        overwrite(&mut config.udp_source, raw.udp_source);
        let mut number = |key: &str, value: Option<Spanned<i64>>, min, max| {
            value.and_then(|value| mistakes.note(source.number(key, &value, min, max)))
        };
        config.flows = number("flows", raw.flows, MIN_FLOWS_PER_CPU, MAX_FLOWS).or(config.flows);
        if let Some(first) = number("rule-priority", raw.rule_priority, 1, MAX_PRIORITY) {
            config.ranges.rule_priority = first;
            config.rule_priority_is_fixed = true;
        }
        let names_tables = raw.table.is_some();
        let table = number("table", raw.table, FIRST_TABLE, MAX_TABLE);
        self.has_unknown_tables = table.is_none() && (names_tables || self.has_unknown_tables);
        overwrite(&mut config.ranges.table, table);
        let probe = number("gateway-probe", raw.gateway_probe, 0, MAX_GATEWAY_PROBE);
        overwrite(&mut config.gateway_probe, probe);
        if let Some(exclude) = raw.exclude {
            if exclude.is_empty() {
                config.exclude.clear();
            }
            for pattern in &exclude {
                if config.exclude.len() == MAX_ENTRIES {
                    let message = format!("more than {MAX_ENTRIES} patterns");
                    mistakes.push(source.position(pattern.span()).invalid("exclude", message));
                    break;
                }
                config.exclude.extend(mistakes.note(source.pattern("exclude", pattern)));
            }
        }
        for uplink in raw.uplink {
            self.overlay_uplink(source, uplink, mistakes);
        }
    }

    /// An entry with a name or MAC address that an earlier one had overrides that one's keys.
    fn overlay_uplink(
        &mut self,
        source: &SourceFile<'_>,
        raw: Spanned<RawUplink>,
        mistakes: &mut ConfigError,
    ) {
        let place = source.position(raw.span());
        let raw = raw.into_inner();
        if raw.selectors != 1 {
            mistakes.push(place.invalid("uplink", "give either `name` or `mac`"));
        }
        let name = raw.name.and_then(|name| mistakes.note(source.pattern("name", &name)));
        let mac = raw.mac.and_then(|mac| mistakes.note(source.mac(&mac)));
        let selector = match (name, mac) {
            (Some(name), None) => Some(Selector::Name(name)),
            (None, Some(mac)) => Some(Selector::Mac(mac)),
            _ => None,
        };
        let index = match selector {
            Some(selector) => match self.entry(selector) {
                Some(index) => index,
                None => {
                    let message = format!("more than {MAX_ENTRIES} uplinks");
                    return mistakes.push(place.invalid("uplink", message));
                }
            },
            None => usize::MAX,
        };
        // What an entry without a name says is checked all the same.
        let mut nowhere = (UplinkConfig::new(Selector::Name(Pattern::new(""))), Places::default());
        let (uplink, places) =
            match (self.config.uplinks.get_mut(index), self.places.get_mut(index)) {
                (Some(uplink), Some(places)) => (uplink, places),
                _ => (&mut nowhere.0, &mut nowhere.1),
            };
        if let Some(gateways) = raw.gateway {
            if let Some(one) = gateways.get(MAX_GATEWAYS) {
                let message = format!("more than {MAX_GATEWAYS} gateways");
                mistakes.push(source.position(one.span()).invalid("gateway", message));
            }
            let gateways = gateways.iter().take(MAX_GATEWAYS);
            uplink.gateways =
                gateways.filter_map(|one| mistakes.note(source.gateway(one))).collect();
        }
        overwrite(&mut uplink.reply, raw.reply);
        uplink.on_down = raw.on_down.or(uplink.on_down);
        if let Some(table) = raw.table {
            let number = mistakes.note(source.number("table", &table, FIRST_TABLE, u32::MAX));
            uplink.table = number.or(uplink.table);
            places.table = Some(source.position(table.span()));
        }
        if let Some(to) = raw.to {
            if to.is_empty() {
                uplink.to.clear();
                places.to.clear();
            }
            for destination in &to {
                let Some(net) = mistakes.note(source.destination(destination)) else { continue };
                if let Entry::Vacant(vacant) = places.to.entry(net) {
                    vacant.insert(source.position(destination.span()));
                    uplink.to.push(net);
                }
            }
        }
    }

    /// The place of an uplink's entry, an earlier one or a new one; `None`: there are too many.
    fn entry(&mut self, selector: Selector) -> Option<usize> {
        let known = self.config.uplinks.iter().position(|uplink| uplink.selector == selector);
        if known.is_none() {
            if self.config.uplinks.len() == MAX_ENTRIES {
                return None;
            }
            self.config.uplinks.push(UplinkConfig::new(selector));
            self.places.push(Places::default());
        }
        known.or_else(|| self.places.len().checked_sub(1))
    }
}

fn overwrite<T>(value: &mut T, written: Option<T>) {
    if let Some(written) = written {
        *value = written;
    }
}

#[cfg(test)]
mod tests;
