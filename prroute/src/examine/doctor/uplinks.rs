//! Which interfaces are uplinks, which are none although they could be, and which are although they
//! should not.

use std::collections::BTreeSet;

use super::Host;
use crate::config::Config;
use crate::state::discover::{self, NO_ADDRESS, Unfit, discover, is_notable, names, settings};
use crate::state::findings::{Finding, Kind, Severity, word};
use crate::state::gateways::Health;
use crate::state::gateways::choose::has_default_route;
use crate::state::observed::Link;
use crate::state::uplink::{Ifindex, Skipped};

pub(super) fn findings(host: &Host<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    all.extend(too_few(host));
    let would_be = uplinks_without_exclusion(host);
    for skipped in host.skipped {
        let Some(link) = host.observed.link(skipped.ifindex) else { continue };
        if host.config.excluded(&names(link)).is_some() {
            all.extend(excluded(host, link, skipped, would_be.contains(&link.ifindex)));
        } else if skipped.reason == NO_ADDRESS && host.known.contains(&link.name) {
            all.push(address_missing(&link.name, "was an uplink, and has no address any more"));
        } else if is_notable(host.config, host.observed, skipped) && unfit(host, link).is_none() {
            all.push(candidate(host, link, skipped));
        }
    }
    // Named ones are uplinks all the same.
    for device in host.uplinks.iter().map(|uplink| &uplink.device) {
        let is_port = host.observed.link(device.ifindex).is_some_and(|link| link.master.is_some());
        if device.up && device.addresses.is_empty() && !is_port {
            all.push(address_missing(
                &device.name,
                "is an uplink by its [[uplink]], and has no address",
            ));
        }
    }
    all.extend(host.observed.links.iter().filter_map(|link| unfit(host, link)));
    all
}

fn too_few(host: &Host<'_>) -> Option<Finding> {
    let names: Vec<&str> = host.uplinks.iter().map(|uplink| uplink.device.name.as_str()).collect();
    let found = match names[..] {
        [] => "this host has no uplink".to_owned(),
        [name] => format!("this host has one uplink, {name}"),
        _ => return None,
    };
    let severity = match host.facts.before_installation {
        true => Severity::Notice,
        false => Severity::Warning,
    };
    Some(Finding {
        severity,
        what: format!("{found}: with fewer than two prroute has nothing to do"),
        ..Finding::single(Kind::FewUplinks)
    })
}

/// Those that `exclude` alone keeps from being uplinks are among them.
fn uplinks_without_exclusion(host: &Host<'_>) -> BTreeSet<Ifindex> {
    let config = Config { exclude: Vec::new(), ..host.config.clone() };
    let (found, _) = discover(&config, host.observed, &Health::default());
    found.into_iter().map(|device| device.ifindex).collect()
}

fn excluded(host: &Host<'_>, link: &Link, skipped: &Skipped, would_be: bool) -> Option<Finding> {
    let name = &link.name;
    let is_named = settings(host.config, link).is_some();
    let is_routed = has_default_route(host.config.ranges, host.observed, link.ifindex);
    let (severity, why) = match (is_named, would_be && is_routed, would_be) {
        (true, ..) => (Severity::Warning, ", although an [[uplink]] names it"),
        (false, true, _) => (Severity::Warning, ", and has a default route and an address"),
        (false, false, true) => (Severity::Notice, ""),
        (false, false, false) => return None,
    };
    Some(Finding {
        severity,
        what: format!(
            "{name} is {}{why}: replies to what comes in there go elsewhere",
            skipped.reason
        ),
        device: Some(name.clone()),
        remedy: Some(
            "if that is not meant, take it out of `exclude`, then run `prroute reload`".to_owned(),
        ),
        ..Finding::about(Kind::UplinkExcluded, name)
    })
}

fn address_missing(name: &str, what: &str) -> Finding {
    Finding {
        what: format!("{name} {what}"),
        device: Some(name.to_owned()),
        remedy: Some(format!("give it one: ip address add ADDRESS/LENGTH dev {}", word(name))),
        ..Finding::about(Kind::AddressMissing, name)
    }
}

fn candidate(host: &Host<'_>, link: &Link, skipped: &Skipped) -> Finding {
    let name = &link.name;
    let is_routed = has_default_route(host.config.ranges, host.observed, link.ifindex);
    let remedy = match link.link_layer.is_known() {
        true => {
            format!("[[uplink]] name = \"{name}\" makes it one, `exclude` says that it is none")
        }
        false => format!("it cannot be one; exclude = [\"{name}\"] says that this is known"),
    };
    Finding {
        severity: if is_routed { Severity::Warning } else { Severity::Notice },
        what: format!("{name} is no uplink: {}", skipped.reason),
        device: Some(name.clone()),
        remedy: Some(remedy),
        ..Finding::about(Kind::UplinkCandidate, name)
    }
}

