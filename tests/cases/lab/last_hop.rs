//! Last hop: where no gateway is known, or the configuration says so, an answer goes to the
//! router its request came from.

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Defaults, Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::probe::{self, Probe, Question};
use prroute_tests::prroute::Instance;
use prroute_tests::{services, socket, wait};

const PORT: u16 = 7007;

/// A second NIC without a default route anywhere; it is named, because it is a veth.
const NAMED: &str = "[[uplink]]\nname = \"up2\"\n";
const LAST_HOP: &str = "[[uplink]]\nname = \"up2\"\nreply = \"last-hop\"\n";

const ONE_DEFAULT: Topology =
    Topology { uplinks: 2, defaults: Defaults::FirstOnly, rp_filter: 1, ..Topology::DEFAULT };

#[test]
fn a_second_nic_without_a_default_route_is_answered() -> Result<()> {
    for routers_know_host in [true, false] {
        let lab = Lab::with_services(Topology { routers_know_host, ..ONE_DEFAULT })?;
        let probes = probe::to_everything(2);
        lab.meet_default_gateway()?;
        probe::expect_answered(&lab.ask(&probes)?, |probe| probe.uplink() == 1)
            .context("without prroute")?;
        lab.forget_neighbours()?;
        lab.with_configuration(NAMED, |_| probe::expect_all_answered(&lab.ask(&probes)?))?;
    }
    Ok(())
}

/// A second router on uplink 2's segment: 10.0.2.2, 2001:db8:2::2. Like the first it is stateful,
/// and drops answers whose requests it did not see.
struct Second {
    namespace: Namespace,
}

const SECOND_MAC: &str = "02:00:00:00:02:02";
const MOVED_MAC: &str = "02:00:00:00:02:22";

/// The client's address whose packets take the second router.
fn second_client(family: Family) -> Result<IpAddr> {
    Ok(match family {
        Family::V4 => "198.51.100.52".parse()?,
        Family::V6 => "2001:db8:ff::52".parse()?,
    })
}

impl Second {
    fn connect(lab: &Lab) -> Result<Self> {
        let namespace = lab.stranger(2, "second")?;
        namespace.sysctl(&[
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.netfilter.nf_conntrack_tcp_loose=0",
        ])?;
        lab.client.ip_batch(&format!(
            "link add name second type veth peer name wan netns {}\nlink set second master wan up\n",
            namespace.name()
        ))?;
        namespace.ip_batch(&format!(
            "link set eth0 address {SECOND_MAC}\nlink set wan up\n\
             address add 10.0.2.2/24 dev eth0\naddress add 2001:db8:2::2/64 dev eth0 nodad\n\
             address add 198.51.100.252/24 dev wan\naddress add 2001:db8:ff::252/64 dev wan nodad\n"
        ))?;
        for family in Family::BOTH {
            let (option, client) = (family.option(), second_client(family)?);
            let (shared, host) = (addressing::shared(family), addressing::host(2, family));
            let length = addressing::wan_prefix_length(family);
            let router = match family {
                Family::V4 => "198.51.100.252",
                Family::V6 => "2001:db8:ff::252",
            };
            namespace.ip(&format!("route add {shared} via {host}"))?;
            let at_once = addressing::at_once(family);
            lab.client.ip(&format!("address add {client}/{length} dev wan {at_once}"))?;
            lab.client.ip(&format!("{option} route add default via {router} dev wan table 152"))?;
            lab.client.ip(&format!("{option} rule add priority 99 from {client} lookup 152"))?;
        }
        namespace.nft(
            "table inet firewall {
                chain forward {
                    type filter hook forward priority filter; policy drop;
                    ct state established,related accept
                    iifname wan ct state new accept
                }
            }",
        )?;
        Ok(Self { namespace })
    }
}

fn questions() -> Result<Vec<Probe>> {
    let mut probes = Vec::new();
    for family in Family::BOTH {
        for source in [addressing::client(2, family), second_client(family)?] {
            for target in [addressing::host(2, family), addressing::shared(family)] {
                let probe = |question| Probe { question, source, target };
                probes.extend(Question::ALL.map(probe));
            }
        }
    }
    Ok(probes)
}

