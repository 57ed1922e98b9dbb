//! Ways out that are no uplinks, where the datapath keeps own sources: what leaves there meets no
//! program, and no rule of ours stands before it.

use super::owner::owner;
use super::{Finding, Kind, Severity};
use crate::config::{Config, PRIORITY_MAIN};
use crate::state::catch_all::catch_alls;
use crate::state::observed::{Family, Observed, Route, RouteKind, TABLE_MAIN, host_net};
use crate::state::own_source::OwnSources;
use crate::state::uplink::Uplink;

const REMEDY: &str = "with own-source = \"rules\" they leave by the uplink of their address";

pub(super) fn findings(
    config: &Config,
    observed: &Observed,
    uplinks: &[Uplink],
    own_source: OwnSources,
) -> Vec<Finding> {
    let mut all: Vec<Finding> = Vec::new();
    for family in Family::BOTH.into_iter().filter(|family| own_source.is_datapath(*family)) {
        let addresses = uplinks.iter().flat_map(|uplink| &uplink.device.addresses);
        let sources: Vec<_> = addresses
            .map(|net| host_net(net.addr()))
            .filter(|net| Family::of_net(net) == family)
            .collect();
        for rule in catch_alls(config.ranges, observed, family, &sources) {
            let is_behind_main = rule.priority >= PRIORITY_MAIN;
            if is_behind_main || rule.table == TABLE_MAIN || rule.goto.is_some() {
                continue;
            }
            let way = match rule.refusal {
                Some(_) => "refuses".to_owned(),
                None => match elsewhere(observed, uplinks, family, rule.table) {
                    Some(device) => format!("sends to {device} (no uplink)"),
                    None => continue,
                },
            };
            all.push(Finding {
                severity: Severity::Warning,
                what: format!(
                    "{family}: rule {rule} {way} packets with an uplink's address, replies too"
                ),
                owner: owner(rule).map(str::to_owned),
                remedy: Some(REMEDY.to_owned()),
                ..Finding::about(Kind::OwnSource, format_args!("{family}:rule-{}", rule.priority))
            });
        }
        if let Some(device) = elsewhere(observed, uplinks, family, TABLE_MAIN) {
            all.push(Finding {
                severity: Severity::Warning,
                what: format!(
                    "{family}: a default route of main leads over {device}, which is no uplink: \
                     packets with an uplink's address, replies too, leave there without meeting \
                     prroute's programs"
                ),
                owner: None,
                remedy: Some(REMEDY.to_owned()),
                ..Finding::about(Kind::OwnSource, format_args!("{family}:main"))
            });
        }
    }
    all
}

/// A device that is no uplink, and that a default route of the table leads to which is in use.
fn elsewhere<'a>(
    observed: &'a Observed,
    uplinks: &[Uplink],
    family: Family,
    table: u32,
) -> Option<&'a str> {
    let defaults = || {
        observed.routes.iter().filter(move |route| {
            route.table == table && route.family() == family && route.is_default()
        })
    };
    let is_in_use = |route: &&Route| {
        let same = defaults().filter(|other| other.destination == route.destination);
        route.kind == RouteKind::Unicast && same.map(Route::rank).min() == Some(route.rank())
    };
    let mut hops = defaults().filter(is_in_use).flat_map(|route| &route.next_hops);
    let is_uplink = |ifindex| uplinks.iter().any(|uplink| uplink.device.is_device(ifindex));
    hops.find(|hop| !is_uplink(hop.ifindex)).map(|hop| hop.device.as_str())
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, OwnSource};
    use crate::state::desired::desire;
    use crate::state::findings::{Finding, findings};
    use crate::state::fixture::{Host, rule, two_networks, uplinks};
    use crate::state::observed::{Family, Mark, Rejection, Rule};
    use crate::state::saved_sysctls::SavedSysctls;

    const TABLE: u32 = 51_820;

    fn found(own_source: OwnSource, host: &Host) -> Vec<Finding> {
        let config = Config { own_source, ..Config::default() };
        let uplinks = uplinks(&config, &host.0);
        let desired = desire(&config, &host.0, &uplinks, &SavedSysctls::default());
        findings(&config, &host.0, &uplinks, &desired)
    }

    fn with_rule(device: &str, change: impl FnOnce(Rule) -> Rule) -> Host {
        let mut host = two_networks().link("wg0", Some("wireguard"));
        host = host.route_with(device, "0.0.0.0/0", None, TABLE, 0, 4);
        let mark = Some(Mark { value: TABLE, mask: u32::MAX });
        let wireguard = Rule { mark, invert: true, ..rule(Family::V4, 32_764, None, TABLE, 3) };
        host.0.rules.push(change(wireguard));
        host
    }

    #[test]
    fn a_rule_that_catches_everything_is_named_where_no_rule_of_ours_can_stand_before_it() {
        let all = found(OwnSource::Datapath, &with_rule("wg0", |rule| rule));
        let [warning] = &all[..] else { panic!("{all:#?}") };
        assert_eq!(
            warning.to_string(),
            "IPv4: rule priority 32764 not from all fwmark 0xca6c lookup 51820 protocol 3 sends to \
             wg0 (no uplink) packets with an uplink's address, replies too (likely made by \
             wg-quick or NetworkManager, for WireGuard); with own-source = \"rules\" they leave by \
             the uplink of their address"
        );
        let refuses = with_rule("wg0", |rule| Rule {
            table: 0,
            refusal: Some(Rejection::Unreachable),
            ..rule
        });
        assert!(found(OwnSource::Datapath, &refuses)[0].what.contains("refuses packets"));
        // What leaves by an uplink meets the programs.
        assert!(found(OwnSource::Datapath, &with_rule("eth1", |rule| rule)).is_empty());
        let behind = with_rule("wg0", |rule| Rule { priority: 32_800, ..rule });
        assert!(found(OwnSource::Datapath, &behind).is_empty(), "behind main");
        // It is behind our rules.
        assert!(found(OwnSource::Rules, &with_rule("wg0", |rule| rule)).is_empty());
    }

    #[test]
    fn a_default_route_of_main_over_no_uplink_is_named_while_it_is_in_use() {
        let vpn = two_networks().link("tun0", Some("tun"));
        let halves = vpn.route("tun0", "0.0.0.0/1", None).route("tun0", "128.0.0.0/1", None);
        let all = found(OwnSource::Datapath, &halves);
        assert_eq!(all.len(), 1);
        assert!(all[0].what.contains("main leads over tun0"), "{all:?}");
        assert!(found(OwnSource::Rules, &halves).is_empty());
        let backup = two_networks().link("tun0", Some("tun")).route_with(
            "tun0",
            "::/0",
            None,
            super::TABLE_MAIN,
            9000,
            4,
        );
        assert!(found(OwnSource::Datapath, &backup).is_empty());
    }
}
