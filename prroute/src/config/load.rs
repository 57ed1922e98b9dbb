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
use super::text::read;
use super::{Config, ConfigError, Directories, PRIORITY_MAIN, RANGE, Selector, UplinkConfig};

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
    /// Names file, line and key. A `file` that was asked for must be there.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        match file {
            Some(file) => Self::parse(file, &read(file)?),
            None => Self::load_from(&Directories::default()),
        }
    }

    /// The configuration that one file says; its path is for errors.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut draft = Draft::default();
        draft.overlay(path, text)?;
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
                Ok(text) => draft.overlay(&path, &text)?,
                // Removed since it was listed; a link that leads nowhere is a mistake.
                Err(ConfigError::Read { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {}
                Err(error) => return Err(error),
            }
        }
        draft.finish()
    }
}

/// A configuration of which some files have been read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    config: Config,
    /// For each uplink of the configuration, where its keys stand that concern others.
    places: Vec<Places>,
}

#[derive(Debug, Default)]
struct Places {
    table: Option<Position>,
    to: BTreeMap<IpNet, Position>,
}

impl Draft {
    /// Lays one file over what is there.
    pub(super) fn overlay(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let source = SourceFile::new(path, text);
        let raw: RawConfig = toml::from_str(text).map_err(|error| source.parse_error(&error))?;
        let config = &mut self.config;
        overwrite(&mut config.on_stop, raw.on_stop);
        overwrite(&mut config.attach, raw.attach);
        overwrite(&mut config.rp_filter, raw.rp_filter);
        overwrite(&mut config.own_source, raw.own_source);
        overwrite(&mut config.on_down, raw.on_down);
        overwrite(&mut config.bind_device, raw.bind_device);
        overwrite(&mut config.udp_source, raw.udp_source);
        if let Some(flows) = raw.flows {
            let flows = source.number("flows", &flows, MIN_FLOWS_PER_CPU, MAX_FLOWS)?;
            config.flows = Some(flows);
        }
        if let Some(first) = raw.rule_priority {
            config.ranges.rule_priority =
                source.number("rule-priority", &first, 1, MAX_PRIORITY)?;
            config.rule_priority_is_fixed = true;
        }
        if let Some(first) = raw.table {
            config.ranges.table = source.number("table", &first, FIRST_TABLE, MAX_TABLE)?;
        }
        if let Some(seconds) = raw.gateway_probe {
            config.gateway_probe =
                source.number("gateway-probe", &seconds, 0, MAX_GATEWAY_PROBE)?;
        }
        if let Some(exclude) = raw.exclude {
            if exclude.is_empty() {
                config.exclude.clear();
            }
            for pattern in &exclude {
                if config.exclude.len() == MAX_ENTRIES {
                    let message = format!("more than {MAX_ENTRIES} patterns");
                    return Err(source.position(pattern.span()).invalid("exclude", message));
                }
                config.exclude.push(source.pattern("exclude", pattern)?);
            }
        }
        raw.uplink.into_iter().try_for_each(|uplink| self.overlay_uplink(&source, uplink))
    }

    /// An entry with a name or MAC address that an earlier one had overrides that one's keys.
    fn overlay_uplink(
        &mut self,
        source: &SourceFile<'_>,
        raw: Spanned<RawUplink>,
    ) -> Result<(), ConfigError> {
        let place = source.position(raw.span());
        let raw = raw.into_inner();
        let selector = match (&raw.name, &raw.mac) {
            (Some(name), None) => Selector::Name(source.pattern("name", name)?),
            (None, Some(mac)) => Selector::Mac(source.mac(mac)?),
            _ => return Err(place.invalid("uplink", "give either `name` or `mac`")),
        };
        let known = self.config.uplinks.iter().position(|uplink| uplink.selector == selector);
        if known.is_none() && self.config.uplinks.len() == MAX_ENTRIES {
            return Err(place.invalid("uplink", format!("more than {MAX_ENTRIES} uplinks")));
        }
        let index = known.unwrap_or_else(|| {
            self.config.uplinks.push(UplinkConfig::new(selector));
            self.places.push(Places::default());
            self.places.len() - 1
        });
        let (uplink, places) = (&mut self.config.uplinks[index], &mut self.places[index]);
        if let Some(gateways) = raw.gateway {
            if let Some(one) = gateways.get(MAX_GATEWAYS) {
                let message = format!("more than {MAX_GATEWAYS} gateways");
                return Err(source.position(one.span()).invalid("gateway", message));
            }
            uplink.gateways =
                gateways.iter().map(|gateway| source.gateway(gateway)).collect::<Result<_, _>>()?;
        }
        overwrite(&mut uplink.reply, raw.reply);
        uplink.on_down = raw.on_down.or(uplink.on_down);
        if let Some(table) = raw.table {
            uplink.table = Some(source.number("table", &table, FIRST_TABLE, u32::MAX)?);
            places.table = Some(source.position(table.span()));
        }
        if let Some(to) = raw.to {
            if to.is_empty() {
                uplink.to.clear();
                places.to.clear();
            }
            for destination in &to {
                let net = source.destination(destination)?;
                if let Entry::Vacant(vacant) = places.to.entry(net) {
                    vacant.insert(source.position(destination.span()));
                    uplink.to.push(net);
                }
            }
        }
        Ok(())
    }

    /// Checks what only all files together can tell.
    pub(super) fn finish(self) -> Result<Config, ConfigError> {
        let Self { config, places } = self;
        let fixed = config.ranges.fixed_tables();
        let mut destinations: BTreeMap<IpNet, &Selector> = BTreeMap::new();
        for (index, (uplink, places)) in config.uplinks.iter().zip(&places).enumerate() {
            let earlier = || config.uplinks[..index].iter();
            if let (Some(table), Some(place)) = (uplink.table, &places.table) {
                let invalid = |message: String| Err(place.invalid("table", message));
                if !uplink.selector.is_exact() {
                    return invalid(
                        "needs an exact name or MAC address in this [[uplink]], not a \
                                    pattern"
                            .to_owned(),
                    );
                }
                if !fixed.contains(&table) {
                    let (first, last) = (fixed.start(), fixed.end());
                    return invalid(format!(
                        "{table} is not between {first} and {last}: prroute gives the tables \
                         before {first} to uplinks without a `table`"
                    ));
                }
                if let Some(other) = earlier().find(|other| other.table == Some(table)) {
                    return invalid(format!("{table} is already the table of {}", other.selector));
                }
            }
            for net in &uplink.to {
                let invalid = |message: String| Err(places.to[net].invalid("to", message));
                if !uplink.selector.is_exact() {
                    return invalid(
                        "needs an exact name or MAC address in this [[uplink]], not a \
                                    pattern"
                            .to_owned(),
                    );
                }
                if let Some(other) = destinations.insert(*net, &uplink.selector) {
                    return invalid(format!("{net} already goes over {other}"));
                }
                if destinations.len() > MAX_DESTINATIONS {
                    return invalid(format!(
                        "more than {MAX_DESTINATIONS} destinations, and the kernel compares every \
                         packet with each of them: use shorter prefixes, or routes in the main \
                         table"
                    ));
                }
            }
        }
        Ok(config)
    }
}

fn overwrite<T>(value: &mut T, written: Option<T>) {
    if let Some(written) = written {
        *value = written;
    }
}

#[cfg(test)]
mod tests;
