//! The host namespaces that differ in one thing only, each with a peer of its own.
//!
//! ```text
//!   peer                         198.51.100.11 on w2: the client
//!    | w1         | w2           10.0.1.1   10.0.2.1: the gateways
//!    | up1        | up2          10.0.1.10  10.0.2.10
//!   host    default route by up1; requests come in by up2
//!    | behind0
//!   container or guest, where a workload wants one
//! ```
//!
//! The peer has no firewall: a reply that leaves by the wrong uplink arrives as well, so that
//! also a host that does nothing can be timed.

mod behind;
mod check;
mod steering;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use anyhow::Result;
use prroute_tests::addressing::{self, Family};
use prroute_tests::netns::{self, Namespace};

pub(crate) use self::behind::{Behind, PUBLISHED};
pub(crate) use self::check::{
    Expected, check_reverse_path_filter, check_without_rules, loosen_reverse_path_filter,
};
use crate::cgroup::Cgroup;
use crate::contestants::Variant;

/// A host and its peer.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) variant: Variant,
    pub(crate) host: Namespace,
    pub(crate) peer: Namespace,
    /// A container or a guest.
    pub(crate) behind: Option<Namespace>,
    /// Of the sockets that prroute's own programs on sockets are for.
    pub(crate) cgroup: Option<Cgroup>,
    /// What keeps programs that are not prroute's attached.
    links: Vec<OwnedFd>,
    name: String,
}

impl Host {
    /// Builds the namespaces; prroute is not started yet.
    pub(crate) fn build(variant: Variant, behind: Behind) -> Result<Self> {
        let name = netns::unique_name();
        let host = Namespace::create(&name, "host", false)?;
        let peer = Namespace::create(&name, "peer", false)?;
        let inside = (behind != Behind::Nobody)
            .then(|| Namespace::create(&name, "behind", false))
            .transpose()?;
        let cgroup = variant.prroute().map(|_| Cgroup::create(&name)).transpose()?;
        let links = Vec::new();
        let mut built = Self { variant, host, peer, behind: inside, cgroup, links, name };
        built.connect()?;
        built.connect_behind(behind)?;
        loosen_reverse_path_filter(&built.host)?;
        built.steer()?;
        built.attach()?;
        built.check()?;
        Ok(built)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The address that is asked: the one of the uplink without a default route in main.
    pub(crate) fn asked(family: Family) -> IpAddr {
        addressing::host(2, family)
    }

    /// Where requests come from: beyond the gateways.
    pub(crate) fn client(family: Family) -> IpAddr {
        addressing::client(1, family)
    }

    /// Where the server behind a request to `port` listens.
    pub(crate) fn server(&self, family: Family, port: u16) -> (&Namespace, SocketAddr) {
        match &self.behind {
            Some(container) => (container, SocketAddr::new(addressing::guest(family), port)),
            None => (&self.host, SocketAddr::new(Self::asked(family), port)),
        }
    }

    /// Opens sockets of the host.
    pub(crate) fn serving<T>(&self, open: impl FnOnce() -> Result<T>) -> Result<T> {
        match &self.cgroup {
            Some(cgroup) => cgroup.inside(open),
            None => open(),
        }
    }

    fn connect(&self) -> Result<()> {
        self.peer.sysctl(&[
            "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.default.rp_filter=0",
            // Connections that the client closed are not kept: their number would grow with the
            // run.
            "net.ipv4.tcp_max_tw_buckets=256",
            "net.ipv4.ip_local_port_range=1024 65535",
        ])?;
        let peer = self.peer.name();
        let (mut here, mut there) = (String::new(), String::new());
        for number in [1, 2] {
            let up = addressing::device(number);
            here += &format!("link add name {up} type veth peer name w{number} netns {peer}\n");
            here += &format!("link set {up} address {} up\n", addressing::host_mac(number));
            there +=
                &format!("link set w{number} address {} up\n", addressing::gateway_mac(number));
            for family in Family::BOTH {
                let length = addressing::prefix_length(family);
                here +=
                    &format!("addr add {}/{length} dev {up}\n", addressing::host(number, family));
                there += &format!(
                    "addr add {}/{length} dev w{number}\n",
                    addressing::gateway(number, family)
                );
            }
        }
        for family in Family::BOTH {
            let full = addressing::full_length(family);
            let (client, asked) = (Self::client(family), Self::asked(family));
            // Without detection it is usable at once, as the route's source.
            let option = if family == Family::V6 { " nodad" } else { "" };
            there += &format!("addr add {client}/{full} dev w2{option}\n");
            // Also connections whose source the kernel chooses come from beyond the gateway.
            there += &format!("route add {asked}/{full} dev w2 src {client}\n");
            let gateway = addressing::gateway(1, family);
            here += &format!("route add default via {gateway} dev {}\n", addressing::device(1));
        }
        self.host.ip_batch(&here)?;
        self.peer.ip_batch(&there)
    }
}
