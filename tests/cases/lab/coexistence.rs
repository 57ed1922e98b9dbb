//! Rules of others keep their effect, wherever they are: before ours, behind them, between them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::Echo;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::{echo, socket, wait};

/// One of those that the routers let the host open flows to.
const PORT: u16 = 7009;
/// The table of others.
const TABLE: u32 = 200;

const SOON: Duration = Duration::from_secs(20);

/// Where the rule of others sends packets for the client: over uplink 3.
fn foreign_table(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        let (option, gateway) = (family.option(), addressing::gateway(3, family));
        lab.host.ip(&format!("{option} route add default via {gateway} dev up3 table {TABLE}"))?;
    }
    Ok(())
}

fn change_rule(lab: &Lab, change: &str, priority: u32) -> Result<()> {
    for family in Family::BOTH {
        let (option, to) = (family.option(), addressing::stateless_client(family));
        let rule = format!("to {to} lookup {TABLE} priority {priority}");
        lab.host.ip(&format!("{option} rule {change} {rule}"))?;
    }
    Ok(())
}

/// By which uplink a datagram to the client leaves.
pub(super) fn leaves_by(lab: &Lab, source: IpAddr) -> Result<usize> {
    let target = addressing::stateless_client(Family::of(source));
    let arrived = || -> Result<Vec<u64>> {
        let total = |router: &prroute_tests::router::Router| {
            let all = router.arrivals()?.into_iter();
            anyhow::Ok(all.filter(|a| a.destination == target).map(|a| a.packets).sum())
        };
        lab.routers.iter().map(total).collect()
    };
    let before = arrived()?;
    let udp = socket::udp(&lab.host, source, 0)?;
    udp.send_to(b"which way", SocketAddr::new(target, PORT))?;
    wait::until("the datagram arrives at a router", SOON, || {
        Ok(arrived()?.iter().zip(&before).position(|(now, then)| now > then).map(|at| at + 1))
    })
    .with_context(|| format!("from {source}"))
}

const UNBOUND: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// The addresses of an interface that is no uplink.
fn bridge(lab: &Lab) -> Result<[IpAddr; 2]> {
    let addresses = Family::BOTH.map(|family| addressing::pod(0, family));
    lab.host.ip("link add br0 type bridge")?;
    lab.host.ip("link set br0 up")?;
    for address in addresses {
        let length = addressing::prefix_length(Family::of(address));
        lab.host.ip(&format!("address add {address}/{length} dev br0 nodad"))?;
    }
    Ok(addresses)
}

/// With so many addresses on one uplink that others skip our rules.
fn crowd(lab: &Lab) -> Result<()> {
    let batch: String = (1..=60)
        .map(|n| format!("address add 10.{}.{n}.1/24 dev up2\naddress add 2001:db8:9:{n}::1/64 dev up2 nodad\n", 100 + n))
        .collect();
    lab.host.ip_batch(&batch)
}

fn rules_of_others_count(many: bool) -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    foreign_table(&lab)?;
    let strangers: Vec<IpAddr> = [UNBOUND, bridge(&lab)?].concat();
    if many {
        crowd(&lab)?;
    }
    lab.with_prroute(|prroute| {
        let shortcuts = lab.host.ip("rule show")?.contains("goto");
        ensure!(shortcuts == many, "{}", lab.host.ip("rule show")?);
        let own = |number| Family::BOTH.map(|family| addressing::host(number, family));
        for source in &strangers {
            assert_eq!(leaves_by(&lab, *source)?, 1, "{source} without a rule: main's way");
        }

        // Behind ours: it wins for sources that are no uplink's, and ours for those that are.
        change_rule(&lab, "add", 30_000)?;
        for source in &strangers {
            assert_eq!(leaves_by(&lab, *source)?, 3, "{source}, the rule behind ours");
        }
        for number in [1, 2] {
            for source in own(number) {
                assert_eq!(leaves_by(&lab, source)?, usize::from(number), "{source}");
            }
        }
        change_rule(&lab, "del", 30_000)?;

        // Before ours: it wins for all.
        change_rule(&lab, "add", 20_000)?;
        for source in strangers.iter().copied().chain(own(1)).chain(own(2)) {
            assert_eq!(leaves_by(&lab, source)?, 3, "{source}, the rule before ours");
        }
        change_rule(&lab, "del", 20_000)?;

        // Between ours, where nobody but prroute should be: named, left, and in force.
        change_rule(&lab, "add", 21_097)?;
        let named = || -> Result<Option<()>> {
            let status = prroute.status()?;
            let collision = status["collision"].as_str().unwrap_or_default();
            let family =
                |f| format!("priority 21097 from all to {}", addressing::stateless_client(f));
            Ok(Family::BOTH.iter().all(|f| collision.contains(&family(*f))).then_some(()))
        };
        wait::until("the rule is named", SOON, named).with_context(|| prroute.log())?;
        ensure!(prroute.log().contains("priority 21097"), "{}", prroute.log());
        for source in &strangers {
            wait::until("the rule between ours is in force", SOON, || {
                Ok((leaves_by(&lab, *source)? == 3).then_some(()))
            })
            .with_context(|| {
                format!("{source}: {}", lab.host.ip("rule show").unwrap_or_default())
            })?;
        }
        for source in own(2) {
            assert_eq!(leaves_by(&lab, source)?, 2, "{source}");
        }
        // The network goes on to be followed.
        lab.host.ip("address add 10.0.99.1/24 dev up2")?;
        lab.host.ip("address add 2001:db8:99::1/64 dev up2 nodad")?;
        for source in ["10.0.99.1".parse()?, "2001:db8:99::1".parse::<IpAddr>()?] {
            wait::until("a new address has its rules", SOON, || {
                Ok((leaves_by(&lab, source)? == 2).then_some(()))
            })
            .with_context(|| prroute.log())?;
        }
        ensure!(lab.host.ip("rule show")?.contains("21097:"), "{}", lab.host.ip("rule show")?);
        change_rule(&lab, "del", 21_097)?;
        wait::until("nothing is in the way any more", SOON, || {
            Ok(prroute.status()?["collision"].is_null().then_some(()))
        })?;
        for source in &strangers {
            assert_eq!(leaves_by(&lab, *source)?, 1, "{source}: main's way again");
        }
        Ok(())
    })
}

