//! `mode = "observe"`: what leaves by the wrong uplink is counted, and nothing is changed.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::echo::Echo;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{self, Probe};
use prroute_tests::prroute::{self, Instance};
use prroute_tests::stream::Stream;
use prroute_tests::{socket, wait};
use serde_json::Value;

const TWO: Topology = Topology { uplinks: 2, ..Topology::DEFAULT };
const OBSERVE: &str = "mode = \"observe\"\n";
const PATIENCE: Duration = Duration::from_secs(30);

/// Without prroute only the uplink of main's default route works.
fn by_the_first(probe: &Probe) -> bool {
    probe.uplink() == 1
}

/// What `status` says was observed.
fn observed(prroute: &Instance<'_>) -> Result<Value> {
    Ok(prroute.status()?["observed"].clone())
}

/// Packets of a service that left by up1 and belong on up2; `port` is null for ICMP.
fn packets(observed: &Value, protocol: &str, address: &str, port: &Value) -> u64 {
    let services = observed["services"].as_array().map_or(&[][..], Vec::as_slice);
    let of_service = services
        .iter()
        .find(|it| it["protocol"] == protocol && it["address"] == address && it["port"] == *port);
    let ways = of_service.filter(|it| it["left_by"] == "up1" && it["belongs_on"] == "up2");
    ways.and_then(|it| it["packets"].as_u64()).unwrap_or_default()
}

/// The services of the lab on the addresses that are asked over up2 are named with their uplinks.
fn expect_services_counted(observed: &Value) -> Result<()> {
    for family in Family::BOTH {
        let ping = if family == Family::V4 { "icmp" } else { "icmpv6" };
        for address in [addressing::host(2, family), addressing::shared(family)] {
            let address = address.to_string();
            let services = [("tcp", 80.into()), ("udp", 53.into()), (ping, Value::Null)];
            for (protocol, port) in services {
                let count = packets(observed, protocol, &address, &port);
                ensure!(count > 0, "{protocol} {address} {port}: {observed:#}");
            }
        }
    }
    Ok(())
}

#[test]
fn what_leaves_by_the_wrong_uplink_is_counted_and_stays_as_it_is() -> Result<()> {
    let lab = Lab::with_services(TWO)?;
    let probes = probe::to_everything(2);
    lab.meet_default_gateway()?;
    probe::expect_answered(&lab.ask(&probes)?, by_the_first).context("without prroute")?;
    let before = lab.snapshot()?;
    let network = before.clone().of_network();
    let filter = format!("src host {}", addressing::host(2, Family::V4));
    lab.with_configuration(OBSERVE, |prroute| {
        let (wrong, right) = (
            Capture::start(&lab.host, "up1", "out", &filter)?,
            Capture::start(&lab.host, "up2", "out", &format!("{filter} and ip"))?,
        );
        probe::expect_answered(&lab.ask(&probes)?, by_the_first).context("while observing")?;
        ensure!(!wrong.stop()?.is_empty(), "no reply of up2 left by up1");
        let moved = right.stop()?;
        ensure!(moved.is_empty(), "moved: {moved:?}");

        let status = prroute.output(&["status"])?;
        ensure!(status.status.success(), "{status:?}");
        let first = status.stdout.lines().next().unwrap_or_default();
        ensure!(first.contains(": observing, 2 of 2 uplinks answer"), "{}", status.stdout);
        ensure!(status.stdout.contains("by up1 instead of up2"), "{}", status.stdout);
        expect_services_counted(&observed(prroute)?)?;
        // Packets go on to be counted (a FIN that is said again) while a report is made.
        wait::until("services have as many as uplinks", PATIENCE, || {
            let status = prroute.status()?;
            let packets = status["observed"]["packets"].as_u64();
            Ok((packets == Some(prroute::counted(&status, "wrong_uplink")?)).then_some(()))
        })?;
        assert_eq!(prroute.count("redirected")?, 0);
        let metrics = prroute.output(&["metrics"])?.success()?;
        let instance = format!("prroute_instance=\"{}\"", prroute.name());
        for sample in [
            format!("prroute_observing{{{instance}}} 1\n"),
            format!(
                "prroute_observed_wrong_uplink_packets_total{{{instance},uplink=\"up2\",left_by=\"up1\"}} "
            ),
        ] {
            ensure!(metrics.contains(&sample), "no {sample}in:\n{metrics}");
        }

        // Nothing is missing that is not to be there.
        prroute.output(&["wait"])?.success()?;
        let plan = prroute.output(&["plan"])?.success()?;
        ensure!(plan.contains("# nothing to change"), "{plan}");
        let doctor = prroute.output(&["doctor", "-q"])?;
        ensure!(doctor.status.code() != Some(1), "{}", doctor.stdout);

        let changes = lab.snapshot()?.of_network().changes_since(&network);
        ensure!(changes.is_empty(), "not as before:\n{changes}");
        let pins = prroute::pins(prroute.name());
        let found = lab.host.run(&["find", &pins.display().to_string(), "-name", "socket-*"])?;
        ensure!(found.is_empty(), "programs on sockets: {found}");
        Ok(())
    })?;
    lab.expect_unchanged_since(&before)
}