/// 24 questions through two stateful routers.
#[test]
fn each_of_two_routers_gets_the_answers_to_its_requests() -> Result<()> {
    for (configuration, defaults) in
        [(NAMED, Defaults::FirstOnly), (LAST_HOP, Defaults::EveryUplink)]
    {
        let lab = Lab::with_services(Topology { defaults, ..ONE_DEFAULT })?;
        let second = Second::connect(&lab)?;
        let probes = questions()?;
        assert_eq!(probes.len(), 24);
        lab.meet_default_gateway()?;
        probe::expect_answered(&lab.ask(&probes)?, |_| false).context("without prroute")?;
        lab.with_configuration(configuration, |_| {
            probe::expect_all_answered(&lab.ask(&probes)?)
                .with_context(|| format!("{configuration:?}, {defaults:?}"))
        })?;
        drop(second);
    }
    Ok(())
}

/// What the client behind the second router has to say to one address of the host.
struct Conversation {
    target: IpAddr,
    tcp: TcpStream,
    udp: UdpSocket,
}

impl Conversation {
    fn go_on(&mut self) -> Result<()> {
        let Self { target, tcp, udp } = self;
        for _ in 0..3 {
            echo::tcp_round(tcp, 100).with_context(|| target.to_string())?;
            ensure!(echo::udp_round(udp, SocketAddr::new(*target, PORT), 100)?, "{target}");
        }
        Ok(())
    }
}

/// To uplink 2's own addresses and to the shared ones.
fn conversations(lab: &Lab) -> Result<Vec<Conversation>> {
    let mut conversations = Vec::new();
    for family in Family::BOTH {
        for target in [addressing::host(2, family), addressing::shared(family)] {
            let source = second_client(family)?;
            let tcp = socket::tcp(&lab.client, source, target, PORT)?;
            let udp = socket::udp(&lab.client, source, 0)?;
            let mut conversation = Conversation { target, tcp, udp };
            conversation.go_on()?;
            conversations.push(conversation);
        }
    }
    wait_acknowledged(lab)?;
    Ok(conversations)
}

/// What the host still waits for an acknowledgement of it sends again, to the router that it knows.
fn wait_acknowledged(lab: &Lab) -> Result<()> {
    wait::until("everything is acknowledged", Duration::from_secs(10), || {
        let sockets = lab.host.run(&["ss", "-Htn", "state", "established"])?;
        let mut unacknowledged = sockets.lines().filter_map(|line| line.split_whitespace().nth(1));
        Ok(unacknowledged.all(|bytes| bytes == "0").then_some(()))
    })
}

/// Datagrams prove nothing: while the old router was heard of lately, another one gets none.
fn wait_silent(prroute: &Instance<'_>) -> Result<()> {
    wait::until("the old router is silent", Duration::from_secs(10), || {
        let young = prroute.flows(|flow| {
            flow["protocol_number"] == 17
                && flow["idle_seconds"].as_f64().is_some_and(|idle| idle < 3.2)
        })?;
        Ok(young.is_empty().then_some(()))
    })
}

/// Another device takes over a router's address: answers follow the requests, also those of
/// connections that were there before.
#[test]
fn a_router_that_changes_its_mac_keeps_its_flows() -> Result<()> {
    let lab = Lab::build(ONE_DEFAULT)?;
    let second = Second::connect(&lab)?;
    let echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    lab.with_configuration(LAST_HOP, |prroute| {
        let mut conversations = conversations(&lab)?;
        second.namespace.ip("link set eth0 down")?;
        second.namespace.ip(&format!("link set eth0 address {MOVED_MAC}"))?;
        second.namespace.ip("link set eth0 up")?;
        // It went down with its IPv6 addresses and routes.
        second.namespace.ip("address replace 2001:db8:2::2/64 dev eth0")?;
        for family in Family::BOTH {
            let (shared, host) = (addressing::shared(family), addressing::host(2, family));
            second.namespace.ip(&format!("route replace {shared} via {host}"))?;
        }
        wait_silent(prroute)?;
        let old = format!("(ip or ip6) and ether dst {SECOND_MAC}");
        let old = Capture::start(&lab.host, "up2", "out", &old)?;
        conversations.iter_mut().try_for_each(Conversation::go_on)?;
        assert_eq!(old.stop()?, Vec::<String>::new(), "to a router that is gone");
        Ok(())
    })?;
    drop(echo);
    Ok(())
}

