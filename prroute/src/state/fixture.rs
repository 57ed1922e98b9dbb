//! Hosts for tests, and a kernel that does what a plan says.

use std::net::IpAddr;

use ipnet::IpNet;
use nix::libc::{RTPROT_KERNEL, RTPROT_STATIC};

use super::observed::{
    Address, Family, Link, LinkLayer, Neighbour, NeighbourState, NextHop, Observed, PROTOCOL,
    Route, RouteKind, RouteMetrics, RouterPreference, Rule, TABLE_LOCAL, TABLE_MAIN,
};
use super::plan::{Op, Plan};
use super::uplink::{Discovered, Ifindex, Skipped, Uplink};
use super::{discover::discover, ids::allocate};
use crate::config::Config;
use crate::state::gateways::Health;

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// An Ethernet device that is up.
pub(crate) fn link(ifindex: u32, name: &str, kind: Option<&str>) -> Link {
    Link {
        ifindex: Ifindex(ifindex),
        name: name.to_owned(),
        altnames: Vec::new(),
        kind: kind.map(str::to_owned),
        mac: Some([2, 0, 0, 0, 0, u8::try_from(ifindex).unwrap()]),
        permanent_mac: None,
        mtu: 1500,
        admin_up: true,
        carrier: true,
        loopback: false,
        noarp: false,
        link_layer: LinkLayer::Ethernet,
        accepts_ra: false,
        lower: None,
        master: None,
        rp_filter: Some(0),
    }
}

/// An observed state under construction. Starts with the loopback interface and the three
/// rules every kernel has.
#[derive(Debug)]
pub(crate) struct Host(pub(crate) Observed);

impl Host {
    pub(crate) fn new() -> Self {
        let mut host = Self(Observed { rp_filter_all: Some(0), ..Observed::default() });
        host = host.link("lo", None);
        host.0.links[0].loopback = true;
        host.0.links[0].mac = None;
        for family in Family::BOTH {
            for (priority, table) in [(0, 255), (32_766, 254), (32_767, 253)] {
                if family == Family::V4 || table != 253 {
                    host.0.rules.push(rule(family, priority, None, table, RTPROT_KERNEL));
                }
            }
        }
        host.address("lo", "127.0.0.1/8").address("lo", "::1/128")
    }

    pub(crate) fn link(mut self, name: &str, kind: Option<&str>) -> Self {
        let ifindex = u32::try_from(self.0.links.len()).unwrap() + 1;
        self.0.links.push(link(ifindex, name, kind));
        self
    }

    pub(crate) fn nic(self, name: &str) -> Self {
        self.link(name, None)
    }

    pub(crate) fn change(mut self, name: &str, change: impl FnOnce(&mut Link)) -> Self {
        change(self.0.links.iter_mut().find(|link| link.name == name).unwrap());
        self
    }

    pub(crate) fn ifindex(&self, name: &str) -> Ifindex {
        self.0.links.iter().find(|link| link.name == name).unwrap().ifindex
    }

    pub(crate) fn port(self, name: &str, master: &str) -> Self {
        let master = self.ifindex(master);
        self.change(name, |link| link.master = Some(master))
    }

    /// An address with the route the kernel makes for it.
    pub(crate) fn address(mut self, name: &str, text: &str) -> Self {
        let net = net(text);
        let address = Address {
            ifindex: self.ifindex(name),
            net,
            scope_global: super::observed::is_global(&net.addr()),
            tentative: false,
            failed: false,
            no_prefix_route: false,
        };
        self.0.addresses.push(address);
        let metric = if net.addr().is_ipv6() { 256 } else { 0 };
        if name != "lo" && net.prefix_len() < net.max_prefix_len() {
            let prefix = net.trunc();
            self =
                self.route_with(name, &prefix.to_string(), None, TABLE_MAIN, metric, RTPROT_KERNEL);
        }
        self
    }

