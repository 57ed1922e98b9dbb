//! A real server behind a load balancer that lets it answer directly (LVS-DR and its like): a virtual
//! address that ARP keeps silent about, requests by a back-end interface, replies by the default route.
//! To answer where one was asked is wrong there.

use std::net::IpAddr;

use super::{Finding, Kind, Severity};
use crate::config::Reply;
use crate::state::desired::{Recognised, SourceRouting};
use crate::state::locals::is_host_device;
use crate::state::observed::{
    ArpSettings, Family, Observed, PROTOCOL, Route, RouteKind, TABLE_MAIN, is_global,
};
use crate::state::uplink::{Ifindex, Uplink};

/// `arp_ignore`: addresses of other interfaces are not told of.
const OF_INTERFACE: u8 = 1;
/// `arp_announce`: addresses of other interfaces are not named as the asker's.
const BEST_LOCAL: u8 = 2;
/// Addresses that are named.
const SHOWN: usize = 3;

/// A virtual address, and where replies from it left until now.
struct Virtual<'a> {
    address: IpAddr,
    device: &'a str,
    fronts: Vec<Ifindex>,
}

/// One finding for all virtual addresses and all uplinks by which requests may come in from a load
/// balancer. An uplink whose `reply` the administrator chose is none of them.
pub(super) fn finding(
    observed: &Observed,
    uplinks: &[Uplink],
    recognised: &[Recognised],
) -> Option<Finding> {
    let all: Vec<Virtual<'_>> = virtual_addresses(observed, recognised).collect();
    let is_back = |uplink: &&Uplink| {
        let device = &uplink.device;
        device.reply == Reply::Auto
            && uplink.speaks(Family::V4)
            && is_silent(&observed.arp, &device.name)
            && all.iter().any(|one| !one.fronts.iter().any(|front| device.is_device(*front)))
    };
    let backs: Vec<&str> =
        uplinks.iter().filter(is_back).map(|uplink| uplink.device.name.as_str()).collect();
    let (first, back) = (all.first()?, backs.first()?);
    let front = first.fronts.iter().find_map(|front| observed.link(*front));
    let front = front.map_or("another interface", |link| link.name.as_str());
    let mut addresses: Vec<String> =
        all.iter().take(SHOWN).map(|one| one.address.to_string()).collect();
    if all.len() > SHOWN {
        addresses.push(format!("{} more", all.len() - SHOWN));
    }
    Some(Finding {
        severity: Severity::Warning,
        what: format!(
            "{} on {}: the host does not announce it by ARP (arp_ignore, arp_announce), as on a \
             real server behind a direct-return load balancer; without prroute {front} answers \
             what comes in over {}, with prroute each uplink answers what comes in over it",
            addresses.join(", "),
            first.device,
            backs.join(", ")
        ),
        owner: None,
        remedy: Some(format!(
            "if a load balancer sends to {back}, set reply = \"off\" in [[uplink]] name = \
             \"{back}\"; if routers do, set reply = \"gateway\" there, and this is not said again"
        )),
        ..Finding::single(Kind::DirectReturn)
    })
}

/// IPv4 addresses on the loopback interface or a dummy device whose replies have a way of main's or of
/// a recognised rule's.
fn virtual_addresses<'a>(
    observed: &'a Observed,
    recognised: &'a [Recognised],
) -> impl Iterator<Item = Virtual<'a>> {
    let addresses = observed.addresses.iter().filter(|address| {
        let ip = address.net.addr();
        ip.is_ipv4() && address.scope_global && !address.failed && is_global(&ip)
    });
    addresses.filter_map(|address| {
        let link = observed.link(address.ifindex).filter(|link| is_host_device(link))?;
        let address = address.net.addr();
        let table =
            recognised.iter().find(|found| found.address == address).map_or(TABLE_MAIN, |found| {
                match found.by {
                    SourceRouting::Rule { table, .. } | SourceRouting::Route { table, .. } => table,
                }
            });
        let route = best_default(observed, table)?;
        let fronts = route.next_hops.iter().map(|hop| hop.ifindex).collect();
        Some(Virtual { address, device: &link.name, fronts })
    })
}

/// The default route of IPv4 that a table's lookup finds.
fn best_default(observed: &Observed, table: u32) -> Option<&Route> {
    let defaults = observed.routes.iter().filter(|route| {
        route.table == table
            && route.family() == Family::V4
            && route.is_default()
            && route.kind == RouteKind::Unicast
            && route.protocol != PROTOCOL
    });
    defaults.min_by_key(|route| (std::cmp::Reverse(route.destination.prefix_len()), route.metric))
}

