//! `prroute flows`: what is asked for is listed, in the grammar of `ss`, as root and by the socket alike.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::frame::{Flags, Way, Wire, mac};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::{Instance, state};
use prroute_tests::{probe, socket, wait};
use serde_json::Value;

const PORT: u16 = 7007;
const SOON: Duration = Duration::from_secs(15);

/// How many match, and the local ports of those that are listed.
fn asked(prroute: &Instance<'_>, words: &[&str]) -> Result<(u64, Vec<u64>)> {
    let json = prroute.output(&[&["flows", "--json"], words].concat())?.success()?;
    let report: Value = serde_json::from_str(&json)?;
    let flows = report["flows"].as_array().into_iter().flatten();
    let ports = flows.filter_map(|flow| flow["local_port"].as_u64()).collect();
    Ok((report["summary"]["matching"].as_u64().unwrap_or(u64::MAX), ports))
}

#[test]
fn a_filter_lists_what_it_names_and_counts_the_rest() -> Result<()> {
    let lab = Lab::with_services(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    lab.with_prroute(|prroute| {
        probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)?;
        let (all, _) = asked(prroute, &["state", "all"])?;
        let (of_dns, ports) = asked(prroute, &["sport", "=", "53"])?;
        ensure!(of_dns > 0 && ports.iter().all(|port| *port == 53), "{ports:?}");
        let (others, ports) = asked(prroute, &["state all and not sport = 53"])?;
        ensure!(others > 0 && ports.iter().all(|port| *port != 53), "{ports:?}");
        let (all_dns, _) = asked(prroute, &["state all and sport = 53"])?;
        ensure!(all_dns + others == all, "{all_dns} and {others} are not {all}");

        let (of_1, of_2) = (
            asked(prroute, &["state", "all", "uplink", "up1"])?.0,
            asked(prroute, &["state", "all", "uplink", "up2"])?.0,
        );
        ensure!(of_1 > 0 && of_2 > 0 && of_1 + of_2 == all, "{of_1} and {of_2} are not {all}");
        let (tcp, udp) = (asked(prroute, &["-t"])?, asked(prroute, &["-u"])?);
        ensure!(udp.0 > 0 && udp.1.contains(&53) && !tcp.1.contains(&53), "{tcp:?} {udp:?}");
        let v6 = addressing::shared(Family::V6).to_string();
        let of_v6 = asked(prroute, &["-6", "state all", "src", &v6])?.0;
        ensure!(of_v6 > 0 && asked(prroute, &["-4", "state all", "src", &v6])?.0 == 0);
        let (matching, listed) = asked(prroute, &["-n", "1", "state", "all"])?;
        ensure!(matching == all && listed.len() == 1, "{matching} {listed:?}");

        let text = prroute.output(&["flows", "-n", "1", "state all"])?.success()?;
        ensure!(text.starts_with("STATE") && text.contains("not shown (-n 0 shows all)"), "{text}");
        let summary = prroute.output(&["flows", "-s", "state all"])?.success()?;
        ensure!(summary.contains("services") && summary.contains("up2 "), "{summary}");

        let wrong = prroute.output(&["flows", "dport = http"])?;
        ensure!(wrong.status.code() == Some(2) && wrong.stdout.is_empty(), "{wrong:?}");
        let marked = "\"http\" is no port number\n  dport = http\n          ^\n";
        ensure!(wrong.stderr.contains(marked), "{wrong:?}");
        Ok(())
    })
}

/// The state of each TCP flow to [`PORT`], by the client's port.
fn states(prroute: &Instance<'_>) -> Result<Vec<(u64, String)>> {
    let filter = format!("state all and sport = {PORT}");
    let json = prroute.output(&["flows", "-t", "--json", &filter])?.success()?;
    let report: Value = serde_json::from_str(&json)?;
    let flows = report["flows"].as_array().into_iter().flatten();
    let state =
        |flow: &Value| Some((flow["remote_port"].as_u64()?, flow["state"].as_str()?.to_owned()));
    Ok(flows.filter_map(state).collect())
}

