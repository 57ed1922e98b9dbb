//! What only `doctor` asks the kernel for.

use std::net::IpAddr;

use anyhow::Result;

use crate::examine::Examination;
use crate::netlink::Kernel;
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
    pub(super) async fn gather(examined: &Examination) -> Result<Self> {
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
        let names = outlook.uplinks.iter().map(|uplink| uplink.device.name.as_str());
        let arp = ["all"].into_iter().chain(names).filter_map(|name| sysctl::arp(name).ok());
        Ok(Self { before_installation, ways, arp: arp.collect() })
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