/// Whether an interface says nothing of addresses that others have: the larger of its setting and
/// that of `all` counts.
fn is_silent(settings: &[ArpSettings], device: &str) -> bool {
    let of = |name: &str| settings.iter().find(|setting| setting.device == name);
    let [all, own] = [of("all"), of(device)];
    let largest = |get: fn(&ArpSettings) -> u8| {
        [all, own].into_iter().flatten().map(get).max().unwrap_or_default()
    };
    largest(|setting| setting.ignore) >= OF_INTERFACE
        && largest(|setting| setting.announce) >= BEST_LOCAL
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Pattern, Selector, UplinkConfig};
    use crate::state::desired::desire;
    use crate::state::fixture::{Host, two_networks, uplinks};
    use crate::state::saved_sysctls::SavedSysctls;

    /// Replies leave by eth0, whose default route is preferred.
    fn real_server() -> Host {
        with_arp(two_networks().address("lo", "203.0.113.5/32"), "all", 1, 2)
    }

    fn with_arp(mut host: Host, device: &str, ignore: u8, announce: u8) -> Host {
        host.0.arp.push(ArpSettings { device: device.to_owned(), ignore, announce });
        host
    }

    fn said_with(host: &Host, replies: &[(&str, Reply)]) -> Option<String> {
        let uplinks_of = replies.iter().map(|(name, reply)| UplinkConfig {
            reply: *reply,
            ..UplinkConfig::new(Selector::Name(Pattern::new(*name)))
        });
        let config = Config { uplinks: uplinks_of.collect(), ..Config::default() };
        let uplinks = uplinks(&config, &host.0);
        let desired = desire(&config, &host.0, &uplinks, &SavedSysctls::default());
        finding(&host.0, &uplinks, &desired.recognised).map(|finding| finding.to_string())
    }

    fn said(host: &Host) -> Option<String> {
        said_with(host, &[])
    }

    #[test]
    fn a_silent_address_and_a_default_route_elsewhere_are_named_with_the_remedy() {
        let text = said(&real_server()).unwrap();
        for part in [
            "203.0.113.5 on lo: ",
            "without prroute eth0 answers what comes in over eth1",
            "reply = \"off\" in [[uplink]] name = \"eth1\"",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn what_the_administrator_decided_is_not_said_again() {
        let host = real_server();
        for reply in [Reply::Off, Reply::Gateway, Reply::LastHop] {
            assert_eq!(said_with(&host, &[("eth1", reply)]), None);
        }
        assert!(said_with(&host, &[("eth0", Reply::Off)]).is_some());
    }

    #[test]
    fn the_larger_of_two_settings_counts() {
        let on_lo = || two_networks().address("lo", "203.0.113.5/32");
        assert_eq!(said(&with_arp(on_lo(), "all", 0, 2)), None);
        assert_eq!(said(&with_arp(on_lo(), "all", 1, 1)), None);
        assert_eq!(said(&with_arp(on_lo(), "eth0", 1, 2)), None, "the one that answers anyway");
        assert!(said(&with_arp(with_arp(on_lo(), "all", 0, 2), "eth1", 1, 0)).is_some());
    }

    #[test]
    fn other_hosts_are_not_meant() {
        assert_eq!(said(&with_arp(two_networks(), "all", 1, 2)), None, "no address on lo");
        let mut without_default = real_server();
        without_default.0.routes.retain(|route| !route.is_default());
        assert_eq!(said(&without_default), None, "nothing is answered until now");
        let mut several = real_server();
        let hop = several.hop("eth1", Some("192.168.2.1"));
        let best = several.0.routes.iter_mut().find(|r| r.is_default() && r.family() == Family::V4);
        best.unwrap().next_hops.push(hop);
        assert_eq!(said(&several), None, "each may answer");
    }

    #[test]
    fn a_rule_for_the_address_says_who_answers() {
        let host = real_server()
            .route_with("eth1", "0.0.0.0/0", Some("192.168.2.1"), 77, 0, 4)
            .rule(100, "203.0.113.5/32", 77);
        let text = said(&host).unwrap();
        assert!(text.contains("without prroute eth1 answers what comes in over eth0"), "{text}");
    }

    #[test]
    fn many_addresses_are_one_finding() {
        let host = (1..=9)
            .fold(real_server(), |host, n| host.address("lo", &format!("203.0.113.{}/32", n + 10)));
        assert!(
            said(&host).unwrap().starts_with("203.0.113.5, 203.0.113.11, 203.0.113.12, 7 more")
        );
    }
}
