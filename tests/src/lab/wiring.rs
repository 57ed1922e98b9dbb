//! Devices, addresses, routes and rules of a lab, in the order in which they are made.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::addressing::{self, Family};
use crate::command::{DEADLINE, output_within};
use crate::netns::Namespace;
use crate::router;
use crate::wait;

use super::{Defaults, Lab};

impl Lab {
    pub(super) fn connect(&self) -> Result<()> {
        let mut client =
            String::from("link add name wan type bridge forward_delay 0 mcast_snooping 0\n");
        let mut host = String::new();
        for router in &self.routers {
            let n = router.number;
            let namespace = router.namespace.name();
            let wan = router::WAN;
            client += &format!("link add name r{n} type veth peer name {wan} netns {namespace}\n");
            client += &format!("link set r{n} master wan up\n");
            let (device, mac) = (addressing::device(n), addressing::host_mac(n));
            host += &format!(
                "link add name {device} address {mac} type veth peer name host netns {namespace}\n"
            );
        }
        client += "link set wan up\n";
        self.client.ip_batch(&client)?;
        self.host.ip_batch(&host)?;
        for router in &self.routers {
            let (lan, wan) = (router::LAN, router::WAN);
            router
                .namespace
                .ip_batch(&format!("link set host master {lan} up\nlink set {wan} up\n"))?;
            router.configure(self.topology.routers_know_host)?;
        }
        Ok(())
    }

    pub(super) fn configure_host(&self) -> Result<()> {
        let topology = self.topology;
        let mut batch = String::new();
        for n in 1..=topology.uplinks {
            let device = addressing::device(n);
            batch += &format!("link set {device} up\n");
            batch += &own_addresses(n);
        }
        if topology.shared {
            for family in Family::BOTH {
                let (address, length) =
                    (addressing::shared(family), addressing::full_length(family));
                let at_once = addressing::at_once(family);
                batch += &format!("address add {address}/{length} dev lo {at_once}\n");
            }
        }
        for n in 1..=topology.uplinks {
            batch += &self.default_routes(n);
        }
        self.host.ip_batch(&batch)?;
        let mut settings = vec![
            format!("net.ipv4.ip_forward={}", u8::from(topology.ip_forward)),
            format!("net.ipv6.conf.all.forwarding={}", u8::from(topology.ip_forward)),
        ];
        let devices = (1..=topology.uplinks).map(addressing::device);
        for device in ["all", "default", "lo"].into_iter().map(str::to_owned).chain(devices) {
            settings.push(format!("net.ipv4.conf.{device}.rp_filter={}", topology.rp_filter));
        }
        self.host.sysctl(&settings.iter().map(String::as_str).collect::<Vec<_>>())?;
        self.await_addresses()
    }

    fn default_routes(&self, number: u8) -> String {
        let Some(place) = self.place_of_default(number) else { return String::new() };
        let route = |family| format!("{}\n", self.default_route(number, family, &place));
        Family::BOTH.map(route).concat()
    }

    /// Gives uplink `number` what it had at first: after [`Lab::unconfigure`] of both families.
    pub fn configure(&self, number: u8) -> Result<()> {
        self.host.ip_batch(&(own_addresses(number) + &self.default_routes(number)))
    }

    fn await_addresses(&self) -> Result<()> {
        let addresses = self.host_addresses();
        let global = addresses.iter().filter(|address| address.is_ipv6()).count();
        let expected = global + usize::from(self.topology.uplinks);
        wait::until("the host has its addresses", Duration::from_secs(10), || {
            Ok((self.addresses_v6("up -tentative")?.len() > expected).then_some(()))
        })?;
        self.await_local_routes()
    }

    /// The kernel makes IPv6 addresses local some time after they were added, and forgets that some time
    /// after they were deleted: what is dumped meanwhile changes by itself.
    pub(super) fn await_local_routes(&self) -> Result<()> {
        wait::until("the host's addresses are local", Duration::from_secs(10), || {
            let routes = self.host.ip("-6 route show table local type local")?;
            let local: BTreeSet<_> = routes.lines().filter_map(local_address).collect();
            let (all, usable) = (self.addresses_v6("")?, self.addresses_v6("up -tentative")?);
            let is_settled = local.is_subset(&all) && usable.is_subset(&local);
            Ok((is_settled && !self.is_looking_for_duplicates()?).then_some(()))
        })
    }