/// A router dies, and the provider sends the client's packets through the other one: flows do
/// not stay with the dead one.
#[test]
fn a_router_that_dies_does_not_keep_its_flows() -> Result<()> {
    let lab = Lab::build(ONE_DEFAULT)?;
    let second = Second::connect(&lab)?;
    let echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    // Neither router looks at states here: a connection may come to the one that lives.
    second.namespace.run(&["nft", "flush", "ruleset"])?;
    lab.router(2).namespace.run(&["nft", "flush", "ruleset"])?;
    lab.with_configuration(LAST_HOP, |prroute| {
        let mut conversations = conversations(&lab)?;
        second.namespace.ip("link set eth0 down")?;
        for family in Family::BOTH {
            let (option, router) = (family.option(), addressing::router_wan(2, family));
            lab.client
                .ip(&format!("{option} route replace default via {router} dev wan table 152"))?;
        }
        wait_silent(prroute)?;
        conversations.iter_mut().try_for_each(Conversation::go_on)
    })?;
    drop(echo);
    Ok(())
}

/// Clients on uplink 2's own link, in every mode.
#[test]
fn clients_on_the_link_are_answered_directly() -> Result<()> {
    const GATEWAY: &str = "[[uplink]]\nname = \"up2\"\nreply = \"gateway\"\n";
    for (configuration, defaults) in [
        (NAMED, Defaults::FirstOnly),
        (LAST_HOP, Defaults::EveryUplink),
        (GATEWAY, Defaults::EveryUplink),
    ] {
        let lab = Lab::with_services(Topology { defaults, ..ONE_DEFAULT })?;
        let neighbour = lab.stranger(2, "onlink")?;
        lab.settle(&neighbour, 2)?;
        let mut probes = Vec::new();
        for family in Family::BOTH {
            let source = addressing::neighbour(2, family);
            for target in [addressing::host(2, family), addressing::shared(family)] {
                let probe = |question| Probe { question, source, target };
                probes.extend(Question::ALL.map(probe));
            }
        }
        lab.with_configuration(configuration, |_| {
            let mac = addressing::gateway_mac(2);
            let (v4, v6) =
                (addressing::neighbour(2, Family::V4), addressing::neighbour(2, Family::V6));
            let detour = format!("ether dst {mac} and (dst host {v4} or dst host {v6})");
            let detour = Capture::start(&lab.host, "up2", "out", &detour)?;
            probe::expect_all_answered(&probe::ask_all(&neighbour, &probes)?)
                .with_context(|| format!("{configuration:?}, {defaults:?}"))?;
            assert_eq!(detour.stop()?, Vec::<String>::new(), "by the router: {configuration:?}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Connections that the host opens over a last-hop uplink take no part in it.
#[test]
fn what_the_host_opens_goes_where_routing_sends_it() -> Result<()> {
    let lab = Lab::build(ONE_DEFAULT)?;
    let echo = Echo::start(&lab.client, &Family::BOTH.map(addressing::stateless_client), PORT)?;
    lab.with_configuration(NAMED, |prroute| {
        for family in Family::BOTH {
            lab.steer(1, family)?;
            let (source, target) =
                (addressing::shared(family), addressing::stateless_client(family));
            let mut tcp = socket::tcp(&lab.host, source, target, PORT)?;
            echo::tcp_round(&mut tcp, 100)?;
            assert!(lab.router(1).arrived(source, target)? >= 3);
            assert_eq!(lab.router(2).arrived(source, target)?, 0);
        }
        prroute.expect_none_inbound()
    })?;
    drop(echo);
    Ok(())
}

/// No default route anywhere, no gateway known: for those beyond a router the kernel has no packet
/// that could be moved; those on the link are answered.
#[test]
fn without_any_default_route_clients_on_the_link_are_answered() -> Result<()> {
    let topology = Topology { defaults: Defaults::Nowhere, ..ONE_DEFAULT };
    let lab = Lab::build(topology)?;
    let neighbour = lab.stranger(2, "onlink")?;
    lab.settle(&neighbour, 2)?;
    let nginx = services::nginx(&lab.host, &lab.scratch, 80)?;
    let mut probes = Vec::new();
    for family in Family::BOTH {
        let (source, target) = (addressing::neighbour(2, family), addressing::host(2, family));
        probes.push(Probe { question: Question::Tcp(80), source, target });
        probes.push(Probe { question: Question::Ping, source, target });
    }
    lab.with_configuration("[[uplink]]\nname = \"up1\"\n[[uplink]]\nname = \"up2\"\n", |_| {
        probe::expect_all_answered(&probe::ask_all(&neighbour, &probes)?)
    })?;
    drop(nginx);
    Ok(())
}
