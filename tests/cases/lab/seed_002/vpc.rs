//! A cloud's network: one subnet, one router, and a switch that drops whatever does not come from
//! the address that its port was given.
//!
//! ```text
//!   client 198.51.100.99, 2001:db8:ff::99
//!      | wan
//!   vpc: router 10.0.0.1 (and 10.0.1.1), fe80::1: DHCP, router advertisements
//!      | bridge `vpc`, ports eni1 eni2 eni3 (and peer): no foreign source passes
//!   host: ens5 10.0.0.129  ens6 10.0.0.204  ens7 10.0.0.77, IPv6 by MAC address
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use prroute_tests::addressing::Family;
use prroute_tests::advertiser::{Advertisement, Advertiser};
use prroute_tests::dhcp;
use prroute_tests::netns::{self, Namespace};
use prroute_tests::probe::{self, Outcome, Probe, Question};
use prroute_tests::scratch::Scratch;
use prroute_tests::wait;
use serde_json::Value;

/// For what takes a program of the lab a moment.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const BRIDGE: &str = "vpc";

/// The two subnets; a NIC is moved to the second one when it is renumbered.
const NETWORKS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(10, 0, 1, 0)];
const PREFIX6: &str = "2001:db8:a::/64";

/// A network interface of the cloud: the host's `ens5` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nic(pub(crate) u8);

impl Nic {
    pub(crate) const ALL: [Self; 3] = [Self(1), Self(2), Self(3)];

    pub(crate) fn device(self) -> String {
        format!("ens{}", 4 + self.0)
    }

    pub(crate) fn port(self) -> String {
        format!("eni{}", self.0)
    }

    pub(crate) fn mac(self) -> String {
        format!("02:00:00:00:00:1{}", self.0)
    }

    /// What the cloud gives it.
    pub(crate) fn address4(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, [129, 204, 77][usize::from(self.0) - 1])
    }

    /// What it gives it later.
    pub(crate) fn next_address4(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 1, 10 + self.0)
    }

    pub(crate) fn address(self, family: Family) -> Result<IpAddr> {
        match family {
            Family::V4 => Ok(self.address4().into()),
            Family::V6 => format!("2001:db8:a::ff:fe00:1{}", self.0).parse().context("an address"),
        }
    }
}

/// The remote client's address.
pub(crate) fn remote(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(198, 51, 100, 99).into(),
        Family::V6 => [0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 0x99].into(),
    }
}

/// The address of another machine in the subnet.
pub(crate) fn peer(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 0, 0, 200).into(),
        Family::V6 => [0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x200].into(),
    }
}

/// The network, and who asks.
pub(crate) struct Vpc {
    // Dropped in this order: programs before the namespaces they run in.
    pub(crate) dhcp: dhcp::Server,
    _advertiser: Advertiser,
    pub(crate) client: Namespace,
    pub(crate) peer: Namespace,
    pub(crate) router: Namespace,
    pub(crate) scratch: Scratch,
    pub(crate) name: String,
}

