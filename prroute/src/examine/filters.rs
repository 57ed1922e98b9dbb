//! Strict reverse-path filtering of uplinks: set back by another after prroute made it loose, or left so by
//! the configuration.

use crate::config::{Config, RpFilter};
use crate::examine::Examination;
use crate::state::findings::{Finding, Kind, Severity, word};
use crate::state::observed::{Link, Observed, RP_FILTER_STRICT};
use crate::state::uplink::Uplink;
use crate::sysctl::netstat;

pub(super) fn findings(examined: &Examination) -> Vec<Finding> {
    let outlook = &examined.outlook;
    let strict = strict(&outlook.observed, &outlook.uplinks);
    let dropped = match strict.is_empty() {
        true => None,
        false => netstat("IPReversePathFilter"),
    };
    let config = &examined.configuration.config;
    let is_set_back = |link| examined.sysctls.applied(link).is_some();
    strict.into_iter().map(|link| finding(config, link, is_set_back(link), dropped)).collect()
}

/// Uplinks of several that filter strictly: the greater one of the value of all and its own counts.
fn strict<'a>(observed: &'a Observed, uplinks: &[Uplink]) -> Vec<&'a Link> {
    if uplinks.len() < 2 {
        return Vec::new();
    }
    let all = observed.rp_filter_all.unwrap_or(0);
    let is_strict =
        |link: &&Link| link.rp_filter.is_some_and(|value| all.max(value) == RP_FILTER_STRICT);
    let devices = uplinks.iter().flat_map(|uplink| uplink.device.devices());
    devices.filter_map(|ifindex| observed.link(ifindex)).filter(is_strict).collect()
}

/// `is_set_back`: prroute had made it loose.
fn finding(config: &Config, link: &Link, is_set_back: bool, dropped: Option<u64>) -> Finding {
    let name = &link.name;
    let (severity, why) = match (config.rp_filter, is_set_back) {
        _ if config.observes() => {
            (Severity::Notice, ", and prroute, which only observes, leaves it so")
        }
        (RpFilter::Loosen, true) => (
            Severity::Fault,
            " again (another program set it back, or somebody on purpose; prroute leaves it so)",
        ),
        (RpFilter::Enforce, true) => (
            Severity::Fault,
            " again (another program set it back; `rp-filter = \"enforce\"` makes it loose soon)",
        ),
        (RpFilter::Loosen | RpFilter::Enforce, false) => (Severity::Fault, ""),
        (RpFilter::Leave, _) => {
            (Severity::Warning, ", and `rp-filter = \"leave\"` in the configuration leaves it so")
        }
    };
    let dropped_so = match config.observes() {
        true => "are dropped before a reply could be observed",
        false => "are dropped",
    };
    let counted = dropped.map(|count| {
        format!("{count} packets were dropped by such filters since boot (IPReversePathFilter)")
    });
    Finding {
        severity,
        what: format!(
            "{name}: rp_filter is strict{why}: requests that routing would not answer over {name} \
             {dropped_so}"
        ),
        device: Some(name.clone()),
        evidence: counted.into_iter().collect(),
        // It would change what is observed.
        fix: (!config.observes())
            .then(|| format!("sysctl -w net/ipv4/conf/{}/rp_filter=2", word(name))),
        ..Finding::about(Kind::RpFilter, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mode;
    use crate::state::fixture::two_networks;

    #[test]
    fn a_strict_filter_is_named_with_what_it_dropped() {
        let host = two_networks().change("eth1", |link| link.rp_filter = Some(1));
        let strict = strict(&host.0, &host.uplinks());
        let [link] = strict[..] else { panic!("{strict:?}") };
        let config = Config::default();
        let found = finding(&config, link, true, Some(312));
        assert_eq!((found.id.as_str(), found.severity), ("rp-filter:eth1", Severity::Fault));
        assert_eq!(found.fix.as_deref(), Some("sysctl -w net/ipv4/conf/eth1/rp_filter=2"));
        assert!(found.evidence[0].starts_with("312 packets"), "{found:?}");
        assert!(found.what.contains("strict again (another program set it back"), "{found:?}");
        let never_loose = finding(&config, link, false, None);
        assert!(never_loose.what.starts_with("eth1: rp_filter is strict: requests"));
        let leave = Config { rp_filter: RpFilter::Leave, ..Config::default() };
        assert_eq!(finding(&leave, link, false, None).severity, Severity::Warning);
        let observe = Config { mode: Mode::Observe, ..Config::default() };
        let found = finding(&observe, link, false, None);
        assert_eq!((found.severity, &found.fix), (Severity::Notice, &None));
        assert!(found.what.ends_with("before a reply could be observed"), "{found}");
    }

    #[test]
    fn the_greater_one_of_all_and_the_interface_counts() {
        for (value, all, count) in [(2, 0, 0), (1, 2, 0), (0, 0, 0), (0, 1, 2), (2, 1, 1)] {
            let mut host = two_networks().change("eth1", |link| link.rp_filter = Some(value));
            host.0.rp_filter_all = Some(all);
            assert_eq!(strict(&host.0, &host.uplinks()).len(), count, "{value}, {all}");
        }
    }
}