#[test]
fn a_containers_replies_are_counted_by_its_published_port() -> Result<()> {
    const PUBLISHED: u16 = 8080;
    const ECHO: u16 = 7007;
    let lab = Lab::build(Topology { ip_forward: true, ..TWO })?;
    let pods = lab.pods(1)?;
    let _echo =
        Echo::start(&pods[0], &Family::BOTH.map(|family| addressing::pod(1, family)), ECHO)?;
    let rules = [("ip", Family::V4), ("ip6", Family::V6)].map(|(word, family)| {
        let target = addressing::host(2, family);
        let to = SocketAddr::new(addressing::pod(1, family), ECHO);
        format!("{word} daddr {target} udp dport {PUBLISHED} dnat {word} to {to}\n")
    });
    lab.host.nft(&format!(
        "table inet published {{
            chain prerouting {{ type nat hook prerouting priority dstnat; {} }}
        }}",
        rules.concat()
    ))?;
    lab.meet_default_gateway()?;
    lab.with_configuration(OBSERVE, |prroute| {
        for family in Family::BOTH {
            let target = addressing::host(2, family);
            let udp = socket::udp(&lab.client, addressing::client(2, family), 0)?;
            udp.send_to(b"asked", SocketAddr::new(target, PUBLISHED)).context("ask")?;
            wait::until("the reply is counted", PATIENCE, || {
                let observed = observed(prroute)?;
                let count = packets(&observed, "udp", &target.to_string(), &PUBLISHED.into());
                Ok((count > 0).then_some(()))
            })
            .with_context(|| format!("{family}: {:?}", prroute.status()))?;
        }
        Ok(())
    })
}

#[test]
fn a_reload_enforces_and_observes_again() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..TWO })?;
    let probes = probe::to_everything(2);
    lab.meet_default_gateway()?;
    probe::expect_answered(&lab.ask(&probes)?, by_the_first).context("without prroute")?;
    let before = lab.snapshot()?;
    let network = before.clone().of_network();
    let mut prroute = lab.prroute()?;
    prroute.configure(OBSERVE)?;
    let mut daemon = prroute.run(&[])?;
    // An address whose replies leave by the right uplink in either mode.
    let (source, target) = (addressing::client(1, Family::V4), addressing::host(1, Family::V4));
    let pings = Stream::start(&lab.client, source, target)?;
    for round in 0..2 {
        prroute.configure("")?;
        prroute.output(&["reload"])?.success()?;
        daemon.said()?;
        probe::expect_all_answered(&lab.ask(&probes)?).with_context(|| format!("{round}"))?;
        let status = prroute.status()?;
        ensure!(status["mode"] == "enforce" && status["observed"].is_null(), "{status:#}");
        ensure!(prroute.output(&["status"])?.status.success(), "enforcing");

        prroute.configure(OBSERVE)?;
        prroute.output(&["reload"])?.success()?;
        daemon.said()?;
        probe::expect_answered(&lab.ask(&probes)?, by_the_first).context("observing again")?;
        let changes = lab.snapshot()?.of_network().changes_since(&network);
        ensure!(changes.is_empty(), "not as before:\n{changes}");
        let status = prroute.status()?;
        ensure!(status["mode"] == "observe" && status["health"] == "ok", "{status:#}");
    }
    pings.lost_nothing()?;
    // A start with the other mode takes over, too.
    daemon.terminate()?;
    prroute.configure("")?;
    let daemon = prroute.run(&[])?;
    probe::expect_all_answered(&lab.ask(&probes)?)?;
    daemon.terminate()?;
    prroute.configure(OBSERVE)?;
    let daemon = prroute.run(&[])?;
    let changes = lab.snapshot()?.of_network().changes_since(&network);
    ensure!(changes.is_empty(), "not as before:\n{changes}");
    daemon.terminate()?;
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

#[test]
fn the_option_outweighs_the_configuration() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let before = lab.snapshot()?.of_network();
    let mut prroute = lab.prroute()?;
    prroute.configure("mode = \"enforce\"\n")?;
    let daemon = prroute.run(&["--observe"])?;
    for _ in 0..2 {
        assert_eq!(prroute.status()?["mode"], "observe");
        ensure!(prroute.output(&["plan"])?.success()?.contains("# nothing to change"), "a plan");
        let changes = lab.snapshot()?.of_network().changes_since(&before);
        ensure!(changes.is_empty(), "not as before:\n{changes}");
        prroute.output(&["reload"])?.success()?;
    }
    let killed = daemon.kill()?;
    let status = prroute.output(&["status"])?;
    ensure!(status.stdout.contains("UNWATCHED (observing)"), "{}{killed}", status.stdout);
    prroute.down()?;
    Ok(())
}

#[test]
fn a_strict_filter_that_hides_requests_is_a_notice() -> Result<()> {
    let lab = Lab::build(Topology { rp_filter: 1, ..TWO })?;
    lab.with_configuration(OBSERVE, |prroute| {
        wait::until("the filter is named", PATIENCE, || {
            let status = prroute.output(&["status"])?;
            let said = status.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
            let is_named =
                said.contains("- up2: rp_filter is strict, and prroute, which only observes");
            Ok((is_named && status.status.success()).then_some(()))
        })
        .with_context(|| format!("{:?}", prroute.output(&["status"])))
    })
}