impl Vpc {
    pub(crate) fn build() -> Result<Self> {
        let name = netns::unique_name();
        let router = Namespace::create(&name, "vpc", false)?;
        let client = Namespace::create(&name, "client", false)?;
        let peer = Namespace::create(&name, "peer", false)?;
        let scratch = Scratch::create(&name, false)?;
        router.sysctl(&["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])?;
        router.ip_batch(&format!(
            "link add name {BRIDGE} address 02:00:00:00:00:01 type bridge forward_delay 0 \
             mcast_snooping 0\n\
             link set {BRIDGE} up\n\
             address add 10.0.0.1/24 dev {BRIDGE}\n\
             address add 10.0.1.1/24 dev {BRIDGE}\n\
             address add 2001:db8:a::1/64 dev {BRIDGE} nodad\n\
             link add name wan type veth peer name eth0 netns {client}\n\
             address add 198.51.100.1/24 dev wan\n\
             address add 2001:db8:ff::1/64 dev wan nodad\n\
             link set wan up\n\
             link add name peer type veth peer name eth0 netns {peer}\n\
             link set peer master {BRIDGE} up\n",
            client = client.name(),
            peer = peer.name(),
        ))?;
        for (namespace, of, router) in [
            (&client, remote as fn(Family) -> IpAddr, ["198.51.100.1", "2001:db8:ff::1"]),
            (&peer, self::peer, ["10.0.0.1", "2001:db8:a::1"]),
        ] {
            namespace.ip_batch(&format!(
                "link set eth0 up\n\
                 address add {}/24 dev eth0\naddress add {}/64 dev eth0 nodad\n\
                 route add default via {}\nroute add default via {}\n",
                of(Family::V4),
                of(Family::V6),
                router[0],
                router[1]
            ))?;
        }
        router.nft(&guard()?)?;
        let addresses: BTreeMap<_, _> =
            Nic::ALL.iter().map(|nic| (nic.mac(), nic.address4())).collect();
        let dhcp = dhcp::Server::start(&router, BRIDGE, &scratch, &NETWORKS, addresses)?;
        let advertisement = Advertisement::of(PREFIX6);
        let advertiser = Advertiser::start(&router, BRIDGE, &scratch, &advertisement)?;
        Ok(Self { dhcp, _advertiser: advertiser, client, peer, router, scratch, name })
    }

    /// The remote client and the other machine ask by HTTP and ping.
    pub(crate) fn ask(&self, targets: &[IpAddr]) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for (namespace, of) in
            [(&self.client, remote as fn(Family) -> IpAddr), (&self.peer, self::peer)]
        {
            let probes: Vec<Probe> = targets
                .iter()
                .flat_map(|&target| {
                    let source = of(Family::of(target));
                    [Question::Tcp(80), Question::Ping].map(|question| Probe {
                        question,
                        source,
                        target,
                    })
                })
                .collect();
            outcomes.extend(probe::ask_all(namespace, &probes)?);
        }
        Ok(outcomes)
    }

    /// Waits until everything is answered.
    pub(crate) fn answers(&self, targets: &[IpAddr]) -> Result<()> {
        let mut last = Vec::new();
        wait::until("everything is answered", DEADLINE, || {
            last = self.ask(targets)?;
            Ok(probe::expect_all_answered(&last).is_ok().then_some(()))
        })
        .with_context(|| probe::listing(&last))
    }

    /// The IP packets that came from a port which does not own their source: port, source,
    /// destination and protocol, one a line. And ports and link-layer addresses of frames likewise.
    pub(crate) fn spoofed(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for set in SPOOFED {
            let json = self.router.run(&["nft", "-j", "list", "set", "bridge", "guard", set])?;
            let json: Value = serde_json::from_str(&json).context("parse nft's set")?;
            let objects = json["nftables"].as_array().into_iter().flatten();
            let elements = objects.filter_map(|object| object["set"]["elem"].as_array()).flatten();
            lines.extend(elements.map(ToString::to_string));
        }
        Ok(lines)
    }

    /// Forgets what was dropped until now. And addresses that nobody answered for: with a strict rp_filter
    /// the host ignores questions for them, and whoever asks again within three seconds waits for the end
    /// of the question before.
    pub(crate) fn forget(&self) -> Result<()> {
        for namespace in [&self.client, &self.peer, &self.router] {
            namespace.ip("neigh flush all")?;
        }
        let flush = |set| self.router.run(&["nft", "flush", "set", "bridge", "guard", set]);
        SPOOFED.into_iter().try_for_each(|set| flush(set).map(drop))
    }
}

/// Sets of what was dropped.
const SPOOFED: [&str; 3] = ["spoofed4", "spoofed6", "spoofed_macs"];

/// No frame and no IP packet with an address that the port was not given, and no ARP answer.
fn guard() -> Result<String> {
    let mut owners = [String::new(), String::new()];
    let mut macs = String::new();
    for nic in Nic::ALL {
        macs += &format!("\"{}\" . {}, ", nic.port(), nic.mac());
        for address in [nic.address4(), nic.next_address4()] {
            owners[0] += &format!("\"{}\" . {address}, ", nic.port());
        }
        owners[1] += &format!("\"{}\" . {}, ", nic.port(), nic.address(Family::V6)?);
    }
    let [owners4, owners6] = owners;
    Ok(format!(
        "table bridge guard {{
    set owners4 {{ typeof iifname . ip saddr; elements = {{ {owners4} }} }}
    set owners6 {{ typeof iifname . ip6 saddr; elements = {{ {owners6} }} }}
    set macs {{ typeof iifname . ether saddr; elements = {{ {macs} }}; }}
    set spoofed_macs {{ typeof iifname . ether saddr; flags dynamic; size 256; }}
    set spoofed4 {{
        typeof iifname . ip saddr . ip daddr . ip protocol; flags dynamic; size 256
    }}
    set spoofed6 {{
        typeof iifname . ip6 saddr . ip6 daddr . meta l4proto; flags dynamic; size 256
    }}
    chain from_nics {{
        type filter hook prerouting priority 0; policy accept;
        iifname != \"eni*\" accept
        iifname . ether saddr != @macs add @spoofed_macs {{ iifname . ether saddr }} drop
        ip saddr 0.0.0.0 udp dport 67 accept
        ip6 saddr {{ ::, fe80::/10 }} accept
        ether type arp arp saddr ip != 0.0.0.0 iifname . arp saddr ip != @owners4 drop
        ether type ip iifname . ip saddr != @owners4 add @spoofed4 \
            {{ iifname . ip saddr . ip daddr . ip protocol }} drop
        ether type ip6 iifname . ip6 saddr != @owners6 add @spoofed6 \
            {{ iifname . ip6 saddr . ip6 daddr . meta l4proto }} drop
    }}
}}
"
    ))
}
