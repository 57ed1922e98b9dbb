//! Several links as one uplink: bonds and teams.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::Lab;
use prroute_tests::netns::Namespace;
use prroute_tests::{socket, wait};
use serde_json::Value;

use crate::second::{self, BELOW, FAR_BELOW, Found, PORT};

/// A second leg towards the second router, and its far end.
const LEG: &str = "leg2";
const FAR_LEG: &str = "second";

const DEADLINE: Duration = Duration::from_secs(30);

fn add_leg(lab: &Lab) -> Result<()> {
    let router = &lab.router(2).namespace;
    lab.host.ip(&format!(
        "link add name {LEG} type veth peer name {FAR_LEG} netns {}",
        router.name()
    ))?;
    lab.host.ip_batch(&format!("link set {BELOW} down\nlink set {LEG} down\n"))
}

/// `ip -d -j link show`: its one link.
fn link(namespace: &Namespace, device: &str) -> Result<Value> {
    let json = namespace.run(&["ip", "-d", "-s", "-j", "link", "show", "dev", device])?;
    let links: Value = serde_json::from_str(&json).context("parse ip's link")?;
    links.get(0).cloned().with_context(|| format!("no {device} in {json}"))
}

/// A connection over the second uplink goes on over the other leg when one loses its carrier,
/// and never by the first uplink.
fn survives_a_lost_leg(lab: &Lab, lost: &str, moved: impl Fn() -> Result<bool>) -> Result<()> {
    let _echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    lab.with_prroute(|_| {
        let mut connections = Vec::new();
        for family in Family::BOTH {
            let (source, target) = (addressing::client(2, family), addressing::shared(family));
            let mut tcp = socket::tcp(&lab.client, source, target, PORT)?;
            tcp.set_read_timeout(Some(wait::patience(DEADLINE)))?;
            echo::tcp_round(&mut tcp, 1_000)?;
            connections.push(tcp);
        }
        lab.router(2).namespace.ip(&format!("link set {lost} down"))?;
        wait::until("the other leg carries", DEADLINE, || Ok(moved()?.then_some(())))?;
        for tcp in &mut connections {
            for _ in 0..5 {
                echo::tcp_round(tcp, 1_000).context("over the other leg")?;
            }
        }
        let silent = second::silent(lab)?;
        ensure!(silent.is_empty(), "not answered: {silent:#?}");
        for family in Family::BOTH {
            let (from, to) = (addressing::shared(family), addressing::client(2, family));
            ensure!(lab.router(1).arrived(from, to)? == 0, "replies left by the first uplink");
        }
        Ok(())
    })
}

fn active_backup() -> Result<Lab> {
    second::lab("bond2", |lab| {
        add_leg(lab)?;
        lab.router(2).namespace.ip(&format!("link set {FAR_LEG} master lan up"))?;
        lab.host.ip_batch(&format!(
            "link add name bond2 type bond mode active-backup miimon 50\n\
             link set {BELOW} master bond2\n\
             link set {LEG} master bond2\n"
        ))
    })
}

#[test]
fn a_bond_is_an_uplink_and_its_ports_are_none() -> Result<()> {
    second::conforms(&active_backup()?, "bond2", Found::ByItself)
}

#[test]
fn connections_survive_the_failover_of_a_bond() -> Result<()> {
    let lab = active_backup()?;
    let active = || -> Result<String> {
        let bond = link(&lab.host, "bond2")?;
        let active = bond["linkinfo"]["info_data"]["active_slave"].as_str();
        Ok(active.unwrap_or_default().to_owned())
    };
    let (lost, other) = if active()? == BELOW { (FAR_BELOW, LEG) } else { (FAR_LEG, BELOW) };
    survives_a_lost_leg(&lab, lost, || Ok(active()? == other))
}

