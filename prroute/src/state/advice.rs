//! What an administrator may not have meant, seen from this host.

mod entries;
mod few;

use super::desired::desire;
use super::diff::{Collision, diff};
use super::discover::{discover, names};
use super::families::Families;
use super::findings::{Finding, findings};
use super::ids::allocate;
use super::observed::{Link, Observed};
use super::own_source::accounts;
use crate::config::{Config, OwnSource};
use crate::state::gateways::Health;
use crate::state::saved_sysctls::SavedSysctls;

/// What a look at the kernel says about a configuration.
#[derive(Debug, Default)]
pub struct Advice {
    /// Where the configuration has no effect, or an unlikely one.
    pub warnings: Vec<String>,
    /// What of others would keep prroute from its work.
    pub findings: Vec<Finding>,
    /// Objects of others in the configured ranges.
    pub conflict: Option<Collision>,
}

/// Compares a configuration with what the kernel has.
pub fn advise(config: &Config, observed: &Observed) -> Advice {
    let (found, _) = discover(config, observed, &Health::default());
    let uplinks = allocate(&[], found);
    let mut warnings = Vec::new();
    for entry in &config.uplinks {
        warnings.extend(entries::about(config, observed, entry));
    }
    warnings.extend(entries::named_twice(config, observed));
    warnings.extend(few::too_few(config, observed, &uplinks));
    for pattern in &config.exclude {
        let matches = |link: &Link| names(link).iter().any(|name| pattern.matches(name));
        if !observed.links.iter().any(matches) {
            warnings.push(format!("exclude \"{pattern}\" matches no interface"));
        }
    }
    let undecided = uplinks.iter().flat_map(|uplink| uplink.device.undecided.iter().cloned());
    warnings.extend(undecided);
    let desired = desire(config, observed, &uplinks, &SavedSysctls::default());
    if config.own_source == OwnSource::Datapath && uplinks.len() > 1 {
        let accounts = accounts(config, observed, &uplinks, &desired.rules, Families::default());
        for account in &accounts {
            if account.kept_by == OwnSource::Rules {
                warnings.push(account.to_string());
            }
            warnings.extend(account.cost());
        }
    }
    let conflict = diff(config, &desired, observed).err();
    let findings = findings(config, observed, &uplinks, &desired);
    Advice { warnings, findings, conflict }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::two_networks;
    use super::*;
    use crate::config::{Pattern, Selector, UplinkConfig};

    fn named(name: &str) -> UplinkConfig {
        UplinkConfig::new(Selector::Name(Pattern::new(name)))
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let gateways = ["192.168.2.254", "10.9.9.9", "fe80::9"].map(|g| g.parse().unwrap());
        let config = Config {
            exclude: vec![Pattern::new("wlan*"), Pattern::new("eth0")],
            uplinks: vec![
                named("eth0"),
                UplinkConfig { gateways: gateways.into(), ..named("eth1") },
                named("eth7"),
                UplinkConfig::new(Selector::Mac([2, 0, 0, 0, 0, 0x77])),
            ],
            ..Config::default()
        };
        let advice = advise(&config, &two_networks().0);
        assert_eq!(
            advice.warnings,
            [
                "[[uplink]] eth0: eth0 is excluded by \"eth0\"",
                "[[uplink]] eth1: gateway 10.9.9.9 is in no subnet of eth1; prroute expects it on \
                 the link all the same",
                "[[uplink]] eth7 has no effect: no interface matches it, or a more important entry \
                 matches the same ones",
                "[[uplink]] 02:00:00:00:00:77 has no effect: no interface matches it, or a more \
                 important entry matches the same ones",
                "exclude leaves eth1 alone of eth0 and eth1: prroute changes nothing until there \
                 are two uplinks",
                "exclude \"wlan*\" matches no interface",
            ]
        );
        assert!(advice.conflict.is_none());
    }

    #[test]
    fn gateways_that_cannot_be_told_apart_are_said() {
        let host =
            two_networks().address("eth1", "192.168.2.11/16").default("eth1", "192.168.9.1", 200);
        assert_eq!(
            advise(&Config::default(), &host.0).warnings,
            [
                "eth1: the subnets 192.168.0.0/16 and 192.168.2.0/24 overlap: gateway 192.168.9.1 is \
              not used"
            ]
        );
    }

    #[test]
    fn objects_of_others_in_the_ranges_are_a_conflict() {
        let host = two_networks().rule(21_500, "10.9.9.9/32", 77);
        assert!(advise(&Config::default(), &host.0).conflict.is_some());
        let elsewhere = crate::config::Ranges { rule_priority: 5000, table: 5000 };
        let config = Config { ranges: elsewhere, ..Config::default() };
        assert!(advise(&config, &host.0).conflict.is_none());
    }

    #[test]
    fn rules_in_spite_of_the_option_are_said_with_what_they_cost() {
        let to = vec!["1.1.1.1/32".parse().unwrap()];
        let config = Config {
            own_source: OwnSource::Datapath,
            uplinks: vec![UplinkConfig { to, ..named("eth1") }],
            ..Config::default()
        };
        let mut host = two_networks();
        host.0.routes.retain(|route| !(route.is_default() && route.destination.addr().is_ipv6()));
        let warnings = advise(&config, &host.0).warnings;
        let [v4, v6, cost6] = &warnings[..] else { panic!("{warnings:#?}") };
        assert!(v4.starts_with("IPv4: the kernel walks all rules "), "{v4}");
        assert!(v4.ends_with(": prroute's for `to`"), "{v4}");
        assert_eq!(v6, "own-source, IPv6: rules, because main has no default route that works");
        assert!(cost6.starts_with("IPv6: the kernel walks all rules "), "{cost6}");
        let config = Config { own_source: OwnSource::Datapath, ..Config::default() };
        assert_eq!(advise(&config, &two_networks().0).warnings, [""; 0]);
    }
}
