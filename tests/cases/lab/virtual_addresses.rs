//! Addresses that keepalived moves between two hosts: on the uplink itself, and on a macvlan above
//! it (`use_vmac`), whose frames have a link-layer address of their own.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::keepalived::{Configuration, Keepalived};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::probe::{self, Probe, Question};
use prroute_tests::prroute::Instance;
use prroute_tests::{services, wait};

/// The promise is a second; the machine may be busy.
const SOON: Duration = Duration::from_secs(5);
const PUBLISHED: u16 = 8080;

fn virtual_addresses(lengths: [u8; 2]) -> Vec<(IpAddr, u8)> {
    let addresses: [IpAddr; 2] =
        ["10.0.2.100", "2001:db8:2::100"].map(|address| address.parse().expect("an address"));
    addresses.into_iter().zip(lengths).collect()
}

/// A container behind a published port of the virtual addresses.
fn publish_container(lab: &mut Lab, addresses: &[(IpAddr, u8)]) -> Result<Vec<Namespace>> {
    let pods = lab.pods(1)?;
    let nginx = services::nginx(&pods[0], &lab.scratch, 80)?;
    lab.keep_running(nginx);
    let mut rules = String::new();
    for (address, _) in addresses {
        let family = Family::of(*address);
        let word = if family == Family::V4 { "ip" } else { "ip6" };
        let pod = SocketAddr::new(addressing::pod(1, family), 80);
        rules += &format!("{word} daddr {address} tcp dport {PUBLISHED} dnat {word} to {pod}; ");
    }
    lab.host.nft(&format!(
        "table inet published {{
            chain prerouting {{ type nat hook prerouting priority dstnat; {rules} }}
        }}"
    ))?;
    Ok(pods)
}

/// The host under test, and a peer of higher priority on the segment of uplink 2.
struct Pair {
    lab: Lab,
    peer: Namespace,
    _pods: Vec<Namespace>,
    addresses: Vec<(IpAddr, u8)>,
    use_vmac: bool,
}

impl Pair {
    fn build(use_vmac: bool, lengths: [u8; 2]) -> Result<Self> {
        let topology = Topology { uplinks: 2, rp_filter: 1, ip_forward: true, ..Topology::DEFAULT };
        let mut lab = Lab::build(topology)?;
        let peer = lab.stranger(2, "peer")?;
        lab.settle(&peer, 2)?;
        // Servers listen before the addresses come.
        lab.host.sysctl(&["net.ipv4.ip_nonlocal_bind=1", "net.ipv6.ip_nonlocal_bind=1"])?;
        let addresses = virtual_addresses(lengths);
        let nginx = services::nginx(&lab.host, &lab.scratch, 80)?;
        lab.keep_running(nginx);
        let shared = Family::BOTH.map(addressing::shared);
        let all: Vec<IpAddr> = addresses.iter().map(|(a, _)| *a).chain(shared).collect();
        let dnsmasq = services::dnsmasq(&lab.host, &all, 53)?;
        lab.keep_running(dnsmasq);
        // The router has the virtual address for its way to a prefix behind the pair.
        for (address, _) in &addresses {
            let shared = addressing::shared(Family::of(*address));
            lab.router(2).namespace.ip(&format!("route replace {shared} via {address}"))?;
        }
        let pods = publish_container(&mut lab, &addresses)?;
        Ok(Self { lab, peer, _pods: pods, addresses, use_vmac })
    }

    fn keepalived(&self, host: &Namespace, interface: &str, priority: u8) -> Result<Keepalived> {
        let (use_vmac, addresses) = (self.use_vmac, &self.addresses[..]);
        let configuration = Configuration { interface, use_vmac, priority, addresses };
        Keepalived::start(host, &self.lab.scratch, &configuration)
    }

    /// Everything is asked of the virtual addresses, over their uplink, and of the prefix behind.
    fn probes(&self) -> Vec<Probe> {
        let container = |address: &(IpAddr, u8)| (address.0, Question::Tcp(PUBLISHED));
        let own = |address: &(IpAddr, u8)| Question::ALL.map(|question| (address.0, question));
        let shared = |family| Question::ALL.map(|question| (addressing::shared(family), question));
        let addresses = || self.addresses.iter();
        let questions = addresses().flat_map(own).chain(Family::BOTH.into_iter().flat_map(shared));
        let probe = |(target, question): (IpAddr, Question)| Probe {
            question,
            source: addressing::client(2, Family::of(target)),
            target,
        };
        questions.chain(addresses().map(container)).map(probe).collect()
    }

    /// Within [`SOON`] every question is answered, and then once more.
    fn is_answered(&self) -> Result<()> {
        let probes = self.probes();
        self.lab.expect_answered_within(SOON, &probes)?;
        probe::expect_all_answered(&self.lab.ask(&probes)?)
    }

    /// What the host sends with the address leaves by its uplink.
    fn sends_as(&self, address: IpAddr) -> Result<()> {
        let client = addressing::client(2, Family::of(address));
        let before = self.lab.router(2).arrived(address, client)?;
        let (option, source) = (Family::of(address).option(), address.to_string());
        let client_text = client.to_string();
        let ping = ["ping", option, "-n", "-q", "-c", "1", "-W", "10", "-I", &source, &client_text];
        self.lab.host.run(&ping)?;
        ensure!(self.lab.router(2).arrived(address, client)? > before, "{address} by router 2");
        Ok(())
    }

