//! Gateways of uplinks, as the configuration names them and as they are used.

use std::net::IpAddr;

use super::Host;
use crate::config::UplinkConfig;
use crate::state::discover::settings;
use crate::state::findings::{Finding, Kind, Severity};
use crate::state::observed::{Family, host_net};
use crate::state::uplink::{Discovered, Uplink};

const REMEDY: &str = "correct `gateway` in the configuration, then run `prroute reload`";

pub(super) fn findings(host: &Host<'_>) -> Vec<Finding> {
    host.uplinks.iter().flat_map(|uplink| of(host, uplink)).collect()
}

fn of(host: &Host<'_>, uplink: &Uplink) -> Vec<Finding> {
    let device = &uplink.device;
    let name = &device.name;
    let configured = host
        .observed
        .link(device.ifindex)
        .and_then(|link| settings(host.config, link))
        .map_or(&[][..], |settings: &UplinkConfig| &settings.gateways);
    let finding = |kind, gateway: &IpAddr, severity, what: String| Finding {
        severity,
        what: format!("{name}: {what}"),
        device: Some(name.clone()),
        remedy: (severity != Severity::Notice).then(|| REMEDY.to_owned()),
        ..Finding::about(kind, format_args!("{name}:{gateway}"))
    };
    let mut all = Vec::new();
    let is_own = |gateway: &IpAddr| {
        host.observed.addresses.iter().any(|address| address.net.addr() == *gateway)
    };
    for gateway in configured {
        if is_own(gateway) {
            let what = format!("the configured gateway {gateway} is an address of this host");
            all.push(finding(Kind::GatewayOwnAddress, gateway, Severity::Fault, what));
        } else if !is_reached(device, gateway) && !answers(host, device, gateway) {
            let what = format!(
                "the configured gateway {gateway} is in no subnet of {name}, and does not answer"
            );
            all.push(finding(Kind::GatewayOffSubnet, gateway, Severity::Fault, what));
        }
    }
    for family in Family::BOTH {
        let used = device.way_out[family].gateway;
        let mut usable = configured.iter().filter(|gateway| !is_own(gateway));
        let wanted = usable.find(|gateway| Family::of(gateway) == family);
        if let (Some(wanted), Some(used)) = (wanted, used)
            && *wanted != used
        {
            let what = format!(
                "the configured gateway {wanted} does not answer, and {used} is used instead of it"
            );
            all.push(finding(Kind::GatewayFallback, wanted, Severity::Warning, what));
        }
        let standby = |gateway: &&IpAddr| {
            Family::of(gateway) == family && Some(**gateway) != used && wanted.is_none()
        };
        let general = used.is_some() && !device.way_out[family].only_by_source;
        for gateway in device.gateways.iter().filter(standby).filter(|_| general) {
            let Some(used) = used.filter(|_| !serves_some(device, gateway)) else { continue };
            let what = format!("gateway {gateway} is used only where {used} does not answer");
            all.push(finding(Kind::GatewayStandby, gateway, Severity::Notice, what));
        }
    }
    let has_none = device.gateways.is_empty() && !device.way_out.iter().any(|way| way.direct);
    if device.up && has_none && !device.addresses.is_empty() {
        all.push(Finding {
            severity: Severity::Notice,
            what: format!(
                "{name}: no gateway is known: replies go to the router that their request came from"
            ),
            device: Some(name.clone()),
            remedy: Some(format!("name one by `gateway` in [[uplink]] name = \"{name}\"")),
            ..Finding::about(Kind::GatewayNone, name)
        });
    }
    all
}

/// It is the gateway of a subnet or of a source prefix.
fn serves_some(device: &Discovered, gateway: &IpAddr) -> bool {
    device.subnet_gateways.iter().any(|subnet| subnet.gateway == *gateway)
        || device.source_routes.iter().any(|route| route.gateway == Some(*gateway))
}

fn is_reached(device: &Discovered, gateway: &IpAddr) -> bool {
    let is_link_local = match gateway {
        IpAddr::V4(gateway) => gateway.is_link_local(),
        IpAddr::V6(gateway) => gateway.is_unicast_link_local(),
    };
    is_link_local || device.on_link.iter().any(|net| net.contains(&host_net(*gateway)))
}

/// Some providers' gateways are in no subnet, and answer all the same.
fn answers(host: &Host<'_>, device: &Discovered, gateway: &IpAddr) -> bool {
    let entry = host.observed.neighbour(device.ifindex, *gateway);
    entry.is_some_and(|entry| entry.state.has_address())
}

#[cfg(test)]
mod tests {
    use super::super::facts::Facts;
    use super::super::testing::{found_by, ids};
    use super::*;
    use crate::config::{Config, Pattern, Selector};
    use crate::state::fixture::{Host as Fixture, ip, two_networks};
    use crate::state::observed::NeighbourState;

    fn with(gateways: &[&str], host: &Fixture) -> Vec<Finding> {
        let gateways = gateways.iter().map(|gateway| ip(gateway)).collect();
        let eth1 = UplinkConfig::new(Selector::Name(Pattern::new("eth1")));
        let uplinks = vec![UplinkConfig { gateways, ..eth1 }];
        let config = Config { uplinks, ..Config::default() };
        found_by(findings, &config, host, &Facts::default())
    }

    #[test]
    fn a_healthy_host_has_none() {
        assert_eq!(with(&[], &two_networks()), []);
        assert_eq!(with(&["192.168.2.1", "fe80::2"], &two_networks()), []);
    }

    #[test]
    fn a_configured_gateway_that_cannot_be_one_is_named() {
        let host = two_networks().neighbour("eth1", "10.9.9.9", NeighbourState::Failed);
        assert_eq!(
            ids(&with(&["10.9.9.9"], &host)),
            ["gateway-off-subnet:eth1:10.9.9.9", "gateway-fallback:eth1:10.9.9.9"]
        );
        let host = two_networks().neighbour("eth1", "10.9.9.9", NeighbourState::Resolved);
        assert_eq!(with(&["10.9.9.9"], &host), []);
        let own = with(&["192.168.2.10"], &two_networks());
        assert_eq!(ids(&own), ["gateway-own-address:eth1:192.168.2.10"]);
    }

    #[test]
    fn one_that_another_stands_in_for_is_named() {
        let host = two_networks().neighbour("eth1", "192.168.2.9", NeighbourState::Failed);
        let found = with(&["192.168.2.9"], &host);
        assert_eq!(ids(&found), ["gateway-fallback:eth1:192.168.2.9"]);
        assert_eq!(
            found[0].what,
            "eth1: the configured gateway 192.168.2.9 does not answer, and 192.168.2.1 is used \
             instead of it"
        );
    }

    #[test]
    fn a_second_default_is_a_standby_and_none_at_all_is_said() {
        let host = two_networks().default("eth1", "192.168.2.2", 300);
        assert_eq!(ids(&with(&[], &host)), ["gateway-standby:eth1:192.168.2.2"]);
        let mut host = two_networks();
        let eth1 = host.ifindex("eth1");
        host.0.routes.retain(|route| !route.next_hops.iter().any(|hop| hop.ifindex == eth1));
        assert_eq!(ids(&with(&[], &host)), ["gateway-none:eth1"]);
    }
}
