//! Ports that are published to containers, and uplinks that forward nothing.

use super::Host;
use crate::state::findings::{Finding, Kind, Severity, word};

pub(super) fn findings(host: &Host<'_>) -> Vec<Finding> {
    let is_own = |address: &std::net::Ipv4Addr| {
        address.is_loopback()
            || host.observed.addresses.iter().any(|known| known.net.addr() == *address)
    };
    let Some(container) = host.facts.published.iter().find(|address| !is_own(address)) else {
        return Vec::new();
    };
    let off = &host.facts.not_forwarding;
    let finding = |base: Finding, of: &str, fix: String| Finding {
        severity: Severity::Fault,
        what: format!(
            "{of} no IPv4 packets, but netfilter rules publish ports of containers: they are not \
             reached there"
        ),
        evidence: vec![format!("dnat to {container}")],
        fix: Some(fix),
        ..base
    };
    if off.len() == host.uplinks.len() && !off.is_empty() {
        let fix = "sysctl -w net.ipv4.ip_forward=1".to_owned();
        return vec![finding(Finding::single(Kind::ForwardingOff), "this host forwards", fix)];
    }
    let of_device = |name: &String| Finding {
        device: Some(name.clone()),
        ..finding(
            Finding::about(Kind::ForwardingOff, name),
            &format!("{name} forwards"),
            format!("sysctl -w net/ipv4/conf/{}/forwarding=1", word(name)),
        )
    };
    off.iter().map(of_device).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::facts::Facts;
    use super::super::testing::{found_by, ids};
    use super::*;
    use crate::config::Config;
    use crate::state::fixture::two_networks;

    fn with(off: &[&str], published: [u8; 4]) -> Vec<Finding> {
        let not_forwarding = off.iter().map(|name| (*name).to_owned()).collect();
        let published = vec![Ipv4Addr::from(published)];
        let facts = Facts { not_forwarding, published, ..Facts::default() };
        found_by(findings, &Config::default(), &two_networks(), &facts)
    }

    #[test]
    fn published_containers_need_forwarding() {
        const CONTAINER: [u8; 4] = [172, 17, 0, 2];
        assert_eq!(with(&[], CONTAINER), []);
        assert_eq!(ids(&with(&["eth0", "eth1"], CONTAINER)), ["forwarding-off"]);
        assert_eq!(ids(&with(&["eth1"], CONTAINER)), ["forwarding-off:eth1"]);
    }

    #[test]
    fn what_stays_on_the_host_needs_none() {
        assert_eq!(with(&["eth0", "eth1"], [192, 168, 1, 10]), []);
        assert_eq!(with(&["eth0", "eth1"], [127, 0, 0, 1]), []);
    }
}
