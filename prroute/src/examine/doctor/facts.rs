//! What only `doctor` asks the kernel for.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;

use super::probe::{Reach, reaches};
use crate::datapath::flows::FlowRecord;
use crate::examine::Examination;
use crate::netlink::{Kernel, nftables};
use crate::state::observed::{ArpSettings, Observed, host_net};
use crate::state::uplink::{Ifindex, Uplink};
use crate::sysctl;

/// Addresses for documentation: nobody has them, and default routes lead there.
const REMOTE: [&str; 6] =
    ["203.0.113.7", "198.51.100.7", "192.0.2.7", "2001:db8:fffe::7", "3fff:fff::7", "3fff:ffe::7"];

#[derive(Debug, Default)]
pub(super) struct Facts {
    /// prroute has nothing in the kernel here, and no daemon.
    pub(super) before_installation: bool,
    /// Where the host's own packets from the uplinks' addresses leave for an address beyond all routers.
    pub(super) ways: Vec<Way>,
    /// Of `all` and of each uplink.
    pub(super) arp: Vec<ArpSettings>,
    /// Uplinks that do not forward IPv4.
    pub(super) not_forwarding: Vec<String>,
    /// Where netfilter rules send what comes in: published containers.
    pub(super) published: Vec<Ipv4Addr>,
    /// Local addresses of conversations that lead away over an uplink now.
    pub(super) nowhere: Vec<IpAddr>,
    /// What gateways answer; `None`: they were not asked.
    pub(super) reaches: Option<Vec<Reach>>,
}

/// The answer to `ip route get TO from FROM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    /// `None`: nowhere.
    pub(super) device: Option<Ifindex>,
}

impl Facts {
    pub(super) async fn gather(
        examined: &Examination,
        recorded: &[FlowRecord],
        probe: bool,
    ) -> Result<Self> {
        let outlook = &examined.outlook;
        let before_installation = !examined.is_in_use();
        let kernel = Kernel::connect().await?;
        let mut ways = Vec::new();
        if before_installation {
            for (from, to) in questions(&outlook.observed, &outlook.uplinks) {
                let device = kernel.device_towards(to, Some(from)).await?;
                ways.push(Way { from, to, device });
            }
        }
        let names = || outlook.uplinks.iter().map(|uplink| uplink.device.name.as_str());
        let arp = ["all"].into_iter().chain(names()).filter_map(|name| sysctl::arp(name).ok());
        let is_off = |name: &&str| sysctl::is_forwarding(name).is_ok_and(|forwards| !forwards);
        let not_forwarding = names().filter(is_off).map(str::to_owned).collect();
        let published = nftables::translated_destinations();
        let mut nowhere = Vec::new();
        for address in strangers(examined, recorded) {
            let device = kernel.device_towards(address, None).await?;
            let is_uplink = |found| outlook.uplinks.iter().any(|u| u.device.is_device(found));
            if device.is_none_or(is_uplink) {
                nowhere.push(address);
            }
        }
        Ok(Self {
            before_installation,
            ways,
            arp: arp.collect(),
            not_forwarding,
            published,
            nowhere,
            reaches: probe.then(|| reaches(&outlook.uplinks)),
        })
    }
}

/// Each address of an uplink, with a remote one that is in no subnet of the host.
fn questions(observed: &Observed, uplinks: &[Uplink]) -> Vec<(IpAddr, IpAddr)> {
    let remote = |from: IpAddr| {
        let is_here = |to: &IpAddr| {
            let routes = observed.routes.iter().filter(|route| !route.is_default());
            routes.map(|route| route.destination).any(|net| net.contains(&host_net(*to)))
        };
        let all = REMOTE.iter().filter_map(|address| address.parse::<IpAddr>().ok());
        all.filter(|to| to.is_ipv4() == from.is_ipv4()).find(|to| !is_here(to))
    };
    let addresses = uplinks.iter().flat_map(|uplink| &uplink.device.addresses);
    addresses.filter_map(|net| Some((net.addr(), remote(net.addr())?))).collect()
}

/// Seconds within which a conversation was heard that is not over.
const LATELY: f64 = 60.0;

/// Local addresses of such conversations that no interface has, and no uplink reaches without a router.
fn strangers(examined: &Examination, recorded: &[FlowRecord]) -> BTreeSet<IpAddr> {
    let outlook = &examined.outlook;
    let is_here = |address: IpAddr| {
        outlook.observed.addresses.iter().any(|known| known.net.addr() == address)
            || outlook
                .uplinks
                .iter()
                .flat_map(|uplink| &uplink.device.on_link)
                .any(|net| net.contains(&address))
    };
    let lately =
        recorded.iter().filter(|it| it.opened_inbound && it.confirmed && it.idle_seconds < LATELY);
    let addresses: BTreeSet<IpAddr> = lately.map(|flow| flow.local).collect();
    addresses.into_iter().filter(|address| !is_here(*address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::two_networks;

    #[test]
    fn a_remote_address_is_in_no_subnet_of_the_host() {
        let host = two_networks().route("eth1", "203.0.113.0/24", None);
        let questions = questions(&host.0, &host.uplinks());
        assert_eq!(questions.len(), 4);
        for (from, to) in questions {
            assert_eq!(from.is_ipv4(), to.is_ipv4());
            assert_ne!(to.to_string(), "203.0.113.7");
        }
    }
}