    pub(crate) fn change_address(mut self, change: impl FnOnce(&mut Address)) -> Self {
        change(self.0.addresses.last_mut().unwrap());
        self
    }

    pub(crate) fn route_with(
        mut self,
        name: &str,
        destination: &str,
        gateway: Option<&str>,
        table: u32,
        metric: u32,
        protocol: u8,
    ) -> Self {
        let destination = net(destination);
        self.0.routes.push(Route {
            table,
            destination,
            source: None,
            metric,
            preference: RouterPreference::default(),
            metrics: RouteMetrics::default(),
            kind: RouteKind::Unicast,
            protocol,
            scope_link: destination.addr().is_ipv4() && gateway.is_none(),
            next_hops: vec![self.hop(name, gateway)],
        });
        self
    }

    pub(crate) fn hop(&self, name: &str, gateway: Option<&str>) -> NextHop {
        NextHop {
            ifindex: self.ifindex(name),
            device: name.to_owned(),
            gateway: gateway.map(ip),
            onlink: false,
        }
    }

    pub(crate) fn route(self, name: &str, destination: &str, gateway: Option<&str>) -> Self {
        self.route_with(name, destination, gateway, TABLE_MAIN, 0, RTPROT_STATIC)
    }

    /// A route of main that is no default route.
    pub(crate) fn specific(mut self, name: &str, destination: &str, gateway: Option<&str>) -> Self {
        self = self.route(name, destination, gateway);
        let routes = self.0.routes.last().unwrap().main_routes();
        self.0.main_routes.extend(routes);
        self
    }

    /// A route of the local table, as `ip route add local` makes it.
    pub(crate) fn local(mut self, destination: &str) -> Self {
        self = self.route_with("lo", destination, None, TABLE_LOCAL, 0, RTPROT_STATIC);
        self.0.routes.last_mut().unwrap().kind = RouteKind::LOCAL;
        self
    }

    /// A default route in main.
    pub(crate) fn default(self, name: &str, gateway: &str, metric: u32) -> Self {
        let any = Family::of(&ip(gateway)).any().to_string();
        self.route_with(name, &any, Some(gateway), TABLE_MAIN, metric, RTPROT_STATIC)
    }

    pub(crate) fn rule(mut self, priority: u32, source: &str, table: u32) -> Self {
        let source = net(source);
        self.0.rules.push(rule(
            Family::of_net(&source),
            priority,
            Some(source),
            table,
            RTPROT_STATIC,
        ));
        self
    }

    pub(crate) fn neighbour(mut self, name: &str, address: &str, state: NeighbourState) -> Self {
        let neighbour = Neighbour {
            ifindex: self.ifindex(name),
            address: ip(address),
            state,
            managed: false,
            protocol: 0,
            confirmed: None,
        };
        self.0.neighbours.push(neighbour);
        self
    }

    pub(crate) fn uplinks(&self) -> Vec<Uplink> {
        uplinks(&Config::default(), &self.0)
    }
}

/// What is found while nothing but the kernel says which gateways answer.
pub(crate) fn found(config: &Config, observed: &Observed) -> (Vec<Discovered>, Vec<Skipped>) {
    discover(config, observed, &Health::default())
}

pub(crate) fn uplinks(config: &Config, observed: &Observed) -> Vec<Uplink> {
    allocate(&[], found(config, observed).0)
}

pub(crate) fn rule(
    family: Family,
    priority: u32,
    source: Option<IpNet>,
    table: u32,
    protocol: u8,
) -> Rule {
    Rule { source, table, protocol, ..Rule::nop(family, priority) }
}

/// Two NICs on two networks, both with a default route; the first one's is preferred.
pub(crate) fn two_networks() -> Host {
    Host::new()
        .nic("eth0")
        .nic("eth1")
        .address("eth0", "192.168.1.10/24")
        .address("eth0", "2001:db8:1::10/64")
        .address("eth1", "192.168.2.10/24")
        .address("eth1", "2001:db8:2::10/64")
        .default("eth0", "192.168.1.1", 0)
        .default("eth0", "fe80::1", 1024)
        .default("eth1", "192.168.2.1", 100)
        .default("eth1", "fe80::2", 2048)
}

