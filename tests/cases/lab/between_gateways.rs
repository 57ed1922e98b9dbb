//! Between two gateways: an uplink's replies go the old way until the new one is resolved, and
//! none by another uplink.

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Defaults, Lab, Topology};
use prroute_tests::prroute::Instance;
use prroute_tests::{router, socket, wait};

const PORT: u16 = 7007;
const PATIENCE: Duration = Duration::from_secs(20);

/// A veth without a default route has to be named.
const NAMED: &str = "gateway-probe = 1\n[[uplink]]\nname = \"up2\"\n";

/// Rounds of every conversation in each state of the network, at least.
const ROUNDS: usize = 20;

/// Datagrams of which one must be answered.
const ATTEMPTS: usize = 4;

/// Another address of router 2, which it does not have at first.
fn other_gateway(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([10, 0, 2, 3]),
        Family::V6 => IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, 3]),
    }
}

fn appears(lab: &Lab) -> Result<()> {
    Family::BOTH.into_iter().try_for_each(|family| {
        let (address, length) = (other_gateway(family), addressing::prefix_length(family));
        let line = format!("address add {address}/{length} dev {} nodad", router::LAN);
        let line = if family == Family::V4 { line.replace(" nodad", "") } else { line };
        lab.router(2).namespace.ip(&line).map(drop)
    })
}

/// Replaces, or adds, the default routes of uplink 2.
fn route_by(lab: &Lab, gateway: impl Fn(Family) -> IpAddr) -> Result<()> {
    Family::BOTH.into_iter().try_for_each(|family| {
        let (option, gateway) = (family.option(), gateway(family));
        let line = format!("{option} route replace default via {gateway} dev up2 metric 200");
        lab.host.ip(&line).map(drop)
    })
}

fn unroute(lab: &Lab) -> Result<()> {
    Family::BOTH.into_iter().try_for_each(|family| {
        let line = format!("{} route del default dev up2 metric 200", family.option());
        lab.host.ip(&line).map(drop)
    })
}

/// Waits until the daemon knows of these gateways of uplink 2, and that they are resolved or not.
fn known(
    prroute: &Instance<'_>,
    gateway: impl Fn(Family) -> Option<IpAddr>,
    resolved: bool,
) -> Result<()> {
    let words = |family| match family {
        Family::V4 => ["gateway4", "gateway4_resolved"],
        Family::V6 => ["gateway6", "gateway6_resolved"],
    };
    wait::until("the gateways are known", PATIENCE, || {
        let status = prroute.status()?;
        let uplinks = status["uplinks"].as_array().context("no uplinks")?;
        let up2 = uplinks.iter().find(|uplink| uplink["name"] == "up2").context("no up2")?;
        let is_known = Family::BOTH.into_iter().all(|family| {
            let [address, is_resolved] = words(family);
            let expected = gateway(family).map(|gateway| gateway.to_string());
            up2[address].as_str() == expected.as_deref() && up2[is_resolved] == resolved
        });
        Ok(is_known.then_some(()))
    })
    .with_context(|| format!("{:#}", prroute.status().unwrap_or_default()))
}

/// Waits until the host has asked for both of the other gateways without an answer. It asks again soon: there
/// may be no moment in which it has given up both.
fn asked_in_vain(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        let address = format!("{} ", other_gateway(family));
        wait::until("the kernel gave up", PATIENCE, || {
            let entries = lab.host.ip("neigh show dev up2 nud failed")?;
            Ok(entries.lines().any(|entry| entry.starts_with(&address)).then_some(()))
        })?;
    }
    Ok(())
}

/// What a client beyond router 2 has to say to one address of the host.
struct Conversation {
    source: IpAddr,
    target: IpAddr,
    tcp: TcpStream,
    udp: UdpSocket,
}

impl Conversation {
    /// A datagram may have to be sent again: the kernel keeps those of its own routes for three
    /// seconds while it asks for a gateway.
    fn go_on(&mut self) -> Result<()> {
        let Self { source, target, tcp, udp } = self;
        echo::tcp_round(tcp, 100).with_context(|| format!("TCP from {source} to {target}"))?;
        for _ in 0..ATTEMPTS {
            if echo::udp_round(udp, SocketAddr::new(*target, PORT), 100)? {
                return Ok(());
            }
        }
        bail!("UDP from {source} to {target}");
    }
}

/// To uplink 2's own addresses and to the shared ones.
fn conversations(lab: &Lab) -> Result<Vec<Conversation>> {
    let mut conversations = Vec::new();
    for family in Family::BOTH {
        for target in [addressing::host(2, family), addressing::shared(family)] {
            let source = addressing::client(2, family);
            let tcp = socket::tcp(&lab.client, source, target, PORT)?;
            tcp.set_read_timeout(Some(wait::patience(PATIENCE)))?;
            let udp = socket::udp(&lab.client, source, 0)?;
            let mut conversation = Conversation { source, target, tcp, udp };
            conversation.go_on()?;
            conversation.go_on()?;
            conversations.push(conversation);
        }
    }
    Ok(conversations)
}

