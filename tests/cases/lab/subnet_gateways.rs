//! One interface, two subnets, two gateways (rented servers): what has an address of a subnet goes by
//! the gateway of that subnet, whose router drops every other source.
//!
//! ```text
//!     r1            r2   r3        stateful, against spoofing
//!      |             +-+-+
//!     up1             up2          10.0.2.10 and 10.0.3.10
//!      +----- host ----+
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::probe::{self, Outcome, Probe, Question};
use prroute_tests::prroute::Instance;
use prroute_tests::{router, services, socket, wait};

/// The promise is a second; the machine may be busy.
const SOON: Duration = Duration::from_secs(5);
/// Until a gateway that falls silent counts as failed.
const NOTICED: Duration = Duration::from_secs(15);

const PUBLISHED: u16 = 8080;
const ECHO: u16 = 7007;

struct Rented {
    // Programs end before their namespaces go.
    _echo: Echo,
    _pods: Vec<Namespace>,
    lab: Lab,
}

/// Where main's default route is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Preferred {
    OtherUplink,
    FirstSubnet,
}

impl Rented {
    fn build(preferred: Preferred) -> Result<Self> {
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
    fn probes(&self, numbers: &[u8]) -> Vec<Probe> {
        let mut probes = self.own_probes(&Question::ALL, numbers);
        probes.extend(self.own_probes(&[Question::Tcp(PUBLISHED)], numbers));
        probes
    }

    fn are_answered_within(&self, limit: Duration, probes: &[Probe]) -> Result<()> {
        let mut last = Vec::new();
        wait::until("every probe is answered", limit, || {
            last = self.lab.ask(probes)?;
            Ok(last.iter().all(Outcome::answered).then_some(()))
        })
        .with_context(|| probe::listing(&last))
    }

    /// The container's datagrams leave by the gateway that was asked.
    fn container_answers_datagrams(&self) -> Result<()> {
        for family in Family::BOTH {
            for number in [1, 2, 3] {
                let client = addressing::client(number, family);
                let socket = socket::udp(&self.lab.client, client, 0)?;
                socket.set_read_timeout(Some(wait::patience(Duration::from_secs(2))))?;
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
    fn shares_an_address_of_the_second_subnet(&self) -> Result<Vec<Probe>> {
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
                    "ping", option, "-n", "-q", "-c", "1", "-W", "2", "-I", &source, &target,
                ])?;
            }
        }
        Ok(())
    }

    /// The subnets of uplink 2 with a gateway of their own, and whether each is usable.
    fn subnets(prroute: &Instance<'_>) -> Result<Vec<(String, bool)>> {
        let status = prroute.status()?;
        let uplinks = status["uplinks"].as_array().context("no uplinks")?;
        let up2 = uplinks.iter().find(|uplink| uplink["name"] == "up2").context("no up2")?;
        let subnets = up2["subnet_gateways"].as_array().context("no gateways of subnets")?;
        let entry = |subnet: &serde_json::Value| {
            Some((subnet["gateway"].as_str()?.to_owned(), subnet["usable"].as_bool()?))
        };
        Ok(subnets.iter().filter_map(entry).collect())
    }

    fn goes_by_each_gateway(&self, configuration: &str) -> Result<()> {
        let lab = &self.lab;
        let before = lab.snapshot()?;
        let mut prroute = lab.prroute()?;
        prroute.configure(configuration)?;
        let daemon = prroute.run(&[])?;
        probe::expect_all_answered(&lab.ask(&self.probes(&[1, 2, 3]))?)?;
        self.container_answers_datagrams()?;
        self.own_sources_are_right()?;
        let gateways = Family::BOTH.map(|family| addressing::gateway(3, family).to_string());
        assert_eq!(Self::subnets(&prroute)?, gateways.map(|gateway| (gateway, true)));
        let text = prroute.output(&["status"])?.success()?;
        ensure!(text.contains("10.0.2.1") && text.contains("10.0.3.1 for 10.0.3.0/24"), "{text}");
        daemon.terminate()?;
        prroute.down()?;
        let changes = lab.snapshot()?.changes_since(&before);
        ensure!(changes.is_empty(), "not as before:\n{changes}");
        Ok(())
    }
}