/// Named by an `[[uplink]]`, and nothing that leads anywhere.
fn unfit(host: &Host<'_>, link: &Link) -> Option<Finding> {
    let entry = settings(host.config, link)?;
    if host.config.excluded(&names(link)).is_some() {
        return None;
    }
    let name = &link.name;
    let is_exact = entry.selector.is_exact();
    let why = match discover::unfit(host.config, host.observed, link, is_exact)? {
        Unfit::Loopback => "is the loopback interface, which is never an uplink".to_owned(),
        Unfit::LinkLayer(link_layer) => {
            format!("has another link layer than Ethernet ({link_layer}), and is never an uplink")
        }
        Unfit::PortOf(Link { name, .. }) => {
            format!("is a port of {name}: its packets come in on that, name {name} instead")
        }
        Unfit::Inner => "is a bridge without a physical port: what comes in there comes from this \
                         host's own containers or guests"
            .to_owned(),
    };
    Some(Finding {
        what: format!("[[uplink]] names {name}, which {why}"),
        device: Some(name.clone()),
        remedy: Some("take it out of the configuration, then run `prroute reload`".to_owned()),
        ..Finding::about(Kind::UplinkUnfit, name)
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::Facts;
    use super::super::testing::{found_by, ids};
    use super::*;
    use crate::config::{Pattern, Selector, UplinkConfig};
    use crate::state::fixture::{Host as Fixture, two_networks};
    use crate::state::observed::LinkLayer;

    fn with(config: &Config, host: &Fixture) -> Vec<(String, Severity)> {
        let found = found_by(findings, config, host, &Facts::default());
        ids(&found).into_iter().map(str::to_owned).zip(found.iter().map(|f| f.severity)).collect()
    }

    fn naming(name: &str) -> Config {
        let uplinks = vec![UplinkConfig::new(Selector::Name(Pattern::new(name)))];
        Config { uplinks, ..Config::default() }
    }

    fn is(id: &str, severity: Severity) -> (String, Severity) {
        (id.to_owned(), severity)
    }

    #[test]
    fn a_healthy_host_has_none() {
        assert_eq!(with(&Config::default(), &two_networks()), []);
        let host =
            two_networks().link("docker0", Some("bridge")).address("docker0", "172.17.0.1/16");
        assert_eq!(with(&Config::default(), &host), []);
    }

    #[test]
    fn an_excluded_uplink_is_named_by_how_likely_it_is_a_mistake() {
        let exclude = vec![Pattern::new("eth1")];
        let config = Config { exclude: exclude.clone(), ..Config::default() };
        assert_eq!(
            with(&config, &two_networks()),
            [is("few-uplinks", Severity::Warning), is("uplink-excluded:eth1", Severity::Warning)]
        );
        let host = two_networks().nic("eth2").address("eth2", "10.3.0.1/24");
        let config = Config { exclude: vec![Pattern::new("eth2")], ..Config::default() };
        assert_eq!(with(&config, &host), [is("uplink-excluded:eth2", Severity::Notice)]);
        let config = Config { exclude: vec![Pattern::new("wlan*")], ..Config::default() };
        assert_eq!(with(&config, &two_networks()), []);
    }

    #[test]
    fn a_candidate_that_nobody_named_is() {
        let host = two_networks().nic("eth2");
        assert_eq!(
            with(&Config::default(), &host),
            [is("uplink-candidate:eth2", Severity::Notice)]
        );
        let host = two_networks().link("tun0", Some("tun")).default("tun0", "10.8.0.1", 50);
        assert_eq!(
            with(&Config::default(), &host),
            [is("uplink-candidate:tun0", Severity::Warning)]
        );
    }

    /// Who is told to name it names it in vain.
    #[test]
    fn what_can_be_no_uplink_is_not_said_to_become_one() {
        let host = two_networks()
            .nic("ib0")
            .change("ib0", |link| link.link_layer = LinkLayer::Other(32))
            .address("ib0", "203.0.113.2/24");
        let found = found_by(findings, &Config::default(), &host, &Facts::default());
        assert_eq!(ids(&found), ["uplink-candidate:ib0"]);
        let remedy = found[0].remedy.as_deref().unwrap();
        assert!(remedy.contains("exclude") && !remedy.contains("[[uplink]]"), "{remedy}");
        assert_eq!(with(&naming("ib0"), &host), [is("uplink-unfit:ib0", Severity::Warning)]);
        assert_eq!(with(&naming("ib*"), &host), [is("uplink-candidate:ib0", Severity::Notice)]);
    }

    #[test]
    fn an_uplink_without_its_addresses_is_named() {
        let mut host = two_networks();
        let eth1 = host.ifindex("eth1");
        host.0.addresses.retain(|address| address.ifindex != eth1);
        let found = with(&Config::default(), &host);
        assert!(found.contains(&is("address-missing:eth1", Severity::Warning)), "{found:?}");
        let found = with(&naming("eth1"), &host);
        assert_eq!(found, [is("address-missing:eth1", Severity::Warning)]);
    }

    #[test]
    fn what_leads_nowhere_is_no_uplink() {
        let docker = || {
            two_networks()
                .link("docker0", Some("bridge"))
                .address("docker0", "172.17.0.1/16")
                .link("veth1", Some("veth"))
                .port("veth1", "docker0")
        };
        for name in ["docker0", "veth1", "lo"] {
            let id = format!("uplink-unfit:{name}");
            assert_eq!(with(&naming(name), &docker()), [is(&id, Severity::Warning)]);
        }
        assert_eq!(with(&naming("eth1"), &docker()), []);
    }
}
