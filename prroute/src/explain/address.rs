//! Whose address it is that is asked, and what the kernel does with what comes for it.

use std::net::IpAddr;

use nix::errno::Errno;

use super::rp_filter::is_martian;
use super::step::{Found, Stage, Step};
use super::uplink::Uplinks;
use crate::netlink::RouteAnswer;
use crate::state::observed::{Address, Family, Observed};
use crate::state::uplink::Ifindex;

/// Names of the interfaces that have an address.
pub(super) fn holders(observed: &Observed, address: IpAddr) -> Vec<Ifindex> {
    let has = |it: &&Address| it.net.addr() == address;
    observed.addresses.iter().filter(has).map(|it| it.ifindex).collect()
}

fn name(observed: &Observed, ifindex: Ifindex) -> String {
    observed.link(ifindex).map_or_else(|| format!("#{ifindex}"), |link| link.name.clone())
}

/// Whose address it is, in words.
fn whose(observed: &Observed, uplinks: Uplinks<'_>, address: IpAddr) -> String {
    let holders = holders(observed, address);
    let names: Vec<String> = holders.iter().map(|it| name(observed, *it)).collect();
    let mut owners: Vec<_> = holders.iter().map(|it| uplinks.of(*it).map(|it| it.id)).collect();
    owners.dedup();
    match (owners.as_slice(), names.as_slice()) {
        ([], _) => format!("{address} is local by a route: shared by all uplinks"),
        ([Some(_)], _) => format!("{address} on {}, its own", names.join(" and ")),
        _ => format!("{address} on {}: shared by all uplinks", names.join(" and ")),
    }
}

/// Facts about the address and its route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) observed: &'a Observed,
    pub(crate) uplinks: Uplinks<'a>,
    pub(crate) client: IpAddr,
    /// The address that is asked.
    pub(crate) local: IpAddr,
    /// Where that is translated to; else the same.
    pub(crate) server: IpAddr,
    pub(crate) answer: &'a Result<RouteAnswer, Errno>,
}

pub(crate) fn judge(target: &Target<'_>) -> Step {
    const STAGE: Stage = Stage::Address;
    let Target { observed, uplinks, local, server, answer, .. } = *target;
    let is_failed = |it: &Address| it.net.addr() == local && it.failed;
    if observed.addresses.iter().any(is_failed) {
        return Step::stop(STAGE, format!("{local}: duplicate address detection failed"))
            .cause(format!("another host on the link has {local}: the kernel does not use it"))
            .remedy("take it away from the other host, and set it anew");
    }
    match answer {
        Ok(route) if route.is_local() => Step::ok(STAGE, whose(observed, uplinks, local)),
        Ok(route) => {
            let device = route.device.map_or_else(String::new, |it| name(observed, it));
            let to = match route.gateway {
                Some(gateway) => format!("via {gateway} dev {device}"),
                None => format!("dev {device}"),
            };
            let detail = match local == server {
                true => format!("{local} is not the host's own: to {to}"),
                false => format!("{}; {server}: to {to}", whose(observed, uplinks, local)),
            };
            Step::ok(STAGE, detail)
        }
        Err(errno) => refused(target, *errno),
    }
}

fn refused(target: &Target<'_>, errno: Errno) -> Step {
    const STAGE: Stage = Stage::Address;
    let Target { observed, client, server, .. } = *target;
    let is_host = !holders(observed, client).is_empty();
    let step = |detail: String| Step::stop(STAGE, detail.clone()).cause(detail);
    match errno {
        Errno::EINVAL | Errno::EXDEV if is_host => step(format!(
            "{client} is an address of this host: no packet from elsewhere may have it"
        )),
        Errno::EINVAL | Errno::EXDEV if is_martian(client) => {
            step(format!("{client} is no source that a packet from elsewhere may have"))
        }
        Errno::EHOSTUNREACH => {
            let detail = format!("{server} is not the host's own");
            Step::new(STAGE, Found::Warn, detail)
        }
        Errno::ENETUNREACH => step(format!(
            "{server} is not the host's own, and there is no route to it"
        ))
        .remedy(match Family::of(&server) {
            Family::V4 => format!("ip address add {server}/32 dev lo, if it is to be the host's"),
            Family::V6 => format!("ip address add {server}/128 dev lo, if it is to be the host's"),
        }),
        Errno::EACCES => step(format!("a rule or route prohibits {server}")),
        other => step(format!("the kernel refuses packets from {client} to {server}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::RouteAnswer;
    use crate::state::fixture::{Host, ip, net, two_networks};
    use crate::state::observed::RouteKind;

    fn answer(kind: RouteKind, device: u32) -> Result<RouteAnswer, Errno> {
        Ok(RouteAnswer {
            kind,
            device: Some(Ifindex(device)),
            gateway: None,
            source: None,
            table: 254,
            destination: net("0.0.0.0/0"),
            metric: 0,
            mtu: None,
        })
    }

    fn judged(host: &Host, local: &str, answer: &Result<RouteAnswer, Errno>) -> Step {
        let uplinks = host.uplinks();
        judge(&Target {
            observed: &host.0,
            uplinks: Uplinks(&uplinks),
            client: ip("203.0.113.11"),
            local: ip(local),
            server: ip(local),
            answer,
        })
    }

    #[test]
    fn the_owner_of_an_address_is_told_from_those_that_share_it() {
        let host = two_networks().address("lo", "198.51.100.10/32");
        let local = answer(RouteKind::LOCAL, 1);
        assert_eq!(judged(&host, "192.168.1.10", &local).detail, "192.168.1.10 on eth0, its own");
        let shared = judged(&host, "198.51.100.10", &local);
        assert_eq!(shared.detail, "198.51.100.10 on lo: shared by all uplinks");
        let by_route = judged(&host, "198.51.100.99", &local);
        assert_eq!(by_route.detail, "198.51.100.99 is local by a route: shared by all uplinks");
    }

    #[test]
    fn what_is_not_the_hosts_is_forwarded_or_refused() {
        let host = two_networks();
        let unicast = answer(RouteKind::Unicast, 3);
        let forwarded = judged(&host, "172.17.0.2", &unicast);
        assert_eq!(forwarded.detail, "172.17.0.2 is not the host's own: to dev eth1");
        let none = judged(&host, "172.17.0.2", &Err(Errno::ENETUNREACH));
        assert_eq!(none.found, Found::Stop);
        assert!(none.remedy.unwrap().starts_with("ip address add 172.17.0.2/32 dev lo"));
        assert_eq!(judged(&host, "172.17.0.2", &Err(Errno::EHOSTUNREACH)).found, Found::Warn);
    }
}