fn await_state(prroute: &Instance<'_>, port: u16, expected: &str) -> Result<()> {
    let mut last = Vec::new();
    wait::until("the flow is in that state", SOON, || {
        last = states(prroute)?;
        let is_it = |(of, state): &(u64, String)| *of == u64::from(port) && state == expected;
        Ok(last.iter().any(is_it).then_some(()))
    })
    .with_context(|| format!("{port} is not {expected}: {last:?}"))
}

#[test]
fn connections_that_closed_are_told_from_those_that_live() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let shared = Family::BOTH.map(addressing::shared);
    let _echo = Echo::start(&lab.host, &shared, PORT)?;
    lab.with_prroute(|prroute| {
        for family in Family::BOTH {
            let (source, target) = (addressing::client(2, family), addressing::shared(family));
            let open = || -> Result<_> {
                let mut stream = socket::tcp(&lab.client, source, target, PORT)?;
                echo::tcp_round(&mut stream, 100)?;
                Ok((stream.local_addr()?.port(), stream))
            };
            let [lives, half, closed, reset] = [open()?, open()?, open()?, open()?];
            half.1.shutdown(std::net::Shutdown::Write)?;
            drop(closed.1);
            socket::abort(reset.1)?;
            // The server closes when its client has.
            for port in [half.0, closed.0, reset.0] {
                await_state(prroute, port, "fin")?;
            }
            await_state(prroute, lives.0, "ok")?;
            let listed = prroute.output(&["flows", "-t"])?.success()?;
            let of = |port: u16| listed.contains(&SocketAddr::new(source, port).to_string());
            ensure!(of(lives.0) && !of(closed.0) && listed.contains(" closed ones"), "{listed}");
            let fin = prroute.output(&["flows", "-t", "state fin"])?.success()?;
            ensure!(fin.contains(&SocketAddr::new(source, closed.0).to_string()), "{fin}");
        }
        Ok(())
    })
}

/// An attacker in the client's name, on the client's own uplink, with numbers that are nearly right.
#[test]
fn a_forged_end_of_a_connection_is_none() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let (source, target) = (addressing::client(2, Family::V4), addressing::shared(Family::V4));
    let _echo = Echo::start(&lab.host, &[target], PORT)?;
    lab.with_prroute(|prroute| {
        let mut stream = socket::tcp(&lab.client, source, target, PORT)?;
        echo::tcp_round(&mut stream, 100)?;
        let port = stream.local_addr()?.port();
        await_state(prroute, port, "ok")?;
        let attacker = lab.stranger(2, "attacker")?;
        let wire = Wire::open(&attacker, "eth0")?;
        let way = Way {
            source_mac: mac("02:00:00:00:02:66")?,
            target_mac: mac(&addressing::host_mac(2))?,
            source,
            target,
        };
        for number in (0..u32::MAX).step_by(1 << 22) {
            let fin = Flags { fin: true, ack: true, ..Flags::default() };
            let reset = Flags { rst: true, ..Flags::default() };
            for (flags, acknowledged) in [(fin, number), (reset, 0)] {
                wire.send(&way.tcp((port, PORT), flags, (number, acknowledged), &[])?)?;
            }
        }
        echo::tcp_round(&mut stream, 100)?;
        let states = states(prroute)?;
        ensure!(states.contains(&(port.into(), "ok".to_owned())), "{states:?}");
        Ok(())
    })
}