/// Makes changes while conversations go on, and for a while after each.
struct Steps<'a> {
    rounds: &'a std::sync::atomic::AtomicUsize,
    failed: &'a AtomicBool,
}

impl Steps<'_> {
    fn after(&self, step: Result<()>) -> Result<()> {
        step?;
        let before = self.rounds.load(Ordering::Relaxed);
        wait::until("the conversations go on", PATIENCE, || {
            let done = self.rounds.load(Ordering::Relaxed) >= before + ROUNDS;
            Ok((done || self.failed.load(Ordering::Relaxed)).then_some(()))
        })
    }
}

/// Every packet of the conversations leaves by uplink 2, whatever `change` does.
fn stays_on_its_uplink(lab: &Lab, change: impl FnOnce(&Steps<'_>) -> Result<()>) -> Result<()> {
    let mut conversations = conversations(lab)?;
    let before = astray(lab)?;
    let over = AtomicBool::new(false);
    let failed = AtomicBool::new(false);
    let rounds = std::sync::atomic::AtomicUsize::new(0);
    let (said, changed) = std::thread::scope(|scope| {
        let talk = scope.spawn(|| -> Result<()> {
            while !over.load(Ordering::Relaxed) {
                for conversation in &mut conversations {
                    if let Err(error) = conversation.go_on() {
                        failed.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                }
                rounds.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let changed = change(&Steps { rounds: &rounds, failed: &failed });
        over.store(true, Ordering::Relaxed);
        (talk.join(), changed)
    });
    let astray = astray(lab)? - before;
    ensure!(astray == 0, "{astray} packets left by uplink 1");
    changed?;
    said.map_err(|_| anyhow::anyhow!("the client panicked"))?
}

/// Packets of the conversations that left by uplink 1.
fn astray(lab: &Lab) -> Result<u64> {
    let mut astray = 0;
    for family in Family::BOTH {
        for source in [addressing::host(2, family), addressing::shared(family)] {
            astray += lab.router(1).arrived(source, addressing::client(2, family))?;
        }
    }
    Ok(astray)
}

fn build(defaults: Defaults) -> Result<(Lab, Echo)> {
    let lab = Lab::build(Topology { uplinks: 2, defaults, ..Topology::DEFAULT })?;
    let echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    Ok((lab, echo))
}

fn first(family: Family) -> IpAddr {
    addressing::gateway(2, family)
}

#[test]
fn a_default_route_goes_and_comes_back() -> Result<()> {
    let (lab, _echo) = build(Defaults::EveryUplink)?;
    lab.with_configuration(NAMED, |prroute| {
        known(prroute, |family| Some(first(family)), true)?;
        stays_on_its_uplink(&lab, |steps| {
            for _ in 0..3 {
                steps.after(unroute(&lab))?;
                steps.after(known(prroute, |_| None, false))?;
                steps.after(route_by(&lab, first))?;
                steps.after(known(prroute, |family| Some(first(family)), true))?;
            }
            Ok(())
        })?;
        Ok(())
    })
}

#[test]
fn a_gateway_is_replaced_by_one_that_answers_late() -> Result<()> {
    let (lab, _echo) = build(Defaults::EveryUplink)?;
    lab.with_configuration(NAMED, |prroute| {
        known(prroute, |family| Some(first(family)), true)?;
        stays_on_its_uplink(&lab, |steps| {
            steps.after(route_by(&lab, other_gateway))?;
            // The kernel asks three times, a second apart, before it gives up.
            steps.after(asked_in_vain(&lab))?;
            appears(&lab)?;
            steps.after(known(prroute, |family| Some(other_gateway(family)), true))
        })?;
        Ok(())
    })
}

/// Nothing but last hop before, and a daemon that starts while the gateway does not answer.
#[test]
fn the_first_gateway_answers_late() -> Result<()> {
    let (lab, echo) = build(Defaults::FirstOnly)?;
    let mut prroute = lab.prroute()?;
    prroute.configure(NAMED)?;
    let mut daemon = Some(prroute.run(&[])?);
    known(&prroute, |_| None, false)?;
    stays_on_its_uplink(&lab, |steps| {
        route_by(&lab, other_gateway)?;
        known(&prroute, |family| Some(other_gateway(family)), false)?;
        daemon.take().context("no daemon")?.kill()?;
        daemon = Some(prroute.run(&[])?);
        appears(&lab)?;
        steps.after(known(&prroute, |family| Some(other_gateway(family)), true))
    })?;
    daemon.context("no daemon")?.terminate()?;
    prroute.down()?;
    drop(echo);
    Ok(())
}
