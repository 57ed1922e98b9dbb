//! Before prroute runs: replies that leave by another uplink than their requests came in on.

use super::Host;
use super::facts::Way;
use crate::examine::evidence;
use crate::state::findings::{Finding, Kind, Severity};
use crate::state::uplink::Uplink;

/// So many addresses are shown.
const SHOWN: usize = 5;

pub(super) fn findings(host: &Host<'_>) -> Vec<Finding> {
    if !host.facts.before_installation || host.uplinks.len() < 2 {
        return Vec::new();
    }
    host.uplinks.iter().filter_map(|uplink| finding(host, uplink)).collect()
}

fn finding(host: &Host<'_>, uplink: &Uplink) -> Option<Finding> {
    let device = &uplink.device;
    let name = &device.name;
    let mut astray: Vec<&Way> = Vec::new();
    for net in device.addresses.iter().filter(|_| device.up) {
        let of_address = |way: &&Way| way.from == net.addr();
        let Some(way) = host.facts.ways.iter().find(of_address) else { continue };
        if !way.device.is_some_and(|found| device.is_device(found)) {
            astray.push(way);
        }
    }
    // One of a family without a gateway may have clients on its own subnets only.
    let is_routed =
        |way: &&Way| device.gateways.iter().any(|gateway| gateway.is_ipv4() == way.from.is_ipv4());
    astray.sort_by_key(|way| !is_routed(way));
    let first = astray.first()?;
    let where_to = |way: &Way| {
        let link = way.device.and_then(|found| host.observed.link(found));
        link.map(|link| link.name.clone())
    };
    let answered = match where_to(first) {
        Some(other) => format!("are answered over {other}: asymmetric"),
        None => "are not answered, for want of a route".to_owned(),
    };
    let asked = astray.iter().map(|way| {
        let device = where_to(way).unwrap_or_else(|| "unreachable".to_owned());
        format!("ip route get {} from {}: dev {device}", way.to, way.from)
    });
    let evidence = evidence::first(SHOWN, asked);
    let severity = if is_routed(first) { Severity::Fault } else { Severity::Notice };
    Some(Finding {
        severity,
        what: format!("requests to {} on {name} {answered}", first.from),
        device: Some(name.clone()),
        evidence,
        remedy: Some("`prroute plan` shows what prroute would change".to_owned()),
        fix: Some("systemctl enable --now prroute".to_owned()),
        ..Finding::about(Kind::Asymmetric, name)
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::Facts;
    use super::super::testing::{found_by, ids};
    use super::*;
    use crate::config::Config;
    use crate::state::fixture::{Host as Fixture, ip, two_networks};

    /// All that the host sends leaves by `device`.
    fn all_over(host: &Fixture, device: &str) -> Facts {
        let device = Some(host.ifindex(device));
        let addresses = ["192.168.1.10", "192.168.2.10"];
        let ways = addresses.map(|from| Way { from: ip(from), to: ip("203.0.113.7"), device });
        Facts { before_installation: true, ways: ways.into(), ..Facts::default() }
    }

    #[test]
    fn an_uplink_that_is_answered_over_another_is_named() {
        let host = two_networks();
        let found = found_by(findings, &Config::default(), &host, &all_over(&host, "eth0"));
        assert_eq!(ids(&found), ["asymmetric:eth1"]);
        let [finding] = &found[..] else { panic!() };
        assert_eq!(finding.severity, Severity::Fault);
        assert_eq!(
            finding.what,
            "requests to 192.168.2.10 on eth1 are answered over eth0: asymmetric"
        );
        assert_eq!(finding.evidence, ["ip route get 203.0.113.7 from 192.168.2.10: dev eth0"]);
    }

    #[test]
    fn what_prroute_manages_is_not_asked() {
        let host = two_networks();
        let facts = Facts { before_installation: false, ..all_over(&host, "eth0") };
        assert_eq!(found_by(findings, &Config::default(), &host, &facts), []);
    }
}