    /// Whether an address will be local as soon as nobody else claims it. Without a carrier none is asked for.
    fn is_looking_for_duplicates(&self) -> Result<bool> {
        let asked = self.host.run(&[
            "ip",
            "-j",
            "-6",
            "address",
            "show",
            "up",
            "tentative",
            "-dadfailed",
        ])?;
        let links: Vec<Value> = serde_json::from_str(&asked)?;
        let is_asking = |link: &Value| {
            let has_carrier = link["operstate"] == "UP";
            has_carrier && link["addr_info"].as_array().is_some_and(|all| !all.is_empty())
        };
        Ok(links.iter().any(is_asking))
    }

    /// The host's, but for those that `ip` passes over.
    fn addresses_v6(&self, which: &str) -> Result<BTreeSet<Ipv6Addr>> {
        let lines = self.host.ip(&format!("-6 -o address show {which}"))?;
        let address = |line: &str| line.split_whitespace().nth(3)?.split('/').next()?.parse().ok();
        Ok(lines.lines().filter_map(address).collect())
    }

    fn place_of_default(&self, number: u8) -> Option<String> {
        match self.topology.defaults {
            Defaults::EveryUplink => Some(format!("metric {}", 100 * u32::from(number))),
            Defaults::FirstOnly => (number == 1).then(|| "metric 100".to_owned()),
            Defaults::OwnTables => Some(format!("table {}", Self::table(number))),
            Defaults::Nowhere => None,
        }
    }

    /// The arguments of `ip` that add uplink `number`'s default route.
    fn default_route(&self, number: u8, family: Family, place: &str) -> String {
        let gateway = match family {
            Family::V6 if self.topology.link_local_gateways => {
                addressing::GATEWAY_LINK_LOCAL.to_owned()
            }
            _ => addressing::gateway(number, family).to_string(),
        };
        let device = addressing::device(number);
        let any = match family {
            Family::V4 => "0.0.0.0/0",
            Family::V6 => "::/0",
        };
        format!("route add {any} via {gateway} dev {device} {place}")
    }

    pub(super) fn configure_client(&self) -> Result<()> {
        let mut batch = String::new();
        for family in Family::BOTH {
            let (length, at_once) =
                (addressing::wan_prefix_length(family), addressing::at_once(family));
            let client = addressing::stateless_client(family);
            batch += &format!("address add {client}/{length} dev wan {at_once}\n");
            for n in 1..=self.topology.uplinks {
                let client = addressing::client(n, family);
                batch += &format!("address add {client}/{length} dev wan {at_once}\n");
                let router = addressing::router_wan(n, family);
                batch += &format!("route add {} via {router}\n", addressing::prefix(n, family));
            }
        }
        self.client.ip_batch(&batch)?;
        for family in Family::BOTH {
            let mut batch = String::new();
            for n in 1..=self.topology.uplinks {
                let (source, router) =
                    (addressing::client(n, family), addressing::router_wan(n, family));
                let table = Self::table(n);
                batch += &format!("route add default via {router} dev wan table {table}\n");
                batch += &format!("rule add priority {table} from {source} lookup {table}\n");
            }
            ip_batch_of(&self.client, family, &batch)?;
        }
        Ok(())
    }
}

fn ip_batch_of(namespace: &Namespace, family: Family, lines: &str) -> Result<()> {
    let mut command = std::process::Command::new("ip");
    command.args([family.option(), "-n", namespace.name(), "-batch", "-"]);
    output_within(&mut command, DEADLINE, lines)?.success().map(drop)
}

/// The address of `local 2001:db8::1 dev up1 ...`.
fn local_address(route: &str) -> Option<Ipv6Addr> {
    route.split_whitespace().nth(1)?.parse().ok()
}

fn own_addresses(number: u8) -> String {
    let device = addressing::device(number);
    let address = |family| {
        let (address, length) =
            (addressing::host(number, family), addressing::prefix_length(family));
        let at_once = addressing::at_once(family);
        format!("address add {address}/{length} dev {device} {at_once}\n")
    };
    Family::BOTH.map(address).concat()
}
