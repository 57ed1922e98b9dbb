//! Connection marks that iptables has set are replaced by prroute.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, bail, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::Lab;
use prroute_tests::{command, socket, wait};

use super::{
    COMMAND, PORT, SECOND_BY_RULES, asking, import, lost_nothing, pings, rules_of_others,
    run_script, table_is_empty, while_talking,
};

/// Marks of connections that came in on the second uplink, and a container that is reached by a
/// translated address.
fn marks_by_hand(lab: &Lab, flavour: &str) -> Result<()> {
    let up = addressing::device(2);
    for (program, family) in [("iptables", Family::V4), ("ip6tables", Family::V6)] {
        let (option, gateway) = (family.option(), addressing::gateway(2, family));
        lab.host.ip(&format!("{option} route add default via {gateway} dev {up} table 100"))?;
        lab.host.ip(&format!("{option} rule add fwmark 0x1 lookup 100"))?;
        let to = SocketAddr::new(addressing::pod(1, family), PORT);
        let rules = format!(
            "*mangle\n\
             -A PREROUTING -m conntrack ! --ctstate NEW --ctdir REPLY -m connmark ! --mark 0x0 \
             -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff\n\
             -A PREROUTING -i {up} -m conntrack --ctstate NEW --ctdir ORIGINAL \
             -j CONNMARK --set-xmark 0x1/0xffffffff\n\
             -A OUTPUT -m conntrack ! --ctstate NEW --ctdir REPLY -m connmark ! --mark 0x0 \
             -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff\n\
             COMMIT\n*nat\n\
             -A PREROUTING -p udp -m udp --dport {PORT} -j DNAT --to-destination {to}\n\
             -A PREROUTING -p tcp -m tcp --dport {PORT} -j DNAT --to-destination {to}\n\
             COMMIT\n"
        );
        let restore = format!("{program}-{flavour}-restore");
        let mut command = lab.host.command(&[&restore]);
        command::output_within(&mut command, COMMAND, &rules)?.success()?;
    }
    Ok(())
}

fn marks_are_replaced(flavour: &str) -> Result<()> {
    let lab = Lab::build(SECOND_BY_RULES)?;
    let pods = lab.pods(1)?;
    let addresses = Family::BOTH.map(|family| addressing::pod(1, family));
    let _echo = Echo::start(&pods[0], &addresses, PORT)?;
    marks_by_hand(&lab, flavour)?;
    lab.meet_default_gateway()?;
    // What is silent is forgotten soon.
    lab.host.sysctl(&[
        "net.netfilter.nf_conntrack_udp_timeout=2",
        "net.netfilter.nf_conntrack_udp_timeout_stream=2",
    ])?;
    let mut prroute = lab.prroute()?;
    let pings = pings(&lab)?;
    let (mut connections, mut sockets) = (Vec::new(), Vec::new());
    for family in Family::BOTH {
        let (client, host) = (addressing::client(2, family), addressing::host(2, family));
        connections.push(socket::tcp(&lab.client, client, host, PORT)?);
        sockets.push((asking(&lab.client, client)?, host));
    }
    let (configuration, removal) = import(&prroute)?;
    ensure!(configuration.contains("name = \"up2\""), "{configuration}");
    ensure!(removal.matches("CONNMARK").count() == 6, "{removal}");
    prroute.configure(&configuration)?;
    let daemon = while_talking(&sockets, |end| {
        let daemon = prroute.run(&[])?;
        for connection in &mut connections {
            echo::tcp_round(connection, 1_000)?;
        }
        std::thread::scope(|scope| {
            let script = scope.spawn(|| run_script(&lab, "remove.sh", &removal));
            // New connections get no mark any more; the datagrams from before still have theirs.
            wait::until("no mark is set", COMMAND, || {
                let saved = lab.host.run(&[&format!("ip6tables-{flavour}-save")])?;
                Ok((!saved.contains("--set-xmark")).then_some(()))
            })?;
            asked_anew(&lab)?;
            ensure!(!script.is_finished(), "marked datagrams are still on their way");
            end.store(true, Ordering::Relaxed);
            let Ok(removed) = script.join() else { bail!("the script's thread panicked") };
            removed
        })?;
        for connection in &mut connections {
            echo::tcp_round(connection, 1_000).context("a connection from before")?;
        }
        Ok(daemon)
    })?;
    lost_nothing(pings).with_context(|| removal.clone())?;
    for program in ["iptables", "ip6tables"] {
        let saved = lab.host.run(&[&format!("{program}-{flavour}-save")])?;
        ensure!(saved.contains("DNAT") && !saved.contains("CONNMARK"), "{saved}");
    }
    let others = rules_of_others(&lab)?;
    ensure!(others.is_empty() && table_is_empty(&lab, 100)?, "{others:#?}");
    asked_anew(&lab)?;
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// New connections and datagrams over the second uplink.
fn asked_anew(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        let (client, host) = (addressing::client(2, family), addressing::host(2, family));
        let silent = echo::silent(&lab.client, client, host, PORT)?;
        ensure!(silent.is_empty(), "{family}: no answer to {silent:?}");
    }
    Ok(())
}

#[test]
fn by_iptables_legacy_are_replaced_without_a_lost_packet() -> Result<()> {
    marks_are_replaced("legacy")
}

#[test]
fn by_iptables_nft_are_replaced_without_a_lost_packet() -> Result<()> {
    marks_are_replaced("nft")
}
