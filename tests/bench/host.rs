//! The host namespaces that differ in one thing only, each with a peer of its own.
//!
//! ```text
//!   peer                         198.51.100.11 on w2: the client
//!    | w1         | w2           10.0.1.1   10.0.2.1: the gateways
//!    | up1        | up2          10.0.1.10  10.0.2.10
//!   host    default route by up1; requests come in by up2
//! ```
//!
//! The peer has no firewall: a reply that leaves by the wrong uplink arrives as well, so that
//! also a host that does nothing can be timed.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use prroute_tests::addressing::{self, Family};
use prroute_tests::bpf::{self, Direction, Place};
use prroute_tests::command::output_within;
use prroute_tests::netns::{self, Namespace};

use crate::cgroup::Cgroup;

/// Routing table of uplink 2 in the variants that need one.
const TABLE: u32 = 102;

/// The container's port, published by the host under the same number.
pub(crate) const PUBLISHED: u16 = 9000;

/// What a host does about replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Nothing: replies leave by the wrong uplink.
    Nothing,
    /// Source rules, and a program that sends what leaves by the wrong uplink to the other one's
    /// gateway, and does nothing else: the price of a redirect.
    BareRedirect,
    /// Plain source rules.
    SourceRules,
    /// The same once more: what differs between the two is the error of the method.
    SourceRulesAgain,
    /// Source rules, and programs that do nothing where prroute has its own.
    EmptyPrograms,
    Prroute,
    PrrouteLastHop,
    /// prroute's rules and tables without its programs: what the daemon left, with them detached.
    PrrouteRulesAlone,
    /// prroute without its programs on sockets (`udp-source = false`).
    PrrouteWithoutSockets,
    /// Marks saved and restored by conntrack, by iptables-legacy.
    ConnmarkLegacy,
    /// The same by iptables-nft.
    ConnmarkNft,
    /// The same as an nftables ruleset.
    CtMark,
    /// Source rules, and conntrack for something else.
    Conntrack,
}

impl Variant {
    pub(crate) const ALL: [Self; 13] = [
        Self::SourceRules,
        Self::SourceRulesAgain,
        Self::EmptyPrograms,
        Self::Prroute,
        Self::PrrouteLastHop,
        Self::PrrouteRulesAlone,
        Self::PrrouteWithoutSockets,
        Self::ConnmarkLegacy,
        Self::ConnmarkNft,
        Self::CtMark,
        Self::Conntrack,
        Self::Nothing,
        Self::BareRedirect,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::BareRedirect => "bare-redirect",
            Self::SourceRules => "source-rules",
            Self::SourceRulesAgain => "source-rules-again",
            Self::EmptyPrograms => "empty-programs",
            Self::Prroute => "prroute",
            Self::PrrouteLastHop => "prroute-last-hop",
            Self::PrrouteRulesAlone => "prroute-rules-alone",
            Self::PrrouteWithoutSockets => "prroute-without-sockets",
            Self::ConnmarkLegacy => "connmark-legacy",
            Self::ConnmarkNft => "connmark-nft",
            Self::CtMark => "ct-mark",
            Self::Conntrack => "conntrack",
        }
    }

    pub(crate) fn is_prroute(self) -> bool {
        matches!(
            self,
            Self::Prroute
                | Self::PrrouteLastHop
                | Self::PrrouteRulesAlone
                | Self::PrrouteWithoutSockets
        )
    }
}

/// A host and its peer.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) variant: Variant,
    pub(crate) host: Namespace,
    pub(crate) peer: Namespace,
    /// A container behind address translation, where the workload wants one.
    pub(crate) container: Option<Namespace>,
    /// Of the sockets that prroute's own programs on sockets are for.
    pub(crate) cgroup: Option<Cgroup>,
    /// What keeps programs that are not prroute's attached.
    links: Vec<OwnedFd>,
    name: String,
}