#[test]
fn rules_of_others_before_between_and_behind_keep_their_effect() -> Result<()> {
    rules_of_others_count(false)
}

#[test]
fn rules_of_others_keep_their_effect_where_ours_are_skipped() -> Result<()> {
    rules_of_others_count(true)
}

/// What a daemon finds between its own rules when it takes over is no reason to give up.
#[test]
fn a_rule_that_came_while_no_daemon_ran_does_not_keep_the_next_one_from_following() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let prroute = lab.prroute()?;
    prroute.run(&[])?.terminate()?;
    lab.host.ip("rule add to 192.0.2.1 lookup main priority 21500")?;
    prroute.while_running(|prroute| {
        let log = prroute.log();
        ensure!(log.contains("priority 21500 from all to 192.0.2.1"), "{log}");
        Ok(())
    })?;
    ensure!(lab.host.ip("rule show")?.contains("21500:"), "not ours to delete");
    Ok(())
}

/// A peer on the link that the two uplinks share.
fn second_on_the_link(lab: &Lab) -> Result<Namespace> {
    let peer = Namespace::create(lab.name(), "peer", false)?;
    let router = &lab.router(1).namespace;
    lab.host
        .ip(&format!("link add name up2b type veth peer name second netns {}", router.name()))?;
    router.ip("link set second master lan up")?;
    router.ip(&format!("link add name port type veth peer name eth0 netns {}", peer.name()))?;
    router.ip("link set port master lan up")?;
    peer.ip("link set eth0 up")?;
    lab.host.ip("link set up2b up")?;
    for family in Family::BOTH {
        let length = addressing::prefix_length(family);
        let on_link = |host| match family {
            Family::V4 => format!("10.0.1.{host}/{length}"),
            Family::V6 => format!("2001:db8:1::{host}/{length}"),
        };
        peer.ip(&format!("address add {} dev eth0 nodad", on_link(77)))?;
        lab.host.ip(&format!("address add {} dev up2b nodad", on_link(20)))?;
        let (option, gateway) = (family.option(), addressing::gateway(1, family));
        lab.host.ip(&format!("{option} route add default via {gateway} dev up2b metric 900"))?;
    }
    Ok(peer)
}

fn sent_bytes(lab: &Lab, device: &str) -> Result<u64> {
    let json = lab.host.ip(&format!("-statistics -json link show dev {device}"))?;
    let json: serde_json::Value = serde_json::from_str(&json).context("parse ip's statistics")?;
    json[0]["stats64"]["tx"]["bytes"].as_u64().with_context(|| format!("no bytes: {json}"))
}

/// Each of two uplinks on one subnet answers its own questions over itself, with its own link-layer
/// address.
#[test]
fn two_uplinks_on_one_subnet_each_answer_peers_on_the_link() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let peer = second_on_the_link(&lab)?;
    // As hosts with two interfaces on one link have to be set up, whatever routes them: each
    // interface answers for its own addresses only.
    lab.host.sysctl(&["net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2"])?;
    lab.with_prroute(|_| {
        let mac_of = |device: &str| -> Result<String> {
            let link = lab.host.ip(&format!("-oneline link show dev {device}"))?;
            let mac =
                link.split("link/ether ").nth(1).and_then(|rest| rest.split_whitespace().next());
            Ok(mac.context("a link-layer address")?.to_owned())
        };
        for family in Family::BOTH {
            let second: IpAddr = match family {
                Family::V4 => "10.0.1.20".parse()?,
                Family::V6 => "2001:db8:1::20".parse()?,
            };
            for (device, address) in [("up1", addressing::host(1, family)), ("up2b", second)] {
                let echo = Echo::start(&lab.host, &[address], PORT)?;
                let counted = |device: &str| sent_bytes(&lab, device);
                let other = if device == "up1" { "up2b" } else { "up1" };
                let before = (counted(device)?, counted(other)?);
                let ping = address.to_string();
                peer.run(&["ping", "-n", "-q", "-c", "3", "-i", "0.2", "-W", "5", &ping])?;
                let local = match family {
                    Family::V4 => "10.0.1.77".parse()?,
                    Family::V6 => "2001:db8:1::77".parse()?,
                };
                let udp = socket::udp(&peer, local, 0)?;
                for _ in 0..20 {
                    ensure!(
                        echo::udp_round(&udp, SocketAddr::new(address, PORT), 1_000)?,
                        "{address}"
                    );
                }
                let after = (counted(device)?, counted(other)?);
                ensure!(after.0 - before.0 > 20_000, "{address}: answered by {device}");
                ensure!(after.1 - before.1 < 5_000, "{address}: answers left by {other}");
                let entry = peer.ip(&format!("neigh show {address} dev eth0"))?;
                ensure!(entry.contains(&mac_of(device)?), "{address} is at {entry}");
                drop(echo);
            }
        }
        Ok(())
    })
}