#[test]
fn flows_of_an_uplink_that_is_down_are_said_to_follow_the_routing_tables() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let shared = addressing::shared(Family::V4);
    let _echo = Echo::start(&lab.host, &[shared], PORT)?;
    lab.with_prroute(|prroute| {
        let open = |number| -> Result<_> {
            let source: IpAddr = addressing::client(number, Family::V4);
            let mut stream = socket::tcp(&lab.client, source, shared, PORT)?;
            echo::tcp_round(&mut stream, 100)?;
            Ok(stream)
        };
        let [first, second] = [open(1)?, open(2)?];
        lab.host.ip("link set up2 down")?;
        await_state(prroute, second.local_addr()?.port(), "fall")?;
        await_state(prroute, first.local_addr()?.port(), "ok")?;
        let text = prroute.output(&["flows", "-t", "uplink", "up1", "or", "state", "fall"])?;
        let text = text.success()?;
        ensure!(text.contains("1 fall") && text.contains("\n! fall: "), "{text}");
        ensure!(text.ends_with(": 1 flows follow the routing tables\n"), "{text}");
        Ok(())
    })
}

#[test]
fn an_uplink_is_called_what_its_device_is_called_now() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    let shared = addressing::shared(Family::V4);
    let _echo = Echo::start(&lab.host, &[shared], PORT)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let mut stream = socket::tcp(&lab.client, addressing::client(2, Family::V4), shared, PORT)?;
    echo::tcp_round(&mut stream, 100)?;
    let name = || -> Result<Value> {
        let flows = prroute.flows(|flow| flow["local_port"] == PORT)?;
        Ok(flows.first().context("no flow")?["uplink_name"].clone())
    };
    // What the daemon knew is neither there nor true any more.
    daemon.kill()?;
    ensure!(name()? == "up2");
    std::fs::remove_file(state(prroute.name()).join("report.json"))?;
    ensure!(name()? == "up2", "{}", name()?);
    lab.host.ip_batch("link set up2 down\nlink set up2 name other\n")?;
    ensure!(name()? == "other", "{}", name()?);
    lab.host.ip("link del other")?;
    ensure!(name()? == Value::Null, "{}", name()?);
    prroute.down().map(drop)
}

#[test]
fn a_guest_behind_dnat_is_named() -> Result<()> {
    const PUBLISHED: u16 = 8080;
    let topology = Topology { uplinks: 2, ip_forward: true, ..Topology::DEFAULT };
    let lab = Lab::build(topology)?;
    let pods = lab.pods(1)?;
    let guests = Family::BOTH.map(|family| addressing::pod(1, family));
    let _echo = Echo::start(&pods[0], &guests, PORT)?;
    lab.host.nft(&format!(
        "table inet publish {{
            chain prerouting {{
                type nat hook prerouting priority dstnat
                tcp dport {PUBLISHED} meta nfproto ipv4 dnat ip to {}:{PORT}
                tcp dport {PUBLISHED} meta nfproto ipv6 dnat ip6 to [{}]:{PORT}
            }}
        }}",
        guests[0], guests[1]
    ))?;
    lab.with_prroute(|prroute| {
        for (family, guest) in Family::BOTH.into_iter().zip(guests) {
            let (source, shared) = (addressing::client(2, family), addressing::shared(family));
            let mut stream = socket::tcp(&lab.client, source, shared, PUBLISHED)?;
            echo::tcp_round(&mut stream, 100)?;
            let port = u64::from(stream.local_addr()?.port());
            let flows = prroute.flows(|flow| flow["remote_port"] == port)?;
            let [flow] = &flows[..] else { anyhow::bail!("not one flow: {flows:?}") };
            ensure!(flow["guest"] == guest.to_string() && flow["guest_port"] == PORT, "{flow}");
            let [with, without] = [&["flows", "-t", "-e"][..], &["flows", "-t"]]
                .map(|words| prroute.output(words)?.success());
            let (with, without) = (with?, without?);
            let named = SocketAddr::new(guest, PORT).to_string();
            ensure!(with.contains(&named) && with.contains(" GUEST "), "{with}");
            ensure!(!without.contains(&named), "{without}");
        }
        Ok(())
    })
}
