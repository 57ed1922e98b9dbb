//! The host in the cloud, with its interfaces and their DHCP clients.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::Family;
use prroute_tests::dhcp;
use prroute_tests::netns::Namespace;
use prroute_tests::process::Process;
use prroute_tests::{services, wait};

use super::vpc::{BRIDGE, DEADLINE, Nic, Vpc, remote};

/// The host, with what runs on it whether prroute does or not.
pub(crate) struct Host {
    _nginx: Process,
    pub(crate) namespace: Namespace,
}

/// An interface that is plugged in, and its DHCP client.
pub(crate) struct Plugged {
    nic: Nic,
    pub(crate) dhclient: dhcp::Client,
}

impl Host {
    /// Boots it: the interfaces appear in this order.
    pub(crate) fn boot(vpc: &Vpc, nics: &[Nic]) -> Result<(Self, Vec<Plugged>)> {
        // The kernel takes its time with the devices of a namespace that was deleted.
        wait::until("the host before is gone", DEADLINE, || {
            let ports = vpc.router.ip("-brief link show master vpc")?;
            Ok((!ports.contains("eni")).then_some(()))
        })?;
        let namespace = Namespace::create(&vpc.name, "host", false)?;
        namespace.sysctl(&[
            "net.ipv6.conf.default.accept_ra=1",
            "net.ipv4.conf.all.rp_filter=1",
            "net.ipv4.conf.default.rp_filter=1",
        ])?;
        let nginx = services::nginx(&namespace, &vpc.scratch, 80)?;
        let host = Self { _nginx: nginx, namespace };
        let mut plugged =
            nics.iter().map(|&nic| host.plug(vpc, nic)).collect::<Result<Vec<_>>>()?;
        for interface in &mut plugged {
            host.wait_configured(interface)?;
        }
        Ok((host, plugged))
    }

    /// The cloud attaches an interface, and a hotplug script starts the DHCP client.
    pub(crate) fn plug(&self, vpc: &Vpc, nic: Nic) -> Result<Plugged> {
        let (device, port) = (nic.device(), nic.port());
        self.namespace.ip(&format!(
            "link add name {device} address {} type veth peer name {port} netns {}",
            nic.mac(),
            vpc.router.name()
        ))?;
        vpc.router.ip(&format!("link set {port} master {BRIDGE} up"))?;
        let metric = 100 * u16::from(nic.0);
        let dhclient = dhcp::Client::start(&self.namespace, &vpc.scratch, &device, metric)?;
        Ok(Plugged { nic, dhclient })
    }

    /// The cloud detaches it, and another script ends the DHCP client.
    pub(crate) fn unplug(&self, interface: Plugged) -> Result<()> {
        let Plugged { nic, dhclient } = interface;
        self.namespace.ip(&format!("link del {}", nic.device()))?;
        drop(dhclient);
        Ok(())
    }

    /// Waits until it has its addresses and gateways.
    pub(crate) fn wait_configured(&self, interface: &mut Plugged) -> Result<()> {
        let nic = interface.nic;
        interface.dhclient.wait_bound(nic.address4())?;
        let (device, address) = (nic.device(), nic.address(Family::V6)?.to_string());
        wait::until("an address and a router are advertised", DEADLINE, || {
            let addresses = self.namespace.ip(&format!("-6 address show dev {device}"))?;
            let routes = self.namespace.ip(&format!("-6 route show default dev {device}"))?;
            Ok((addresses.contains(&address) && routes.contains("proto ra")).then_some(()))
        })
    }

    /// Its interfaces' indexes.
    pub(crate) fn index(&self, nic: Nic) -> Result<u32> {
        let link = self.namespace.ip(&format!("-o link show dev {}", nic.device()))?;
        let index = link.split(':').next().context("no index")?;
        index.parse().with_context(|| format!("no index in {link}"))
    }

    /// Asks the remote client, with `source`. What leaves in an address's first moment may be lost.
    pub(crate) fn ping_from(&self, source: IpAddr) -> Result<()> {
        let family = Family::of(source);
        let (from, to) = (source.to_string(), remote(family).to_string());
        let ping = ["ping", family.option(), "-n", "-q", "-c", "1", "-W", "2", "-I", &from, &to];
        wait::until("the remote client answers", DEADLINE, || {
            Ok(self.namespace.output(&ping)?.status.success().then_some(()))
        })
        .with_context(|| format!("asked from {source}"))
    }

    /// The table that prroute sends packets from `source` to, and where its default route goes.
    pub(crate) fn way(&self, source: IpAddr) -> Result<(u32, String)> {
        let option = Family::of(source).option();
        let beyond = remote(Family::of(source));
        let route = self.namespace.ip(&format!("{option} route get {beyond} from {source}"))?;
        let after = |word: &str| {
            let mut words = route.split_whitespace().skip_while(|other| *other != word);
            words.nth(1).with_context(|| format!("no {word} in {route}"))
        };
        let table = after("table")?.parse().with_context(|| route.clone())?;
        Ok((table, format!("via {} dev {}", after("via")?, after("dev")?)))
    }

    /// The numbers of the tables that prroute's rules name.
    pub(crate) fn tables(&self) -> Result<BTreeSet<u32>> {
        let mut tables = BTreeSet::new();
        for option in ["-4", "-6"] {
            let rules = self.namespace.ip(&format!("{option} rule show"))?;
            for line in rules.lines().filter(|line| line.ends_with("proto 213")) {
                let table = line.split_once(" lookup ").map(|(_, rest)| rest);
                let table = table.and_then(|rest| rest.split_whitespace().next());
                tables.extend(table.and_then(|table| table.parse::<u32>().ok()));
            }
        }
        Ok(tables)
    }
}