/// Two uplinks on one subnet, with these addresses in turn.
pub(crate) fn crowd(addresses: &[IpAddr]) -> Host {
    let host = Host::new()
        .nic("eth0")
        .nic("eth1")
        .default("eth0", "10.0.255.254", 0)
        .default("eth1", "10.0.255.254", 100)
        .default("eth0", "fe80::1", 1024)
        .default("eth1", "fe80::1", 2048);
    let mut devices = ["eth0", "eth1"].into_iter().cycle();
    addresses.iter().fold(host, |host, address| {
        let length = if address.is_ipv4() { 16 } else { 64 };
        let device = devices.next().unwrap();
        let mut host = host.address(device, &format!("{address}/{length}"));
        // One route per interface and prefix, as the kernel makes them.
        let last = host.0.routes.pop().unwrap();
        if !host.0.routes.contains(&last) {
            host.0.routes.push(last);
        }
        host
    })
}

/// So many addresses for [`crowd`], of both families.
pub(crate) fn many(count: u16) -> Vec<IpAddr> {
    let address = |n: u16| {
        let [high, low] = (n / 2 + 1).to_be_bytes();
        match n % 4 {
            0 | 3 => ip(&format!("10.0.{high}.{low}")),
            _ => ip(&format!("2001:db8::{:x}", n / 2 + 1)),
        }
    };
    (0..count).map(address).collect()
}

/// Does what the plan says, and insists that each operation can be done.
pub(crate) fn carry_out(plan: &Plan, kernel: &mut Observed) {
    for op in &plan.ops {
        match op {
            Op::AddRule(rule) => {
                assert!(!kernel.rules.contains(rule), "EEXIST: {op}");
                kernel.rules.push(rule.clone());
            }
            Op::DeleteRule(rule) => {
                let index = kernel.rules.iter().position(|r| r == rule);
                kernel.rules.remove(index.unwrap_or_else(|| panic!("ENOENT: {op}")));
            }
            Op::AddRoute(route) => {
                assert!(kernel.routes.iter().all(|r| r.key() != route.key()), "EEXIST: {op}");
                kernel.routes.push(route.clone());
            }
            Op::ReplaceRoute { old, new } => {
                let there = kernel.routes.iter_mut().find(|r| *r == old);
                *there.unwrap_or_else(|| panic!("ENOENT: {op}")) = new.clone();
            }
            Op::DeleteRoute(route) => {
                let index = kernel.routes.iter().position(|r| r == route);
                kernel.routes.remove(index.unwrap_or_else(|| panic!("ESRCH: {op}")));
            }
            Op::ManageNeighbour(key) => {
                let known = kernel.neighbour(key.ifindex, key.address).map(|n| n.state);
                kernel.neighbours.retain(|n| (n.ifindex, n.address) != (key.ifindex, key.address));
                kernel.neighbours.push(Neighbour {
                    ifindex: key.ifindex,
                    address: key.address,
                    state: known.unwrap_or(NeighbourState::Resolved),
                    managed: true,
                    protocol: PROTOCOL,
                    confirmed: None,
                });
            }
            Op::ReleaseNeighbour(key) => {
                kernel.neighbours.retain(|n| (n.ifindex, n.address) != (key.ifindex, key.address));
            }
            Op::LoosenRpFilter(change) | Op::RestoreRpFilter(change) => {
                let mut links = kernel.links.iter_mut();
                let link = links.find(|l| l.ifindex == change.ifindex).unwrap();
                assert_eq!(link.rp_filter, Some(change.from), "{op}");
                link.rp_filter = Some(change.to);
            }
        }
    }
}
