//! The host of the quick starts, its provider's routers, and a client beyond them.
//!
//! ```text
//!     client 203.0.113.7
//!        | wan
//!     provider 203.0.113.1      drops what comes in by a router that does not lead to its source (rp_filter)
//!        | r0          | r1     10.0.1.1, 2001:db8:1::1; 10.0.2.1, 2001:db8:2::1
//!        | eth0        | eth1   10.0.1.2, 2001:db8:1::2; 10.0.2.2, 2001:db8:2::2
//!     host                      default routes: eth0, then eth1
//! ```

use std::time::Duration;

use anyhow::{Result, ensure};
use prroute_tests::netns::{self, Namespace};
use prroute_tests::scratch::Scratch;
use prroute_tests::wait;

#[derive(Debug)]
pub(super) struct Site {
    /// Of the namespaces, the instance and the directory.
    pub(super) name: String,
    pub(super) host: Namespace,
    pub(super) provider: Namespace,
    pub(super) client: Namespace,
    pub(super) scratch: Scratch,
}

impl Site {
    pub(super) fn build() -> Result<Self> {
        let name = netns::unique_name();
        let site = Self {
            host: Namespace::create(&name, "host", false)?,
            provider: Namespace::create(&name, "provider", false)?,
            client: Namespace::create(&name, "client", false)?,
            scratch: Scratch::create(&name, false)?,
            name,
        };
        site.connect()?;
        site.meet_gateways()?;
        Ok(site)
    }

    fn connect(&self) -> Result<()> {
        let provider = self.provider.name();
        let (mut host, mut routers) = (String::new(), String::new());
        for number in 0..2 {
            let (mac, link) = (number + 1, number + 1);
            host += &format!(
                "link add name eth{number} address 02:00:5e:10:00:0{mac} type veth peer name r{number} netns {provider}\n\
                 address add 10.0.{link}.2/24 dev eth{number}\n\
                 address add 2001:db8:{link}::2/64 dev eth{number} nodad\n\
                 link set eth{number} up\n"
            );
            routers += &format!(
                "address add 10.0.{link}.1/24 dev r{number}\n\
                 address add 2001:db8:{link}::1/64 dev r{number} nodad\n\
                 link set r{number} up\n"
            );
        }
        for number in 0..2 {
            let (link, metric) = (number + 1, 100 + number);
            host += &format!(
                "route add default via 10.0.{link}.1 dev eth{number} metric {metric}\n\
                 route add default via 2001:db8:{link}::1 dev eth{number} metric {metric}\n"
            );
        }
        self.host.ip_batch(&host)?;
        self.provider.ip_batch(&routers)?;
        self.client.ip_batch(&format!(
            "link add name wan type veth peer name wan netns {provider}\n\
             address add 203.0.113.7/24 dev wan\n\
             link set wan up\n"
        ))?;
        self.provider.ip_batch("address add 203.0.113.1/24 dev wan\nlink set wan up\n")?;
        self.client.ip("route add default via 203.0.113.1 dev wan")?;
        self.provider.sysctl(&[
            "net.ipv4.ip_forward=1",
            "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.r0.rp_filter=1",
            "net.ipv4.conf.r1.rp_filter=1",
        ])?;
        self.host.sysctl(&[
            "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.eth0.rp_filter=1",
            "net.ipv4.conf.eth1.rp_filter=1",
        ])
    }

    /// As on a host that has been up for a while.
    fn meet_gateways(&self) -> Result<()> {
        for gateway in ["10.0.1.1", "10.0.2.1", "2001:db8:1::1", "2001:db8:2::1"] {
            wait::until(&format!("an answer of {gateway}"), Duration::from_secs(20), || {
                let ping = self.host.output(&["ping", "-q", "-c", "1", "-W", "1", gateway])?;
                Ok(ping.status.success().then_some(()))
            })?;
        }
        Ok(())
    }

    /// What the pages are read for: without prroute nobody hears this address answer.
    pub(super) fn expect_silent(&self, address: &str) -> Result<()> {
        let ping = self.client.output(&["ping", "-q", "-c", "1", "-W", "1", address])?;
        ensure!(!ping.status.success(), "{address} answers without prroute: {}", ping.stdout);
        Ok(())
    }
}
