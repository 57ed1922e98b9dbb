//! What an administrator has set up by hand is replaced by prroute without a lost packet.

mod marks;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::command::{self, Output};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Defaults, Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::probe::{self, Question};
use prroute_tests::prroute::{self, Instance};
use prroute_tests::stream::Stream;
use prroute_tests::{socket, wait};

/// What containers serve.
const PORT: u16 = 7007;
/// Between two questions: as many as answers come would leave the host no time for anything else.
const PACE: Duration = Duration::from_millis(5);
const COMMAND: Duration = Duration::from_secs(120);

/// A host whose second uplink main does not lead over.
const SECOND_BY_RULES: Topology = Topology {
    uplinks: 2,
    shared: false,
    defaults: Defaults::FirstOnly,
    rp_filter: 2,
    ip_forward: true,
    ..Topology::DEFAULT
};

/// Runs a script on the host that finds prroute by its name.
pub(crate) fn run_script(lab: &Lab, name: &str, script: &str) -> Result<()> {
    let programs = lab.scratch.path().join("bin");
    if !programs.exists() {
        std::fs::create_dir(&programs).context("create a folder for programs")?;
        symlink(prroute::binary()?, programs.join("prroute")).context("link prroute")?;
    }
    let path = format!("PATH={}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let file = lab.scratch.write(name, script)?.display().to_string();
    let mut shell = lab.host.command(&["env", &path, "sh", &file]);
    let output = command::output_within(&mut shell, COMMAND, "")?;
    output.success().map(drop).with_context(|| format!("the script:\n{script}"))
}

/// What `prroute import` says now: the configuration, and the script.
fn import(prroute: &Instance<'_>) -> Result<(String, String)> {
    // Its user is root: iptables-legacy-save wants a raw socket.
    let says = |words: &[&str]| command::output(&mut prroute.command_with(&[], words)?)?.success();
    Ok((says(&["import"])?, says(&["import", "--removal"])?))
}

/// Rules that neither prroute nor the kernel has made.
fn rules_of_others(lab: &Lab) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for family in Family::BOTH {
        let list = lab.host.ip(&format!("{} rule show", family.option()))?;
        let kernels = ["0:\tfrom all lookup local", "32766:", "32767:"];
        let others = list.lines().filter(|line| {
            !line.contains("proto 213") && !kernels.iter().any(|begin| line.starts_with(begin))
        });
        found.extend(others.map(str::to_owned));
    }
    Ok(found)
}

fn table_is_empty(lab: &Lab, table: u32) -> Result<bool> {
    let list = lab.host.ip("route show table all")? + &lab.host.ip("-6 route show table all")?;
    Ok(!list.lines().any(|line| format!("{line} ").contains(&format!(" table {table} "))))
}

/// Pings the second uplink's addresses all the time.
pub(crate) fn pings(lab: &Lab) -> Result<Vec<Stream>> {
    Family::BOTH
        .into_iter()
        .map(|family| {
            let (client, host) = (addressing::client(2, family), addressing::host(2, family));
            Stream::start(&lab.client, client, host)
        })
        .collect()
}

pub(crate) fn lost_nothing(pings: Vec<Stream>) -> Result<()> {
    pings.into_iter().try_for_each(|ping| ping.lost_nothing().map(drop))
}

/// A table for each uplink, with `from` and `iif` rules, as articles have it.
fn tables_by_hand(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        let option = family.option();
        for number in [1, 2] {
            let (device, prefix) = (addressing::device(number), addressing::prefix(number, family));
            let (gateway, address) =
                (addressing::gateway(number, family), addressing::host(number, family));
            for line in [
                format!("route add {prefix} dev {device} table {number}"),
                format!("route add default via {gateway} dev {device} table {number}"),
                format!("rule add from {address} lookup {number}"),
                format!("rule add from all iif {device} lookup {number}"),
            ] {
                lab.host.ip(&format!("{option} {line}"))?;
            }
        }
    }
    Ok(())
}

/// Sends datagrams to an echo server, again and again until `end`: each has to come back.
fn talk(udp: &UdpSocket, target: IpAddr, end: &AtomicBool) -> Result<u32> {
    let mut count = 0;
    while !end.load(Ordering::Relaxed) {
        let answered = echo::udp_round(udp, SocketAddr::new(target, PORT), 200)?;
        ensure!(answered, "question {count} to {target} was not answered");
        count += 1;
        std::thread::sleep(PACE);
    }
    Ok(count)
}