fn add_second_gateway(lab: &Lab, family: Family) -> Result<()> {
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

/// Where routing chooses the first subnet's gateway, what is forwarded is on its uplink already: only
/// the gateway is wrong.
#[test]
fn each_subnet_goes_by_its_gateway_on_the_uplink_of_mains_default() -> Result<()> {
    Rented::build(Preferred::FirstSubnet)?.goes_by_each_gateway("")
}

#[test]
fn each_subnet_goes_by_its_gateway_beside_another_uplink() -> Result<()> {
    let rented = Rented::build(Preferred::OtherUplink)?;
    let probes = rented.probes(&[2, 3]);
    probe::expect_answered(&rented.lab.ask(&probes)?, |_| false)?;
    rented.goes_by_each_gateway("")
}

/// An address of no subnet is answered by the router that was asked.
#[test]
fn an_address_of_the_host_as_a_whole_is_answered_by_each_router() -> Result<()> {
    for preferred in [Preferred::FirstSubnet, Preferred::OtherUplink] {
        let rented = Rented::build(preferred)?;
        let mut targets = Vec::new();
        for family in Family::BOTH {
            let target = addressing::shared(family);
            let length = addressing::full_length(family);
            rented.lab.host.ip(&format!("address add {target}/{length} dev lo"))?;
            targets.push(target);
        }
        let dnsmasq = services::dnsmasq(&rented.lab.host, &targets, 5353)?;
        let questions =
            [Question::Tcp(80), Question::Udp(5353), Question::Ping, Question::Tcp(PUBLISHED)];
        let probes = probe::to_shared_address(3, &questions);
        let prroute = rented.lab.prroute()?;
        let daemon = prroute.run(&[])?;
        for _ in 0..3 {
            probe::expect_all_answered(&rented.lab.ask(&probes)?)?;
        }
        // A steady conversation takes the fast path.
        for family in Family::BOTH {
            for number in [1, 2, 3] {
                let socket =
                    socket::udp(&rented.lab.client, addressing::client(number, family), 0)?;
                socket.set_read_timeout(Some(wait::patience(Duration::from_secs(2))))?;
                let target = SocketAddr::new(addressing::shared(family), ECHO);
                for round in 0..10 {
                    let answered = echo::udp_round(&socket, target, 100)?;
                    ensure!(answered, "{family}, router {number}, round {round}");
                }
            }
        }
        drop(dnsmasq);
        daemon.terminate()?;
        prroute.down()?;
    }
    Ok(())
}

/// No rule knows the gateway of an address that is not the uplink's alone.
#[test]
fn a_shared_address_of_a_subnet_goes_by_the_gateway_of_the_subnet() -> Result<()> {
    for preferred in [Preferred::FirstSubnet, Preferred::OtherUplink] {
        let rented = Rented::build(preferred)?;
        let probes = rented.shares_an_address_of_the_second_subnet()?;
        let prroute = rented.lab.prroute()?;
        let daemon = prroute.run(&[])?;
        // A busy machine may be ready before a gateway has answered.
        rented.are_answered_within(SOON, &probes)?;
        for _ in 0..3 {
            probe::expect_all_answered(&rented.lab.ask(&probes)?)?;
        }
        daemon.terminate()?;
        prroute.down()?;
    }
    Ok(())
}

#[test]
fn each_subnet_goes_by_its_gateway_with_clsact() -> Result<()> {
    Rented::build(Preferred::FirstSubnet)?.goes_by_each_gateway("attach = \"clsact\"\n")
}

/// Without the daemon the datapath and the tables go on.
#[test]
fn the_route_of_the_second_gateway_comes_and_goes() -> Result<()> {
    let rented = Rented::build(Preferred::FirstSubnet)?;
    let lab = &rented.lab;
    for family in Family::BOTH {
        let gateway = addressing::gateway(3, family);
        lab.host.ip(&format!("route del default via {gateway} dev up2 metric 300"))?;
    }
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    assert_eq!(Rented::subnets(&prroute)?, []);
    probe::expect_all_answered(&lab.ask(&rented.probes(&[1, 2]))?)?;
    probe::expect_answered(&lab.ask(&rented.probes(&[3]))?, |_| false)?;
    for _ in 0..2 {
        for family in Family::BOTH {
            add_second_gateway(lab, family)?;
        }
        rented.are_answered_within(SOON, &rented.probes(&[1, 2, 3]))?;
        for family in Family::BOTH {
            let gateway = addressing::gateway(3, family);
            lab.host.ip(&format!("route del default via {gateway} dev up2 metric 300"))?;
        }
        wait::until("the gateway is none any more", SOON, || {
            Ok(Rented::subnets(&prroute)?.is_empty().then_some(()))
        })?;
        probe::expect_all_answered(&lab.ask(&rented.probes(&[1, 2]))?)?;
    }
    for family in Family::BOTH {
        add_second_gateway(lab, family)?;
    }
    rented.are_answered_within(SOON, &rented.probes(&[3]))?;
    daemon.kill()?;
    probe::expect_all_answered(&lab.ask(&rented.probes(&[1, 2, 3]))?)?;
    prroute.down()?;
    Ok(())
}

#[test]
fn a_gateway_that_fails_takes_only_its_subnet_with_it_and_comes_back() -> Result<()> {
    let rented = Rented::build(Preferred::OtherUplink)?;
    let lab = &rented.lab;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    probe::expect_all_answered(&lab.ask(&rented.probes(&[1, 2, 3]))?)?;
    let third = &lab.router(3).namespace;
    third.ip("link set beside down")?;
    wait::until("the second gateway is said to be unreachable", NOTICED, || {
        let subnets = Rented::subnets(&prroute)?;
        Ok(subnets.iter().all(|(_, usable)| !usable).then_some(()))
    })?;
    probe::expect_all_answered(&lab.ask(&rented.probes(&[1, 2]))?)?;
    third.ip("link set beside up")?;
    rented.are_answered_within(NOTICED, &rented.probes(&[1, 2, 3]))?;

    // And the other one: the second subnet is not the worse for it.
    let second = &lab.router(2).namespace;
    second.ip("address del 10.0.2.1/24 dev lan")?;
    second.ip("address del 2001:db8:2::1/64 dev lan")?;
    wait::until("the preferred gateway is said to be unreachable", NOTICED, || {
        let text = prroute.output(&["status"])?.success()?;
        Ok((text.matches("(unreachable)").count() == 2).then_some(()))
    })?;
    probe::expect_all_answered(&lab.ask(&rented.probes(&[1, 3]))?)?;
    second.ip("address add 10.0.2.1/24 dev lan")?;
    second.ip("address add 2001:db8:2::1/64 dev lan nodad")?;
    rented.are_answered_within(NOTICED, &rented.probes(&[1, 2, 3]))?;
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}
