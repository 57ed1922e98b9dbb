//! A rented server: its second uplink has two subnets, and a container is behind published ports.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::probe::{self, Probe, Question};
use prroute_tests::prroute::Instance;
use prroute_tests::{router, services, socket, wait};

use super::{ECHO, NOTICED, PUBLISHED};

pub(crate) struct Rented {
    // Programs end before their namespaces go.
    _echo: Echo,
    _pods: Vec<Namespace>,
    pub(crate) lab: Lab,
}

/// Where main's default route is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preferred {
    OtherUplink,
    FirstSubnet,
}

impl Rented {
    pub(crate) fn build(preferred: Preferred) -> Result<Self> {
        let mut lab = Lab::build(Topology {
            rp_filter: 1,
            ip_forward: true,
            shared: false,
            routers_know_host: false,
            ..Topology::DEFAULT
        })?;
        // The third router comes to the segment of the second one, and so does the host's address.
        lab.host.ip("link del up3")?;
        let (second, third) = (&lab.router(2).namespace, &lab.router(3).namespace);
        let lan = router::LAN;
        second.ip_batch(&format!(
            "link add name beside type veth peer name beside netns {}\n\
             link set beside master {lan} up\n",
            third.name()
        ))?;
        third.ip(&format!("link set beside master {lan} up"))?;
        for family in Family::BOTH {
            let (address, length) =
                (addressing::host(3, family), addressing::prefix_length(family));
            let at_once = if family == Family::V6 { "nodad" } else { "" };
            lab.host.ip(&format!("address add {address}/{length} dev up2 {at_once}"))?;
            add_second_gateway(&lab, family)?;
            if preferred == Preferred::FirstSubnet {
                let gateway = addressing::gateway(2, family);
                lab.host.ip(&format!("route add default via {gateway} dev up2 metric 50"))?;
            }
        }
        lab.start_services()?;
        let (pods, echo) = publish_container(&mut lab)?;
        // Its IPv6 address may be tentative yet.
        wait::until("the gateway of the first uplink answers", NOTICED, || {
            Ok(lab.meet_default_gateway().ok())
        })?;
        Ok(Self { _echo: echo, _pods: pods, lab })
    }

    fn own_probes(&self, questions: &[Question], numbers: &[u8]) -> Vec<Probe> {
        let mut probes = probe::to_own_addresses(3, questions);
        probes.retain(|probe| numbers.contains(&probe.uplink()));
        probes
    }

    /// Everything that is asked of the host and of the container behind it.
    pub(crate) fn probes(&self, numbers: &[u8]) -> Vec<Probe> {
        let mut probes = self.own_probes(&Question::ALL, numbers);
        probes.extend(self.own_probes(&[Question::Tcp(PUBLISHED)], numbers));
        probes
    }

    /// The container's datagrams leave by the gateway that was asked.
    fn container_answers_datagrams(&self) -> Result<()> {
        for family in Family::BOTH {
            for number in [1, 2, 3] {
                let client = addressing::client(number, family);
                let socket = socket::udp(&self.lab.client, client, 0)?;
                let target = SocketAddr::new(addressing::host(number, family), ECHO);
                // The last ones in fragments.
                for length in [500, 500, 500, 4_000, 4_000] {
                    let answered = echo::udp_round(&socket, target, length)?;
                    ensure!(answered, "{family}, subnet {number}, {length} bytes");
                }
            }
        }
        Ok(())
    }

    /// An address of the second subnet that is the host's as a whole.
    pub(crate) fn shares_an_address_of_the_second_subnet(&self) -> Result<Vec<Probe>> {
        let mut probes = Vec::new();
        for family in Family::BOTH {
            let target: IpAddr = match family {
                Family::V4 => "10.0.3.77".parse()?,
                Family::V6 => "2001:db8:3::77".parse()?,
            };
            let length = addressing::full_length(family);
            let at_once = if family == Family::V6 { "nodad" } else { "" };
            for device in ["up2", "lo"] {
                self.lab
                    .host
                    .ip(&format!("address add {target}/{length} dev {device} {at_once}"))?;
            }
            let source = addressing::client(3, family);
            let questions = [Question::Tcp(80), Question::Ping, Question::Tcp(PUBLISHED)];
            probes.extend(questions.map(|question| Probe { question, source, target }));
        }
        Ok(probes)
    }