impl Host {
    /// Builds the namespaces; prroute is not started yet.
    pub(crate) fn build(variant: Variant, with_container: bool) -> Result<Self> {
        let name = netns::unique_name();
        let host = Namespace::create(&name, "host", false)?;
        let peer = Namespace::create(&name, "peer", false)?;
        let container =
            with_container.then(|| Namespace::create(&name, "ctr", false)).transpose()?;
        let cgroup = variant.is_prroute().then(|| Cgroup::create(&name)).transpose()?;
        let links = Vec::new();
        let mut built = Self { variant, host, peer, container, cgroup, links, name };
        built.connect()?;
        built.connect_container()?;
        built.steer()?;
        match variant {
            Variant::EmptyPrograms => built.attach_empty_programs()?,
            Variant::BareRedirect => built.redirect_everything()?,
            _ => {}
        }
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
        match &self.container {
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
        let mut quiet = Vec::new();
        for scope in ["all", "default"] {
            quiet.push(format!("net.ipv4.conf.{scope}.rp_filter=0"));
        }
        for namespace in [&self.host, &self.peer] {
            namespace.sysctl(&quiet.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        // Connections that the client closed are not kept: their number would grow with the run.
        self.peer.sysctl(&[
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

    fn connect_container(&self) -> Result<()> {
        let Some(container) = &self.container else { return Ok(()) };
        self.host.sysctl(&["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])?;
        let name = container.name();
        let mut here = format!("link add name ctr0 type veth peer name eth0 netns {name}\n");
        here += "link set ctr0 up\n";
        let mut there = String::from("link set eth0 up\n");
        let mut ruleset = String::new();
        for family in Family::BOTH {
            let length = addressing::prefix_length(family);
            let gateway = addressing::guest_gateway(family);
            let guest = addressing::guest(family);
            here += &format!("addr add {gateway}/{length} dev ctr0\n");
            there += &format!("addr add {guest}/{length} dev eth0\n");
            there += &format!("route add default via {gateway}\n");
            let (table, address) = match family {
                Family::V4 => ("ip", format!("{guest}:{PUBLISHED}")),
                Family::V6 => ("ip6", format!("[{guest}]:{PUBLISHED}")),
            };
            ruleset += &format!(
                "table {table} published {{ chain c {{ type nat hook prerouting priority dstnat; \
                 {table} daddr {} meta l4proto {{ tcp, udp }} th dport {PUBLISHED} dnat to {address}; }}; }}\n",
                Self::asked(family)
            );
        }
        self.host.ip_batch(&here)?;
        container.ip_batch(&there)?;
        self.host.nft(&ruleset)
    }

    /// The one thing in which hosts differ.
    fn steer(&self) -> Result<()> {
        match self.variant {
            Variant::Nothing
            | Variant::Prroute
            | Variant::PrrouteLastHop
            | Variant::PrrouteRulesAlone
            | Variant::PrrouteWithoutSockets => Ok(()),
            Variant::SourceRules
            | Variant::SourceRulesAgain
            | Variant::EmptyPrograms
            | Variant::BareRedirect => self.source_rules(),
            Variant::Conntrack => {
                self.source_rules()?;
                self.host.nft(
                    "table inet tracked { chain c { type filter hook input priority 0; \
                     ct state established accept; }; }",
                )
            }
            Variant::ConnmarkLegacy => self.connmark("legacy"),
            Variant::ConnmarkNft => self.connmark("nft"),
            Variant::CtMark => {
                self.mark_rules()?;
                self.host.nft(CT_MARK)
            }
        }
    }

    fn attach_empty_programs(&mut self) -> Result<()> {
        let program = bpf::empty_program()?;
        for number in [1, 2] {
            let device = addressing::device(number);
            for direction in [Direction::Ingress, Direction::Egress] {
                let place = Place::Head;
                let link = bpf::attach(&self.host, &device, direction, place, program.as_fd())?;
                self.links.push(link);
            }
        }
        Ok(())
    }

    fn redirect_everything(&mut self) -> Result<()> {
        let [from, to] = [1, 2].map(addressing::device);
        let IpAddr::V4(gateway) = addressing::gateway(2, Family::V4) else {
            bail!("the gateway of IPv4 is none");
        };
        // What waits for an answer to ARP would go to the wrong address then.
        let mac = addressing::gateway_mac(2);
        self.host.ip(&format!("neigh replace {gateway} lladdr {mac} dev {to} nud permanent"))?;
        let ifindex = self.host.inside(|| Ok(nix::net::if_::if_nametoindex(to.as_str())?))?;
        let program = bpf::redirecting_program(ifindex, gateway)?;
        let (direction, place) = (Direction::Egress, Place::Head);
        self.links.push(bpf::attach(&self.host, &from, direction, place, program.as_fd())?);
        Ok(())
    }

    fn source_rules(&self) -> Result<()> {
        self.second_table()?;
        for family in Family::BOTH {
            let from = Self::asked(family);
            self.host.ip(&format!("{} rule add from {from} lookup {TABLE}", family.option()))?;
        }
        Ok(())
    }

    fn mark_rules(&self) -> Result<()> {
        self.second_table()?;
        for family in Family::BOTH {
            self.host.ip(&format!("{} rule add fwmark 0x1 lookup {TABLE}", family.option()))?;
        }
        Ok(())
    }

    fn second_table(&self) -> Result<()> {
        for family in Family::BOTH {
            let (gateway, up) = (addressing::gateway(2, family), addressing::device(2));
            self.host.ip(&format!("route add default via {gateway} dev {up} table {TABLE}"))?;
        }
        Ok(())
    }

    fn connmark(&self, flavour: &str) -> Result<()> {
        self.mark_rules()?;
        let up = addressing::device(2);
        let rules = format!(
            "*mangle\n\
             -A PREROUTING -m conntrack ! --ctstate NEW --ctdir REPLY -m connmark ! --mark 0x0 \
             -j CONNMARK --restore-mark\n\
             -A OUTPUT -m conntrack ! --ctstate NEW --ctdir REPLY -m connmark ! --mark 0x0 \
             -j CONNMARK --restore-mark\n\
             -A PREROUTING -i {up} -m conntrack --ctstate NEW --ctdir ORIGINAL \
             -j CONNMARK --set-mark 0x1\n\
             COMMIT\n"
        );
        for program in ["iptables", "ip6tables"] {
            let restore = format!("{program}-{flavour}-restore");
            output_within(&mut self.host.command(&[&restore]), Duration::from_secs(30), &rules)
                .and_then(prroute_tests::command::Output::success)
                .with_context(|| format!("mark connections with {restore}"))?;
        }
        Ok(())
    }
}

/// The same marks in nftables' own words.
const CT_MARK: &str = "
table inet marks {
    chain prerouting {
        type filter hook prerouting priority mangle;
        ct state != new ct direction reply ct mark != 0 meta mark set ct mark
        iifname up2 ct state new ct direction original ct mark set 1
    }
    chain output {
        type route hook output priority mangle;
        ct state != new ct direction reply ct mark != 0 meta mark set ct mark
    }
}";
