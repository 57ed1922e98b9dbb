//! What only all files together can tell: uplinks that are in each other's way.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::load::{Draft, MAX_DESTINATIONS, Places};
use super::{Config, ConfigError, Selector, UplinkConfig};

const NOT_A_PATTERN: &str = "needs an exact name or MAC address in this [[uplink]], not a pattern";

impl Draft {
    /// The configuration, or all that is wrong with it. What a file says that could not be read is
    /// not known, and nothing is said of what may depend on it.
    pub(super) fn finish(mut self) -> Result<Config, ConfigError> {
        if !self.is_partial {
            self.check_tables();
            self.check_destinations();
        }
        self.mistakes.result().map(|()| self.config)
    }

    fn check_tables(&mut self) {
        let uplinks = &self.config.uplinks;
        let fixed = self.config.ranges.fixed_tables();
        for (index, (uplink, places)) in uplinks.iter().zip(&self.places).enumerate() {
            let (Some(table), Some(place)) = (uplink.table, &places.table) else { continue };
            let earlier = || uplinks[..index].iter();
            let message = if !uplink.selector.is_exact() {
                NOT_A_PATTERN.to_owned()
            } else if !fixed.contains(&table) {
                // Every `table` would be named for one mistake.
                if self.has_unknown_tables {
                    continue;
                }
                let (first, last) = (fixed.start(), fixed.end());
                format!(
                    "{table} is not between {first} and {last}: prroute gives the tables before \
                     {first} to uplinks without a `table`"
                )
            } else if let Some(other) = earlier().find(|other| other.table == Some(table)) {
                format!("{table} is already the table of {}", other.selector)
            } else {
                continue;
            };
            self.mistakes.push(place.invalid("table", message));
        }
    }

    fn check_destinations(&mut self) {
        let mut destinations: BTreeMap<IpNet, &Selector> = BTreeMap::new();
        for (uplink, places) in self.config.uplinks.iter().zip(&self.places) {
            let UplinkConfig { selector, to, .. } = uplink;
            let invalid = |net: &IpNet, message: String| place(places, net, message);
            if let Some(first) = to.first().filter(|_| !selector.is_exact()) {
                self.mistakes.push(invalid(first, NOT_A_PATTERN.to_owned()));
                continue;
            }
            for net in to {
                if let Some(other) = destinations.insert(*net, selector) {
                    self.mistakes.push(invalid(net, format!("{net} already goes over {other}")));
                } else if destinations.len() > MAX_DESTINATIONS {
                    let message = format!(
                        "more than {MAX_DESTINATIONS} destinations, and the kernel compares every \
                         packet with each of them: use shorter prefixes, or routes in the main table"
                    );
                    self.mistakes.push(invalid(net, message));
                    return;
                }
            }
        }
    }
}

fn place(places: &Places, net: &IpNet, message: String) -> super::Mistake {
    places.to[net].invalid("to", message)
}