    /// The names of the devices that count as uplink 2.
    fn stacked(&self, prroute: &Instance<'_>) -> Result<Vec<String>> {
        let status = prroute.status()?;
        let uplinks = status["uplinks"].as_array().context("no uplinks")?;
        let up2 = uplinks.iter().find(|uplink| uplink["name"] == "up2").context("no up2")?;
        let stacked = up2["stacked"].as_array().context("no stacked devices")?;
        Ok(stacked.iter().filter_map(|s| s["name"].as_str()).map(str::to_owned).collect())
    }

    /// The peer has the addresses, loses them, and gets them back.
    fn moves_to_the_host_and_back(&self, configuration: &str) -> Result<()> {
        let (lab, addresses) = (&self.lab, &self.addresses[..]);
        let start_peer = || -> Result<Keepalived> {
            let mut peer = self.keepalived(&self.peer, "eth0", 200)?;
            peer.wait_master(&self.peer, addresses)?;
            Ok(peer)
        };
        // It has to live until the end: without it the host gets the addresses once more.
        let mut peer = Some(start_peer()?);
        let mut host = self.keepalived(&lab.host, "up2", 150)?;
        host.wait_backup(&lab.host, addresses)?;
        if self.use_vmac {
            wait::until("keepalived makes its devices", SOON, || {
                let links = lab.host.ip("-o link show type macvlan")?;
                Ok((links.lines().count() == 2).then_some(()))
            })?;
        }
        lab.meet_default_gateway()?;
        let before = lab.snapshot()?;

        lab.with_configuration(configuration, |prroute| {
            for _ in 0..2 {
                peer.take().context("no peer")?.stop()?;
                host.wait_master(&lab.host, addresses)?;
                self.is_answered()?;
                for (address, _) in addresses {
                    self.sends_as(*address)?;
                }
                let mut stacked = self.stacked(prroute)?;
                stacked.sort();
                let expected: &[&str] = if self.use_vmac { &["vrrp.51", "vrrp.52"] } else { &[] };
                assert_eq!(stacked, expected);

                peer = Some(start_peer()?);
                host.wait_backup(&lab.host, addresses)?;
                wait::until("the host has no rule for the addresses", SOON, || {
                    let rules = lab.host.ip("rule show")? + &lab.host.ip("-6 rule show")?;
                    let gone =
                        addresses.iter().all(|(a, _)| !rules.contains(&format!("from {a} ")));
                    Ok(gone.then_some(()))
                })?;
            }
            Ok(())
        })?;
        // A backup that could not hear the peer in time, on a busy machine, has the addresses until it does.
        let mut changes = String::new();
        wait::until("everything is as before", Duration::from_secs(60), || {
            changes = lab.snapshot()?.changes_since(&before).to_string();
            Ok(changes.is_empty().then_some(()))
        })
        .with_context(|| {
            let peer = peer.as_ref().map(Keepalived::log).unwrap_or_default();
            format!("{changes}\nthe host: {}\nthe peer: {peer}", host.log())
        })?;
        host.stop()
    }
}

/// The device goes with its keepalived, and its link with the device; another daemon, and none, find
/// what is there.
#[test]
fn a_macvlan_that_goes_and_comes_back_is_followed() -> Result<()> {
    let pair = Pair::build(true, [32, 128])?;
    let (lab, addresses) = (&pair.lab, &pair.addresses[..]);
    let links = |prroute: &Instance<'_>| -> Result<usize> {
        let pins = lab.host.run(&[
            "find",
            &prroute_tests::prroute::pins(prroute.name()).display().to_string(),
            "-name",
            "stacked-*",
        ])?;
        Ok(pins.lines().count())
    };
    let prroute = lab.prroute()?;
    let mut daemon = prroute.run(&[])?;
    for round in 0..2 {
        let mut host = pair.keepalived(&lab.host, "up2", 150)?;
        host.wait_master(&lab.host, addresses)?;
        pair.is_answered()?;
        assert_eq!(links(&prroute)?, 2, "one for each macvlan");
        daemon.kill()?;
        pair.is_answered().context("without a daemon")?;
        daemon = prroute.run(&[])?;
        pair.is_answered().context("with another daemon")?;
        host.stop()?;
        if round == 0 {
            wait::until("the links are gone with their devices", SOON, || {
                Ok((links(&prroute)? == 0).then_some(()))
            })?;
            assert!(pair.stacked(&prroute)?.is_empty());
        }
    }
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

#[test]
fn an_address_of_keepalived_on_the_uplink_is_answered_while_it_is_here() -> Result<()> {
    Pair::build(false, [32, 128])?.moves_to_the_host_and_back("")
}

#[test]
fn an_address_of_keepalived_on_a_macvlan_is_answered_while_it_is_here() -> Result<()> {
    Pair::build(true, [32, 128])?.moves_to_the_host_and_back("")
}

#[test]
fn an_address_of_keepalived_on_a_macvlan_is_answered_with_clsact_too() -> Result<()> {
    Pair::build(true, [32, 128])?.moves_to_the_host_and_back("attach = \"clsact\"\n")
}

/// With the prefix of the uplink the macvlan has a route to the segment, too.
#[test]
fn an_address_of_keepalived_with_the_prefix_of_the_segment_is_answered() -> Result<()> {
    Pair::build(true, [24, 64])?.moves_to_the_host_and_back("")
}
