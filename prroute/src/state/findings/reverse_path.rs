//! Filters of netfilter that drop what did not come in by the interface of the route back. For an
//! address of an uplink our rules make that its own; a shared address and a container have one way back
//! for all.

use ipnet::IpNet;

use super::{Finding, Kind, Severity};
use crate::state::observed::{Family, ReversePathFilter};

/// What firewalld calls its table.
const FIREWALLD: &str = "firewalld";

/// One finding for all of them, where they are about a family that two uplinks speak. Of each uplink
/// name and addresses count.
pub fn finding(filters: &[ReversePathFilter], uplinks: &[(&str, &[IpNet])]) -> Option<Finding> {
    let has = |nets: &[IpNet], family| nets.iter().any(|net| Family::of_net(net) == family);
    let speaks = |family| uplinks.iter().filter(|(_, nets)| has(nets, family)).count() > 1;
    let families = |filter: &ReversePathFilter| {
        let only = filter.family;
        Family::BOTH.into_iter().filter(move |f| only.is_none_or(|only| only == *f))
    };
    let is_about_uplinks = |filter: &ReversePathFilter| {
        filter.device.as_ref().is_none_or(|device| uplinks.iter().any(|(name, _)| name == device))
    };
    let harms =
        |filter: &&ReversePathFilter| is_about_uplinks(filter) && families(filter).any(speaks);
    let filter = filters.iter().find(harms)?;
    let spoken: Vec<&str> = families(filter)
        .filter(|family| speaks(*family))
        .map(|family| if family == Family::V4 { "IPv4" } else { "IPv6" })
        .collect();
    let (table, chain) = (&filter.table, &filter.chain);
    let is_firewalld = table == FIREWALLD;
    Some(Finding {
        severity: Severity::Warning,
        what: format!(
            "a netfilter rule (table {table}, chain {chain}) drops {} packets that come in by \
             another interface than the route back to their source: containers and shared \
             addresses are reached over one uplink only",
            spoken.join(" and ")
        ),
        owner: is_firewalld.then(|| "firewalld, IPv6_rpfilter".to_owned()),
        remedy: Some(if is_firewalld {
            "set IPv6_rpfilter=no in /etc/firewalld/firewalld.conf (since firewalld 2.2 `loose` \
             will do), then firewall-cmd --reload"
                .to_owned()
        } else {
            "make it loose (nftables: `fib saddr oif` without `. iif`; iptables: rpfilter \
             --loose), or except the uplinks from it"
                .to_owned()
        }),
        ..Finding::single(Kind::ReversePathFilter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::{Host, two_networks};

    fn filter(family: Option<Family>, device: Option<&str>) -> ReversePathFilter {
        ReversePathFilter {
            family,
            table: "firewalld".to_owned(),
            chain: "filter_PREROUTING".to_owned(),
            device: device.map(str::to_owned),
        }
    }

    fn said(host: &Host, filter: ReversePathFilter) -> Option<String> {
        finding(&[filter], &super::super::names_and_addresses(&host.uplinks()))
            .map(|finding| finding.to_string())
    }

    #[test]
    fn a_filter_of_a_family_that_two_uplinks_speak_is_named_with_its_remedy() {
        let text = said(&two_networks(), filter(Some(Family::V6), None)).unwrap();
        for part in [
            "drops IPv6 packets that",
            "table firewalld, chain filter_PREROUTING",
            "IPv6_rpfilter=no",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let both = said(
            &two_networks(),
            ReversePathFilter { table: "mine".to_owned(), ..filter(None, Some("eth1")) },
        );
        let both = both.unwrap();
        assert!(both.contains("IPv4 and IPv6") && !both.contains("firewalld"), "{both}");
    }

    #[test]
    fn one_that_harms_nothing_of_ours_is_not() {
        assert_eq!(said(&two_networks(), filter(None, Some("docker0"))), None);
        let mut host = two_networks();
        let second = host.ifindex("eth1");
        host.0.addresses.retain(|a| a.ifindex != second || a.net.addr().is_ipv4());
        assert_eq!(said(&host, filter(Some(Family::V6), None)), None);
        assert!(said(&host, filter(Some(Family::V4), None)).is_some());
    }
}
