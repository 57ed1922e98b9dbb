//! Before prroute runs: replies that leave by another uplink than their requests came in on.

use super::Host;
use super::facts::Way;
use crate::examine::evidence;
use crate::state::findings::{Finding, Kind, Severity};
use crate::state::observed::Family;
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
    // The kernel was asked without a mark.
    let family = Family::of(&first.from);
    let by_mark = host.observed.foreign_rules_by_mark().find(|rule| rule.family == family);
    let answered = match (where_to(first), by_mark) {
        (Some(other), None) => format!("are answered over {other}: asymmetric"),
        (None, None) => "are not answered, for want of a route".to_owned(),
        (Some(other), Some(_)) => {
            format!(
                "are answered over {other}, unless their replies have a mark that rules look at"
            )
        }
        (None, Some(_)) => "have no route for replies without a mark that rules look at".to_owned(),
    };
    let asked = astray.iter().map(|way| {
        let device = where_to(way).unwrap_or_else(|| "unreachable".to_owned());
        format!("ip route get {} from {}: dev {device}", way.to, way.from)
    });
    let mut evidence = evidence::first(SHOWN, asked);
    if let Some(rule) = by_mark {
        evidence.push(format!("ip rule: {rule}"));
    }
    let plan = "`prroute plan` shows what prroute would change";
    let (severity, remedy, fix) = match (is_routed(first), by_mark) {
        (true, None) => (Severity::Fault, plan.to_owned(), Some(host.start)),
        (false, None) => (Severity::Notice, plan.to_owned(), Some(host.start)),
        (is_routed, Some(_)) => {
            let severity = if is_routed { Severity::Warning } else { Severity::Notice };
            let remedy = format!("`prroute import` says what replaces rules by marks, {plan}");
            (severity, remedy, None)
        }
    };
    Some(Finding {
        severity,
        what: format!("requests to {} on {name} {answered}", first.from),
        device: Some(name.clone()),
        evidence,
        remedy: Some(remedy),
        fix: fix.map(str::to_owned),
        ..Finding::about(Kind::Asymmetric, name)
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::Facts;
    use super::super::testing::{START, found_by, ids};
    use super::*;
    use crate::config::Config;
    use crate::state::fixture::{Host as Fixture, ip, two_networks};
    use crate::state::observed::{Mark, Rule};

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
        assert_eq!(finding.fix.as_deref(), Some(START), "of this instance");
    }

    /// What marks replies sends them where nobody sees it who asks without a mark.
    #[test]
    fn where_rules_of_others_look_at_marks_it_is_no_fault() {
        let by_mark = |family| {
            let mut host = two_networks();
            let mark = Some(Mark { value: 2, mask: u32::MAX });
            host.0.rules.push(Rule { mark, table: 102, protocol: 3, ..Rule::nop(family, 99) });
            host
        };
        let found = |host: &Fixture| {
            found_by(findings, &Config::default(), host, &all_over(host, "eth0")).swap_remove(0)
        };
        let finding = found(&by_mark(Family::V4));
        assert_eq!((finding.severity, &finding.fix), (Severity::Warning, &None));
        let unless = "over eth0, unless their replies have a mark that rules look at";
        assert!(finding.what.ends_with(unless), "{finding:?}");
        let rule = "ip rule: priority 99 from all fwmark 0x2 lookup 102";
        assert!(finding.evidence.iter().any(|it| it.starts_with(rule)), "{finding:?}");
        assert_eq!(found(&by_mark(Family::V6)).severity, Severity::Fault, "no rule of this family");
    }

    #[test]
    fn what_prroute_manages_is_not_asked() {
        let host = two_networks();
        let facts = Facts { before_installation: false, ..all_over(&host, "eth0") };
        assert_eq!(found_by(findings, &Config::default(), &host, &facts), []);
    }
}
