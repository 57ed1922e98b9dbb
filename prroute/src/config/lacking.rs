//! What one configuration says and another one does not.

use serde_json::{Map, Value};

use super::{Config, Reply, UplinkConfig};

/// The entries that are compared one by one.
const UPLINKS: &str = "uplink";
/// Without it nothing else has an effect: it is compared also where it is the default.
const MODE: &str = "mode";

impl Config {
    /// What `wanted` sets and this does not have, in the words of a configuration. This may have more: other keys,
    /// more uplinks, and more gateways or destinations of one.
    pub fn lacking(&self, wanted: &Self) -> Vec<String> {
        let (has, default) = (keys(self), keys(&Self::default()));
        let mut lacking = Vec::new();
        for (key, value) in keys(wanted) {
            let is_said = key == MODE || default.get(&key) != Some(&value);
            if key != UPLINKS && is_said && has.get(&key) != Some(&value) {
                lacking.push(format!("{key} = {value}"));
            }
        }
        for uplink in &wanted.uplinks {
            // Of two entries for the same interfaces the later one counts.
            let mut entries = self.uplinks.iter().rev();
            let entry = entries.find(|entry| entry.selector == uplink.selector);
            match entry {
                Some(entry) => lacking.extend(of_uplink(entry, uplink)),
                None => lacking.push(format!("an [[uplink]] for {}", uplink.selector)),
            }
        }
        lacking
    }
}

fn keys(config: &Config) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(keys)) => keys,
        _ => Map::new(),
    }
}

fn of_uplink(has: &UplinkConfig, wanted: &UplinkConfig) -> Vec<String> {
    let has_it = [
        ("gateway", wanted.gateways.iter().all(|gateway| has.gateways.contains(gateway))),
        ("reply", wanted.reply == Reply::Auto || has.reply == wanted.reply),
        ("on-down", wanted.on_down.is_none() || has.on_down == wanted.on_down),
        ("table", wanted.table.is_none() || has.table == wanted.table),
        ("to", wanted.to.iter().all(|prefix| has.to.contains(prefix))),
    ];
    let lacking = has_it.into_iter().filter(|(_, has_it)| !has_it);
    lacking.map(|(key, _)| format!("`{key}` of the [[uplink]] for {}", wanted.selector)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn lacking(has: &str, wanted: &str) -> Vec<String> {
        let of = |text: &str| Config::parse(Path::new("test"), text).unwrap();
        of(has).lacking(&of(wanted))
    }

    const IMPORTED: &str = "bind-device = true\n\
        [[uplink]]\nname = \"eth1\"\ngateway = [\"10.0.1.1\"]\nto = [\"192.0.2.0/24\"]\n";

    #[test]
    fn a_configuration_has_what_it_says_itself_and_more() {
        assert_eq!(lacking(IMPORTED, IMPORTED), [""; 0]);
        let more = format!("gateway-probe = 5\n{IMPORTED}[[uplink]]\nname = \"eth2\"\n")
            .replace("\"10.0.1.1\"", "\"10.0.1.2\", \"10.0.1.1\"");
        assert_eq!(lacking(&more, IMPORTED), [""; 0]);
        assert_eq!(lacking(IMPORTED, ""), [""; 0]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert_eq!(lacking("", IMPORTED), ["bind-device = true", "an [[uplink]] for eth1"]);
        let other = IMPORTED.replace("10.0.1.1", "10.0.1.9").replace("192.0.2.0", "198.51.100.0");
        assert_eq!(
            lacking(&other, IMPORTED),
            ["`gateway` of the [[uplink]] for eth1", "`to` of the [[uplink]] for eth1"]
        );
    }

    #[test]
    fn who_only_observes_enforces_nothing() {
        let observes = format!("mode = \"observe\"\n{IMPORTED}");
        assert_eq!(lacking(&observes, IMPORTED), ["mode = \"enforce\""]);
    }
}
