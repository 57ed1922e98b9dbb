//! Uplinks that carry no replies, and gateways that do not answer or are gone.

use std::net::IpAddr;

use crate::examine::Examination;
use crate::examine::answers::Answer;
use crate::state::findings::{Finding, Kind, Severity, word};
use crate::state::lost_gateways::LostGateway;
use crate::state::observed::{Family, Link, Observed};
use crate::state::uplink::{Discovered, Uplink};

pub(super) fn findings(examined: &Examination) -> Vec<Finding> {
    let outlook = &examined.outlook;
    let of = |uplink: &Uplink| {
        let device = &uplink.device;
        of(device, outlook.observed.link(device.ifindex), &examined.answers(device))
    };
    let mut all: Vec<Finding> = outlook.uplinks.iter().flat_map(of).collect();
    let lost = examined.lost_gateways().into_iter();
    for finding in lost.filter_map(|lost| of_lost(&outlook.observed, &lost)) {
        if !all.iter().any(|known| known.id == finding.id) {
            all.push(finding);
        }
    }
    all
}

/// A link that is set down loses its routes, and may be no uplink without them.
fn of_lost(observed: &Observed, lost: &LostGateway) -> Option<Finding> {
    let link = observed.link(lost.ifindex)?;
    if !(link.admin_up && link.carrier) {
        return Some(without_carrier(&link.name, !link.admin_up));
    }
    let mut addresses = observed.addresses_on(lost.ifindex).filter(|it| it.scope_global);
    let on_link = observed.addresses_on(lost.ifindex).any(|it| it.net.contains(&lost.gateway));
    addresses
        .any(|it| Family::of_net(&it.net) == lost.family)
        .then(|| gone(&link.name, lost, on_link))
}

fn without_carrier(name: &str, is_set_down: bool) -> Finding {
    let (what, fix) = match is_set_down {
        true => ("is set down", Some(format!("ip link set {} up", word(name)))),
        false => ("has no carrier: look at the cable and the switch", None),
    };
    Finding {
        severity: Severity::Fault,
        what: format!("{name} {what}"),
        device: Some(name.to_owned()),
        fix,
        ..Finding::about(Kind::Carrier, name)
    }
}

fn of(device: &Discovered, link: Option<&Link>, answers: &[Answer]) -> Vec<Finding> {
    let name = &device.name;
    let mut all: Vec<Finding> = device
        .undecided
        .iter()
        .map(|what| Finding {
            what: what.clone(),
            device: Some(name.clone()),
            ..Finding::about(Kind::GatewayUndecided, name)
        })
        .collect();
    if !device.up {
        all.push(without_carrier(name, link.is_some_and(|link| !link.admin_up)));
        return all;
    }
    for Answer { gateway, .. } in answers.iter().filter(|answer| answer.silent) {
        let family = Family::of(gateway);
        let another = answers.iter().find(|it| !it.silent && Family::of(&it.gateway) == family);
        // Another one carries the replies meanwhile.
        let (severity, rest) = match another {
            Some(another) => (Severity::Warning, format!(" ({} does)", another.gateway)),
            None => (Severity::Fault, String::new()),
        };
        all.push(Finding {
            severity,
            what: format!("{name}: gateway {gateway} does not answer{rest}"),
            remedy: Some("look at the router, and at the way to it".to_owned()),
            device: Some(name.clone()),
            fix: Some(format!("ping -c 3 -I {} {gateway}", word(name))),
            ..Finding::about(Kind::GatewaySilent, format_args!("{name}:{gateway}"))
        });
    }
    all
}

/// So high that another default route stays the preferred one.
const METRIC: u32 = 4096;

fn gone(name: &str, LostGateway { family, gateway, .. }: &LostGateway, on_link: bool) -> Finding {
    let is_link_local = matches!(gateway, IpAddr::V6(gateway) if gateway.is_unicast_link_local());
    let onlink = if on_link || is_link_local { "" } else { " onlink" };
    let via = match (family, gateway.is_ipv6()) {
        (Family::V4, false) => format!("ip route add default via {gateway}"),
        (Family::V4, true) => format!("ip route add default via inet6 {gateway}"),
        (Family::V6, _) => format!("ip -6 route add default via {gateway}"),
    };
    Finding {
        what: format!("{name} had the gateway {gateway}, and has no default route any more"),
        remedy: Some("put the route back".to_owned()),
        device: Some(name.to_owned()),
        fix: Some(format!("{via} dev {}{onlink} metric {METRIC}", word(name))),
        ..Finding::about(Kind::GatewayGone, format_args!("{name}:{gateway}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::{ip, two_networks};

    fn device() -> Discovered {
        two_networks().uplinks().remove(0).device
    }

    fn answer(gateway: &str, silent: bool) -> Answer {
        Answer { gateway: ip(gateway), only_for: None, silent, silence: None, age: None }
    }

    #[test]
    fn a_silent_gateway_is_a_fault_unless_another_one_answers() {
        let alone = of(&device(), None, &[answer("10.0.0.1", true), answer("fd00::1", false)]);
        assert_eq!(alone[0].severity, Severity::Fault);
        let both = of(&device(), None, &[answer("10.0.0.1", true), answer("10.0.0.2", false)]);
        assert_eq!(both[0].severity, Severity::Warning);
        assert!(both[0].what.contains("(10.0.0.2 does)"), "{}", both[0]);
        assert_eq!(of(&device(), None, &[answer("10.0.0.1", false)]), []);
    }

    #[test]
    fn a_link_without_carrier_is_told_from_one_that_is_set_down() {
        let host = two_networks();
        let device = Discovered { up: false, ..device() };
        let mut link = host.0.link(device.ifindex).unwrap().clone();
        (link.admin_up, link.carrier) = (true, false);
        let pulled = of(&device, Some(&link), &[answer("10.0.0.1", true)]);
        assert!(pulled.len() == 1 && pulled[0].what.contains("no carrier"), "{pulled:?}");
        link.admin_up = false;
        let fix = of(&device, Some(&link), &[])[0].fix.clone().unwrap();
        assert_eq!(fix, format!("ip link set {} up", device.name));
    }
}
