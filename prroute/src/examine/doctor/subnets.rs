//! Two uplinks in one subnet: by default the kernel answers ARP requests for any of its addresses on
//! either.

use ipnet::IpNet;

use super::Host;
use crate::state::findings::{Finding, Kind, word};
use crate::state::locals::is_host_device;
use crate::state::observed::{is_global, overlap};
use crate::state::uplink::{Discovered, Uplink};

pub(super) fn findings(host: &Host<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    for (index, one) in host.uplinks.iter().enumerate() {
        let others = &host.uplinks[index + 1..];
        all.extend(others.iter().filter_map(|other| finding(host, one, other)));
    }
    all
}

fn finding(host: &Host<'_>, one: &Uplink, other: &Uplink) -> Option<Finding> {
    let (one, other) = (&one.device, &other.device);
    let net = common(one, other)?;
    let set = |name: &str| host.facts.arp.iter().find(|arp| arp.device == name);
    let all = set("all")?;
    let answers_for_others = |device: &Discovered| {
        set(&device.name).is_some_and(|own| {
            all.ignore.max(own.ignore) == 0 || all.announce.max(own.announce) < 2
        })
    };
    if ![one, other].into_iter().any(answers_for_others) {
        return None;
    }
    let (a, b) = (&one.name, &other.name);
    let has_shared = has_shared_address(host);
    Some(Finding {
        what: format!(
            "{a} and {b} are both in {net}, and each answers ARP requests for the other's \
             addresses: requests may come in on the wrong one"
        ),
        device: Some(b.clone()),
        evidence: [a, b]
            .into_iter()
            .filter_map(|name| set(name))
            .map(|own| {
                let (ignore, announce) =
                    (all.ignore.max(own.ignore), all.announce.max(own.announce));
                format!("{}: arp_ignore {ignore}, arp_announce {announce}", own.device)
            })
            .collect(),
        remedy: has_shared.then(|| {
            "`arp_ignore = 1` and `arp_announce = 2` end that, but then no interface announces the \
             address on the loopback interface"
                .to_owned()
        }),
        fix: (!has_shared).then(|| {
            let set = [a, b].map(|name| {
                let name = word(name);
                format!("net/ipv4/conf/{name}/arp_ignore=1 net/ipv4/conf/{name}/arp_announce=2")
            });
            format!("sysctl -w {}", set.join(" "))
        }),
        ..Finding::about(Kind::SameSubnet, format_args!("{a}:{b}"))
    })
}

/// The loopback interface or a dummy device has an address for others.
fn has_shared_address(host: &Host<'_>) -> bool {
    let devices = host.observed.links.iter().filter(|link| is_host_device(link));
    let addresses = devices.flat_map(|link| host.observed.addresses_on(link.ifindex));
    addresses.map(|address| address.net.addr()).any(|a| a.is_ipv4() && is_global(&a))
}

/// An IPv4 subnet in which both have an address.
fn common(one: &Discovered, other: &Discovered) -> Option<IpNet> {
    let subnets = |device: &Discovered| -> Vec<IpNet> {
        let nets = device.addresses.iter().filter(|net| net.addr().is_ipv4());
        nets.filter(|net| net.prefix_len() < net.max_prefix_len()).map(IpNet::trunc).collect()
    };
    let others = subnets(other);
    subnets(one).into_iter().find(|net| others.iter().any(|other| overlap(net, other)))
}

#[cfg(test)]
mod tests {
    use super::super::facts::Facts;
    use super::super::testing::{found_by, ids};
    use super::*;
    use crate::config::Config;
    use crate::state::fixture::{crowd, ip, two_networks};
    use crate::state::observed::ArpSettings;

    fn facts(ignore: u8, announce: u8) -> Facts {
        let arp = ["all", "eth0", "eth1"].map(|device| {
            let (ignore, announce) = if device == "all" { (ignore, announce) } else { (0, 0) };
            ArpSettings { device: device.to_owned(), ignore, announce }
        });
        Facts { arp: arp.into(), ..Facts::default() }
    }

    #[test]
    fn two_in_one_subnet_are_named_unless_each_speaks_for_itself() {
        let host = crowd(&[ip("10.0.0.10"), ip("10.0.0.11")]);
        let found = |facts| found_by(findings, &Config::default(), &host, &facts);
        assert_eq!(ids(&found(facts(0, 0))), ["same-subnet:eth0:eth1"]);
        assert!(found(facts(1, 0))[0].fix.is_some());
        let shared = crowd(&[ip("10.0.0.10"), ip("10.0.0.11")]).address("lo", "203.0.113.1/32");
        let found_shared = found_by(findings, &Config::default(), &shared, &facts(0, 0));
        assert!(found_shared[0].fix.is_none() && found_shared[0].remedy.is_some());
        assert_eq!(found(facts(1, 2)), []);
        let odd = crowd(&[ip("10.0.0.10"), ip("10.0.0.11")])
            .change("eth1", |link| link.name = "a $(b)".to_owned());
        let mut of_odd = facts(0, 0);
        of_odd.arp[2].device = "a $(b)".to_owned();
        let fix = found_by(findings, &Config::default(), &odd, &of_odd).swap_remove(0).fix;
        assert!(fix.unwrap().ends_with(" net/ipv4/conf/'a $(b)'/arp_announce=2"));
        assert_eq!(found_by(findings, &Config::default(), &two_networks(), &facts(0, 0)), []);
    }
}