/// Replies of many flows go over both legs, by their hash, and all of them arrive.
#[test]
fn replies_of_an_802_3ad_bond_are_spread_over_its_ports() -> Result<()> {
    let lab = second::lab("bond2", |lab| {
        add_leg(lab)?;
        let router = &lab.router(2).namespace;
        let bond = |name: &str, ports: [&str; 2]| {
            format!(
                "link add name {name} type bond mode 802.3ad miimon 50 lacp_rate fast \
                 xmit_hash_policy layer3+4\n\
                 link set {0} down\nlink set {1} down\n\
                 link set {0} master {name}\nlink set {1} master {name}\nlink set {name} up\n",
                ports[0], ports[1]
            )
        };
        router.ip(&format!("link set {FAR_BELOW} nomaster"))?;
        router.ip_batch(&(bond("lag", [FAR_BELOW, FAR_LEG]) + "link set lag master lan\n"))?;
        lab.host.ip_batch(&bond("bond2", [BELOW, LEG]))?;
        wait::until("both ports are in one aggregate", DEADLINE, || {
            let bond = link(&lab.host, "bond2")?;
            let ports = bond["linkinfo"]["info_data"]["ad_info"]["num_ports"].as_u64();
            Ok((ports == Some(2)).then_some(()))
        })
    })?;
    second::conforms(&lab, "bond2", Found::ByItself)?;

    let _echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    lab.with_prroute(|_| {
        let sent = |device: &str| -> Result<u64> {
            link(&lab.host, device)?["stats64"]["tx"]["packets"].as_u64().context("no count")
        };
        let before = (sent(BELOW)?, sent(LEG)?);
        const FLOWS: u64 = 64;
        for family in Family::BOTH {
            let target = (addressing::shared(family), PORT).into();
            for _ in 0..FLOWS / 2 {
                let socket = socket::udp(&lab.client, addressing::client(2, family), 0)?;
                ensure!(echo::udp_round(&socket, target, 100)?, "no answer from {target}");
            }
        }
        let after = (sent(BELOW)? - before.0, sent(LEG)? - before.1);
        ensure!(after.0 + after.1 >= FLOWS, "{after:?} packets for {FLOWS} replies");
        ensure!(after.0 > FLOWS / 8 && after.1 > FLOWS / 8, "all on one port: {after:?}");
        Ok(())
    })
}

fn team() -> Result<Lab> {
    second::lab("team2", |lab| {
        add_leg(lab)?;
        lab.router(2).namespace.ip(&format!("link set {FAR_LEG} master lan up"))?;
        let configuration = format!(
            "{{\"device\": \"team2\", \"runner\": {{\"name\": \"activebackup\"}}, \
             \"link_watch\": {{\"name\": \"ethtool\"}}, \
             \"ports\": {{\"{BELOW}\": {{}}, \"{LEG}\": {{}}}}}}"
        );
        let teamd = lab.host.spawn(&["teamd", "-c", &configuration])?;
        lab.keep_running(teamd);
        wait::until("the team has its ports", DEADLINE, || {
            let port = |name| -> Result<bool> { Ok(link(&lab.host, name)?["master"] == "team2") };
            Ok((port(BELOW)? && port(LEG)?).then_some(()))
        })
    })
}

#[test]
fn a_team_is_an_uplink_and_its_ports_are_none() -> Result<()> {
    second::conforms(&team()?, "team2", Found::ByItself)
}

#[test]
fn connections_survive_the_failover_of_a_team() -> Result<()> {
    let lab = team()?;
    let sent = |device: &str| -> Result<u64> {
        link(&lab.host, device)?["stats64"]["tx"]["packets"].as_u64().context("no count")
    };
    // teamd's own word for the active port needs its control program: count what leaves.
    let before = (sent(BELOW)?, sent(LEG)?);
    lab.meet_gateway(2, "team2")?;
    let by_below = sent(BELOW)? - before.0 > sent(LEG)? - before.1;
    let (lost, other) = if by_below { (FAR_BELOW, LEG) } else { (FAR_LEG, BELOW) };
    let start = sent(other)?;
    survives_a_lost_leg(&lab, lost, || {
        // Nobody answers while no port is active.
        drop(lab.meet_gateway(2, "team2"));
        Ok(sent(other)? > start + 1)
    })
}
