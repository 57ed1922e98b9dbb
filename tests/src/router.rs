//! One provider's router: a stateful firewall against spoofing, which knows only its own link.
//!
//! It drops an answer whose request it did not see, a source that is not of its link, and
//! whatever the host opens outside [`addressing::OUTBOUND_PORTS`]. Before it decides it counts
//! each packet that arrives from the host's side, so that dropped ones are seen too.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::addressing::{self, Family};
use crate::netns::Namespace;

/// The bridge towards the host.
pub const LAN: &str = "lan";
/// The device on the WAN.
pub const WAN: &str = "wan";

/// A router between the WAN and one uplink of the host.
#[derive(Debug)]
pub struct Router {
    pub number: u8,
    pub namespace: Namespace,
}

/// Packets that arrived from the host's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrivals {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u64,
    pub packets: u64,
}

impl Router {
    /// Its link stays up, and it answers nobody on the host's side.
    pub fn fall_silent(&self) -> Result<()> {
        self.namespace.nft(
            "table netdev silence {
                chain in { type filter hook ingress device host priority 0; policy drop; }
            }",
        )
    }

    pub fn answer_again(&self) -> Result<()> {
        self.namespace.nft("delete table netdev silence")
    }

    /// Creates the namespace and its bridge; the lab connects it.
    pub fn create(lab: &str, number: u8, keep: bool) -> Result<Self> {
        let namespace = Namespace::create(lab, &format!("r{number}"), keep)?;
        namespace.sysctl(&[
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.ipv4.conf.all.rp_filter=1",
            "net.ipv4.conf.default.rp_filter=1",
            "net.ipv4.conf.default.send_redirects=0",
            "net.ipv4.conf.all.send_redirects=0",
            "net.netfilter.nf_conntrack_tcp_loose=0",
            // Its 30 s for a short exchange would be a deadline of whatever happens between two datagrams.
            "net.netfilter.nf_conntrack_udp_timeout=600",
        ])?;
        // Where the kernel has bridge netfilter, it would route what the bridge only switches.
        namespace.run(&[
            "sysctl",
            "-q",
            "-e",
            "-w",
            "net.bridge.bridge-nf-call-iptables=0",
            "net.bridge.bridge-nf-call-ip6tables=0",
        ])?;
        namespace.ip_batch(&format!(
            "link add name {LAN} address {mac} type bridge forward_delay 0 mcast_snooping 0\n\
             link set {LAN} up\n",
            mac = addressing::gateway_mac(number),
        ))?;
        Ok(Self { number, namespace })
    }

    /// Addresses, routes and the firewall, once all devices are there.
    pub fn configure(&self, knows_host: bool) -> Result<()> {
        let n = self.number;
        let mut batch =
            format!("address add {}/64 dev {LAN} nodad\n", addressing::GATEWAY_LINK_LOCAL);
        for family in Family::BOTH {
            let length = addressing::prefix_length(family);
            let host = addressing::host(n, family);
            let at_once = addressing::at_once(family);
            for (address, device) in
                [(addressing::gateway(n, family), LAN), (addressing::router_wan(n, family), WAN)]
            {
                batch += &format!("address add {address}/{length} dev {device} {at_once}\n");
            }
            batch += &format!("route add {} via {host} dev {LAN}\n", addressing::shared(family));
            if knows_host {
                let mac = addressing::host_mac(n);
                batch += &format!("neigh add {host} lladdr {mac} dev {LAN} nud permanent\n");
            }
        }
        self.namespace.ip_batch(&batch)?;
        self.namespace.nft(&self.ruleset())
    }

    fn ruleset(&self) -> String {
        let n = self.number;
        let (v4, v6) = (Family::V4, Family::V6);
        format!(
            "table inet firewall {{
    set from_host4 {{
        typeof ip saddr . ip daddr . ip protocol
        flags dynamic
        counter
        size 65536
    }}
    set from_host6 {{
        typeof ip6 saddr . ip6 daddr . meta l4proto
        flags dynamic
        counter
        size 65536
    }}
    chain arrivals {{
        type filter hook prerouting priority raw; policy accept;
        iifname {LAN} update @from_host4 {{ ip saddr . ip daddr . ip protocol }}
        iifname {LAN} update @from_host6 {{ ip6 saddr . ip6 daddr . meta l4proto }}
        ip saddr {stateless4} notrack
        ip daddr {stateless4} notrack
        ip6 saddr {stateless6} notrack
        ip6 daddr {stateless6} notrack
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
        iifname {LAN} ip saddr != {{ {prefix4}, {shared4}, {guests4} }} counter drop comment \"spoofed\"
        iifname {LAN} ip6 saddr != {{ {prefix6}, {shared6}, {guests6} }} counter drop comment \"spoofed\"
        ct state invalid counter drop
        ct state {{ established, related, untracked }} accept
        iifname {WAN} ct state new accept
        iifname {LAN} ip saddr {neighbour4} ct state new accept
        iifname {LAN} ip6 saddr {neighbour6} ct state new accept
        iifname {LAN} ct state new tcp dport {ports} tcp flags & (syn | ack) == syn accept
        iifname {LAN} ct state new udp dport {ports} accept
        iifname {LAN} ct state new icmp type echo-request accept
        iifname {LAN} ct state new icmpv6 type echo-request accept
        counter comment \"not asked for\"
    }}
}}
",
            prefix4 = addressing::prefix(n, v4),
            prefix6 = addressing::prefix(n, v6),
            shared4 = addressing::shared(v4),
            shared6 = addressing::shared(v6),
            guests4 = addressing::guests(v4),
            guests6 = addressing::guests(v6),
            neighbour4 = addressing::neighbour(n, v4),
            neighbour6 = addressing::neighbour(n, v6),
            stateless4 = addressing::stateless_client(v4),
            stateless6 = addressing::stateless_client(v6),
            ports = addressing::OUTBOUND_PORTS,
        )
    }

    /// What arrived from the host's side since the lab was built, dropped packets included.
    pub fn arrivals(&self) -> Result<Vec<Arrivals>> {
        let mut arrivals = Vec::new();
        for set in ["from_host4", "from_host6"] {
            let json =
                self.namespace.run(&["nft", "-j", "list", "set", "inet", "firewall", set])?;
            let json: Value = serde_json::from_str(&json).context("parse nft's set")?;
            let elements = json["nftables"]
                .as_array()
                .and_then(|objects| objects.iter().find_map(|object| object.get("set")))
                .with_context(|| format!("no set {set} in {json}"))?;
            for element in elements["elem"].as_array().into_iter().flatten() {
                arrivals
                    .push(parse(element).with_context(|| format!("unknown element {element}"))?);
            }
        }
        Ok(arrivals)
    }

    /// How many packets from `source` to `destination` arrived from the host's side.
    pub fn arrived(&self, source: IpAddr, destination: IpAddr) -> Result<u64> {
        let matching = self.arrivals()?.into_iter();
        let matching = matching.filter(|a| a.source == source && a.destination == destination);
        Ok(matching.map(|a| a.packets).sum())
    }
}

fn parse(element: &Value) -> Option<Arrivals> {
    let element = &element["elem"];
    let key = element["val"]["concat"].as_array()?;
    let protocol = &key.get(2)?;
    Some(Arrivals {
        source: key.first()?.as_str()?.parse().ok()?,
        destination: key.get(1)?.as_str()?.parse().ok()?,
        protocol: protocol.as_u64().or_else(|| number(protocol.as_str()?))?,
        packets: element["counter"]["packets"].as_u64()?,
    })
}

fn number(protocol: &str) -> Option<u64> {
    Some(match protocol {
        "icmp" => 1,
        "igmp" => 2,
        "tcp" => 6,
        "udp" => 17,
        "gre" => 47,
        "esp" => 50,
        "ipv6-icmp" | "icmpv6" => 58,
        "vrrp" => 112,
        "sctp" => 132,
        _ => return None,
    })
}
