//! Reading the files, laying them over each other, and checking what they say.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use prroute_common::flow::MIN_FLOWS_PER_CPU;
use toml::Spanned;

use super::error::{key_at, line_of, with_suggestion};
use super::raw::{self, RawConfig, RawUplink};
use super::{Attach, Config, ConfigError, OnStop, Pattern, RANGE, Reply, RpFilter, UplinkConfig};

const MAIN_FILE: &str = "/etc/prroute/prroute.toml";
const DROP_INS: &str = "/etc/prroute/conf.d";

/// Priority of the kernel's rule for the main table: our block ends before it.
const MAIN_RULE: u32 = 32_766;
/// Tables up to here are the kernel's (253..255) or reserved.
const FIRST_TABLE: u32 = 256;
/// 16 million entries are 1.6 GB.
const MAX_FLOWS: u32 = 1 << 24;

impl Config {
    /// The configuration in `file`; or, with none, in `/etc/prroute/prroute.toml` and
    /// `/etc/prroute/conf.d/*.toml`, where a missing file or folder is no error and a later
    /// file overrides the keys of an earlier one.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        match file {
            Some(file) => {
                let mut config = Self::default();
                config.overlay(file, &read(file)?)?;
                Ok(config)
            }
            None => Self::load_layers(Path::new(MAIN_FILE), Path::new(DROP_INS)),
        }
    }

    /// As [`Config::load`] without a file, for other places than `/etc/prroute`.
    pub fn load_layers(main: &Path, drop_ins: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        for path in std::iter::once(main.to_owned()).chain(list(drop_ins)?) {
            match read(&path) {
                Ok(text) => config.overlay(&path, &text)?,
                Err(ConfigError::Read { source, .. })
                    if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(config)
    }

    /// Lays one file over what is there.
    fn overlay(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let file = File { path, text };
        let raw: RawConfig = toml::from_str(text).map_err(|error| file.parse_error(&error))?;
        if let Some(on_stop) = raw.on_stop {
            self.on_stop = match on_stop {
                raw::OnStop::Keep => OnStop::Keep,
                raw::OnStop::Undo => OnStop::Undo,
            };
        }
        if let Some(attach) = raw.attach {
            self.attach = match attach {
                raw::Attach::Auto => Attach::Auto,
                raw::Attach::Tcx => Attach::Tcx,
                raw::Attach::Clsact => Attach::Clsact,
            };
        }
        if let Some(rp_filter) = raw.rp_filter {
            self.rp_filter = match rp_filter {
                raw::RpFilter::Loosen => RpFilter::Loosen,
                raw::RpFilter::Leave => RpFilter::Leave,
            };
        }
        if let Some(udp_source) = raw.udp_source {
            self.udp_source = udp_source;
        }
        if let Some(flows) = raw.flows {
            self.flows = file.number("flows", &flows, MIN_FLOWS_PER_CPU, MAX_FLOWS)?;
        }
        if let Some(first) = raw.rule_priority {
            self.ranges.rule_priority =
                file.number("rule-priority", &first, 1, MAIN_RULE - RANGE)?;
        }
        if let Some(first) = raw.table {
            self.ranges.table = file.number("table", &first, FIRST_TABLE, u32::MAX - RANGE)?;
        }
        if let Some(exclude) = raw.exclude {
            self.exclude = exclude
                .into_iter()
                .map(|pattern| file.pattern("exclude", &pattern))
                .collect::<Result<_, _>>()?;
        }
        raw.uplink.into_iter().try_for_each(|uplink| self.overlay_uplink(&file, uplink))
    }

    /// An entry with a name that an earlier file had overrides that entry's keys.
    fn overlay_uplink(&mut self, file: &File<'_>, raw: RawUplink) -> Result<(), ConfigError> {
        let name = file.pattern("name", &raw.name)?;
        let known = self.uplinks.iter().position(|uplink| uplink.name == name);
        let index = known.unwrap_or_else(|| {
            self.uplinks.push(UplinkConfig { name, gateways: Vec::new(), reply: Reply::Auto });
            self.uplinks.len() - 1
        });
        let uplink = &mut self.uplinks[index];
        if let Some(gateways) = raw.gateway {
            uplink.gateways =
                gateways.iter().map(|gateway| file.gateway(gateway)).collect::<Result<_, _>>()?;
        }
        if let Some(reply) = raw.reply {
            uplink.reply = match reply.get_ref() {
                raw::Reply::Auto => Reply::Auto,
                raw::Reply::Gateway => Reply::Gateway,
                raw::Reply::Off => Reply::Off,
                raw::Reply::LastHop => {
                    let message = "`last-hop` is not supported yet; use auto, gateway or off";
                    return Err(file.invalid("reply", reply.span(), message));
                }
            };
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// The `*.toml` files of a folder by name; none when there is no folder.
fn list(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let failed = |source| ConfigError::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A file while it is being checked.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn invalid(&self, key: &str, span: Range<usize>, message: impl Into<String>) -> ConfigError {
        ConfigError::Invalid {
            path: self.path.to_owned(),
            line: Some(line_of(self.text, span.start)),
            key: Some(key.to_owned()),
            message: message.into(),
        }
    }

    fn parse_error(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span();
        ConfigError::Invalid {
            path: self.path.to_owned(),
            line: span.as_ref().map(|span| line_of(self.text, span.start)),
            key: span.and_then(|span| key_at(self.text, span.start)),
            message: with_suggestion(error.message()),
        }
    }

    fn number(
        &self,
        key: &str,
        value: &Spanned<i64>,
        min: u32,
        max: u32,
    ) -> Result<u32, ConfigError> {
        u32::try_from(*value.get_ref()).ok().filter(|v| (min..=max).contains(v)).ok_or_else(|| {
            let message = format!("{} is not between {min} and {max}", value.get_ref());
            self.invalid(key, value.span(), message)
        })
    }

    fn pattern(&self, key: &str, text: &Spanned<String>) -> Result<Pattern, ConfigError> {
        let name = text.get_ref();
        if name.is_empty() || name.contains(['/', ' ', '\t', '\n']) {
            let message = format!("{name:?} is no name of an interface");
            return Err(self.invalid(key, text.span(), message));
        }
        Ok(Pattern::new(name.as_str()))
    }

    fn gateway(&self, text: &Spanned<String>) -> Result<IpAddr, ConfigError> {
        let address: Option<IpAddr> = text.get_ref().parse().ok();
        let usable = |a: &IpAddr| !(a.is_unspecified() || a.is_multicast() || a.is_loopback());
        address.filter(usable).ok_or_else(|| {
            let message = format!("{:?} is no address of a gateway", text.get_ref());
            self.invalid("gateway", text.span(), message)
        })
    }
}

#[cfg(test)]
mod tests;