    /// What the host sends with an address of a subnet arrives at that subnet's router.
    fn own_sources_are_right(&self) -> Result<()> {
        for family in Family::BOTH {
            for number in [2, 3] {
                let (source, target) =
                    (addressing::host(number, family), addressing::client(number, family));
                let server = Echo::start(&self.lab.client, &[target], ECHO)?;
                let mut tcp = socket::tcp(&self.lab.host, source, target, ECHO)?;
                echo::tcp_round(&mut tcp, 5_000)?;
                drop(server);
                let (source, target) = (source.to_string(), target.to_string());
                let option = family.option();
                self.lab.host.run(&[
                    "ping", option, "-n", "-q", "-c", "1", "-W", "10", "-I", &source, &target,
                ])?;
            }
        }
        Ok(())
    }

    /// The subnets of uplink 2 with a gateway of their own, and whether each is usable.
    pub(crate) fn subnets(prroute: &Instance<'_>) -> Result<Vec<(String, bool)>> {
        let status = prroute.status()?;
        let uplinks = status["uplinks"].as_array().context("no uplinks")?;
        let up2 = uplinks.iter().find(|uplink| uplink["name"] == "up2").context("no up2")?;
        let subnets = up2["subnet_gateways"].as_array().context("no gateways of subnets")?;
        let entry = |subnet: &serde_json::Value| {
            Some((subnet["gateway"].as_str()?.to_owned(), subnet["usable"].as_bool()?))
        };
        Ok(subnets.iter().filter_map(entry).collect())
    }

    pub(crate) fn goes_by_each_gateway(&self, configuration: &str) -> Result<()> {
        let lab = &self.lab;
        let before = lab.snapshot()?;
        lab.with_configuration(configuration, |prroute| {
            // A busy machine may be ready before a gateway has answered.
            lab.expect_answered_within(super::SOON, &self.probes(&[1, 2, 3]))?;
            self.container_answers_datagrams()?;
            self.own_sources_are_right()?;
            let gateways = Family::BOTH.map(|family| addressing::gateway(3, family).to_string());
            assert_eq!(Self::subnets(prroute)?, gateways.map(|gateway| (gateway, true)));
            let text = prroute.status_text(&[])?;
            ensure!(
                text.contains("10.0.2.1") && text.contains("10.0.3.1 for 10.0.3.0/24"),
                "{text}"
            );
            Ok(())
        })?;
        lab.expect_unchanged_since(&before)
    }
}

pub(crate) fn add_second_gateway(lab: &Lab, family: Family) -> Result<()> {
    let gateway = addressing::gateway(3, family);
    lab.host.ip(&format!("route add default via {gateway} dev up2 metric 300")).map(drop)
}

/// A container behind a published port of every address, TCP and UDP.
fn publish_container(lab: &mut Lab) -> Result<(Vec<Namespace>, Echo)> {
    let pods = lab.pods(1)?;
    let nginx = services::nginx(&pods[0], &lab.scratch, 80)?;
    lab.keep_running(nginx);
    let echo = Echo::start(&pods[0], &Family::BOTH.map(|family| addressing::pod(1, family)), ECHO)?;
    let mut rules = String::new();
    for (word, family) in [("ip", Family::V4), ("ip6", Family::V6)] {
        let pod = addressing::pod(1, family);
        let (web, echo) = (SocketAddr::new(pod, 80), SocketAddr::new(pod, ECHO));
        for (protocol, port, to) in [("tcp", PUBLISHED, web), ("udp", ECHO, echo)] {
            let nf = if family == Family::V4 { "ipv4" } else { "ipv6" };
            rules += &format!(
                "meta nfproto {nf} fib daddr type local {protocol} dport {port} dnat {word} to {to}\n"
            );
        }
    }
    lab.host.nft(&format!(
        "table inet published {{
            chain prerouting {{ type nat hook prerouting priority dstnat; {rules} }}
        }}"
    ))?;
    Ok((pods, echo))
}