/// Does something while these sockets talk with their targets; it may end that by the flag. Nothing
/// may be lost.
fn while_talking<T>(
    talks: &[(UdpSocket, IpAddr)],
    body: impl FnOnce(&AtomicBool) -> Result<T>,
) -> Result<T> {
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let end = &end;
        let threads: Vec<_> = talks
            .iter()
            .map(|(udp, target)| scope.spawn(move || talk(udp, *target, end)))
            .collect();
        let done = body(end);
        end.store(true, Ordering::Relaxed);
        for thread in threads {
            let Ok(count) = thread.join() else { bail!("a thread that asks panicked") };
            let count = count?;
            ensure!(count > 20, "{count} questions were asked");
        }
        done
    })
}

/// A socket of one side, with the patience of its questions.
fn asking(namespace: &Namespace, source: IpAddr) -> Result<UdpSocket> {
    let udp = socket::udp(namespace, source, 0)?;
    udp.set_read_timeout(Some(wait::patience(Duration::from_secs(2))))?;
    Ok(udp)
}

#[test]
fn tables_and_rules_by_hand_are_replaced_without_a_lost_packet() -> Result<()> {
    let lab = Lab::with_services(SECOND_BY_RULES)?;
    tables_by_hand(&lab)?;
    lab.meet_default_gateway()?;
    let probes = probe::to_own_addresses(2, &Question::ALL);
    probe::expect_all_answered(&lab.ask(&probes)?).context("as it was")?;
    let pings = pings(&lab)?;
    // What the host opens from the second uplink's addresses nobody moves: it has the rules alone.
    let clients = Family::BOTH.map(|family| addressing::client(2, family));
    let _echo = Echo::start(&lab.client, &clients, PORT)?;
    let mut own = Vec::new();
    for family in Family::BOTH {
        let source = addressing::host(2, family);
        own.push((asking(&lab.host, source)?, addressing::client(2, family)));
    }

    let mut prroute = lab.prroute()?;
    let (configuration, removal) = import(&prroute)?;
    for family in Family::BOTH {
        let gateway = addressing::gateway(2, family).to_string();
        ensure!(configuration.contains(&gateway), "{gateway}:\n{configuration}");
    }
    let file = prroute.configure(&configuration)?.display().to_string();
    prroute.output(&["check", &file])?.success().context("the configuration is valid")?;
    let daemon = while_talking(&own, |_| {
        let daemon = prroute.run(&[])?;
        run_script(&lab, "remove.sh", &removal)?;
        Ok(daemon)
    })
    .with_context(|| removal.clone())?;

    let others = rules_of_others(&lab)?;
    ensure!(others.is_empty(), "left of the old rules: {others:#?}\n{removal}");
    ensure!(table_is_empty(&lab, 1)? && table_is_empty(&lab, 2)?, "left of the old tables");
    lost_nothing(pings).with_context(|| removal.clone())?;
    probe::expect_all_answered(&lab.ask(&probes)?).context("as it is now")?;
    let Output { status, stderr, .. } = prroute.output(&["import"])?;
    ensure!(
        status.code() == Some(1) && stderr.contains("nothing that a configuration"),
        "{stderr}"
    );
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// What it sends on to the next rule, prroute's table would send by the uplink.
#[test]
fn a_table_with_a_throw_route_stays_with_its_rules() -> Result<()> {
    let lab = Lab::build(SECOND_BY_RULES)?;
    tables_by_hand(&lab)?;
    lab.host.ip("route add throw 172.31.0.0/16 table 2")?;
    let prroute = lab.prroute()?;
    let (configuration, removal) = import(&prroute)?;
    let address = addressing::host(2, Family::V4);
    for text in [&configuration, &removal] {
        ensure!(text.contains("172.31.0.0/16") && text.contains("(`throw`)"), "{text}");
    }
    let says = |line: &str| removal.lines().any(|it| it == line);
    ensure!(says("ip route flush table 1") && says("ip -6 route flush table 2"), "{removal}");
    ensure!(!says("ip route flush table 2"), "{removal}");
    let is_rule =
        |line: &str| line.starts_with("ip rule del") && line.contains(&address.to_string());
    ensure!(!removal.lines().any(is_rule), "{removal}");
    Ok(())
}

/// A tool's file for the second uplink: a table, a rule for its address, and one for a destination.
fn netplan(lab: &Lab) -> Result<String> {
    let (address, gateway) = (addressing::host(2, Family::V4), addressing::gateway(2, Family::V4));
    let text = format!(
        "network:\n  version: 2\n  ethernets:\n    up2:\n      addresses:\n      - {address}/24\n      \
         routes:\n      - table: 20\n        to: 0.0.0.0/0\n        via: {gateway}\n      - scope: link\n        \
         table: 20\n        to: 10.0.2.0/24\n        via: 0.0.0.0\n      routing-policy:\n      - from: {address}\n        \
         table: 20\n      - to: 192.0.2.14\n        table: 20\n"
    );
    Ok(lab.scratch.write("50-cloud-init.yaml", &text)?.display().to_string())
}

#[test]
fn what_a_netplan_file_says_is_replaced_without_a_lost_packet() -> Result<()> {
    let lab = Lab::with_services(SECOND_BY_RULES)?;
    let (address, gateway) = (addressing::host(2, Family::V4), addressing::gateway(2, Family::V4));
    for line in [
        format!("route add default via {gateway} dev up2 table 20"),
        "route add 10.0.2.0/24 dev up2 scope link table 20".to_owned(),
        format!("rule add from {address} lookup 20 priority 0"),
        "rule add to 192.0.2.14 lookup 20 priority 0".to_owned(),
    ] {
        lab.host.ip(&line)?;
    }
    lab.meet_default_gateway()?;
    let file = netplan(&lab)?;
    let mut prroute = lab.prroute()?;
    let configuration = prroute.output(&["import", &file])?.success()?;
    let removal = prroute.output(&["import", "--removal", &file])?.success()?;
    ensure!(removal.contains("50-cloud-init.yaml: what begins in line "), "{removal}");
    prroute.configure(&configuration)?;

    let client = addressing::client(2, Family::V4);
    let _echo = Echo::start(&lab.client, &[client], PORT)?;
    let ping = Stream::start(&lab.client, client, address)?;
    let daemon = while_talking(&[(asking(&lab.host, address)?, client)], |_| {
        let daemon = prroute.run(&[])?;
        run_script(&lab, "remove.sh", &removal)?;
        Ok(daemon)
    })
    .with_context(|| removal.clone())?;
    lost_nothing(vec![ping])?;
    let others = rules_of_others(&lab)?;
    ensure!(others.is_empty() && table_is_empty(&lab, 20)?, "left of it: {others:#?}");
    let way = lab.host.ip("route get 192.0.2.14")?;
    ensure!(way.contains(&format!("via {gateway} dev up2 ")), "{way}");
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// What cannot be carried over is in force as before, and works beside prroute.
#[test]
fn what_is_not_carried_over_stays_in_force() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let gateway = addressing::gateway(2, Family::V4);
    lab.host.ip(&format!("route add default via {gateway} dev up2 table 55"))?;
    lab.host.ip("rule add ipproto tcp dport 22 lookup 55 priority 500")?;
    lab.host.ip("rule add to 192.0.2.99 lookup 55 priority 501")?;
    let mut prroute = lab.prroute()?;
    let Output { status, stdout, stderr, .. } = prroute.output(&["import"])?;
    ensure!(status.success() && stderr.contains("1 thing is not carried over"), "{stderr}");
    ensure!(stdout.contains("to = [\"192.0.2.99/32\"]"), "{stdout}");
    let removal = prroute.output(&["import", "--removal"])?.success()?;
    prroute.configure(&stdout)?;
    let daemon = prroute.run(&[])?;
    run_script(&lab, "remove.sh", &removal)?;
    let others = rules_of_others(&lab)?;
    ensure!(others.len() == 1 && others[0].starts_with("500:"), "{others:#?}");
    ensure!(!table_is_empty(&lab, 55)?, "a rule looks it up");
    let way = lab.host.ip("route get 192.0.2.99")?;
    ensure!(way.contains(" dev up2 "), "{way}");
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// A rule that refuses all that an address sends stays in force: so does the one before it that gives it a way.
#[test]
fn a_rule_before_a_refusal_that_stays_is_not_removed() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let (address, gateway) = (addressing::host(2, Family::V4), addressing::gateway(2, Family::V4));
    for line in [
        format!("route add default via {gateway} dev up2 table 7"),
        format!("rule add from {address} lookup 7 priority 100"),
        format!("rule add from {address} prohibit priority 101"),
    ] {
        lab.host.ip(&line)?;
    }
    let mut prroute = lab.prroute()?;
    let (configuration, removal) = import(&prroute)?;
    for text in [&configuration, &removal] {
        let text = text.replace("\n#   ", " ");
        ensure!(text.contains("rule 101 behind it would decide instead"), "{text}");
    }
    prroute.configure(&configuration)?;
    let daemon = prroute.run(&[])?;
    run_script(&lab, "remove.sh", &removal)?;
    let others = rules_of_others(&lab)?;
    ensure!(others.len() == 2 && !table_is_empty(&lab, 7)?, "{others:#?}\n{removal}");
    let way = lab.host.ip(&format!("route get 203.0.113.7 from {address}"))?;
    ensure!(way.contains(&format!("via {gateway} dev up2 ")), "{way}");
    daemon.terminate()?;
    prroute.down().map(drop)
}
