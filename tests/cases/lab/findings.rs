//! What keeps prroute from its work, or what prroute would keep from working, is named with its remedy
//! by `plan`, `check` and `status`.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{self, Probe, Question};
use prroute_tests::prroute::Instance;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);
const TOPOLOGY: Topology = Topology { uplinks: 2, ..Topology::DEFAULT };

/// The findings of a kind that a command tells of.
fn found(prroute: &Instance<'_>, command: &[&str], id: &str) -> Result<Vec<Value>> {
    let json = prroute.output(&[command, &["--json"]].concat())?.success()?;
    let report: Value = serde_json::from_str(&json).with_context(|| format!("parse {json}"))?;
    let all = report["findings"].as_array().with_context(|| format!("no findings: {json}"))?;
    Ok(all.iter().filter(|finding| finding["id"] == id).cloned().collect())
}

fn is_named(prroute: &Instance<'_>, command: &[&str], id: &str, remedy: &str) -> Result<()> {
    let found = found(prroute, command, id)?;
    let [finding] = found.as_slice() else { anyhow::bail!("{command:?}: {found:#?}") };
    let text = finding["remedy"].as_str().unwrap_or_default();
    ensure!(text.contains(remedy), "{command:?}: no {remedy:?} in {text:?}");
    Ok(())
}

/// Router 2 is the load balancer: it passes requests on to the host, and lets no replies out.
fn real_server() -> Result<Lab> {
    let lab = Lab::with_services(TOPOLOGY)?;
    lab.host.sysctl(&["net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2"])?;
    lab.steer(2, Family::V4)?;
    let shared = addressing::shared(Family::V4);
    lab.router(2).namespace.nft(&format!(
        "table ip backend {{
            chain forward {{ type filter hook forward priority -10; ip saddr {shared} drop; }}
        }}"
    ))?;
    lab.meet_default_gateway()?;
    Ok(lab)
}

/// A real server that answers directly, by its front interface, what a load balancer sends to it by
/// another one.
#[test]
fn a_direct_return_server_is_named_before_it_stops_working() -> Result<()> {
    const ID: &str = "direct-return";
    const REMEDY: &str = "reply = \"off\" in [[uplink]] name = \"up2\"";
    let lab = real_server()?;
    let target: IpAddr = addressing::shared(Family::V4);
    let source = addressing::stateless_client(Family::V4);
    let probes = Question::ALL.map(|question| Probe { question, source, target });
    probe::expect_all_answered(&lab.ask(&probes)?)?;

    let prroute = lab.prroute()?;
    is_named(&prroute, &["plan"], ID, REMEDY)?;
    is_named(&prroute, &["check"], ID, REMEDY)?;
    let log = prroute.while_running(|prroute| {
        probe::expect_answered(&lab.ask(&probes)?, |_| false)?;
        is_named(prroute, &["status"], ID, REMEDY)
    })?;
    ensure!(log.matches(REMEDY).count() == 1, "{log}");

    lab.with_configuration("[[uplink]]\nname = \"up2\"\nreply = \"off\"\n", |prroute| {
        probe::expect_all_answered(&lab.ask(&probes)?)?;
        ensure!(found(prroute, &["status"], ID)?.is_empty(), "the remedy is in force");
        Ok(())
    })
}

/// As firewalld 1.3 writes it with `IPv6_rpfilter=yes`, and later ones with `strict` and `loose`.
fn rpfilter_of_firewalld(flags: &str) -> String {
    format!(
        "table inet firewalld
        delete table inet firewalld
        table inet firewalld {{
            chain filter_PREROUTING {{
                type filter hook prerouting priority filter + 10; policy accept;
                icmpv6 type {{ nd-router-advert, nd-neighbor-solicit }} accept
                meta nfproto ipv6 fib {flags} oif missing drop
            }}
        }}"
    )
}

#[test]
fn the_reverse_path_filter_of_firewalld_is_named_with_its_remedy() -> Result<()> {
    const ID: &str = "reverse-path-filter";
    const REMEDY: &str = "IPv6_rpfilter=no";
    let lab = Lab::with_services(TOPOLOGY)?;
    let prroute = lab.prroute()?;
    ensure!(found(&prroute, &["check"], ID)?.is_empty(), "there is none");
    let daemon = prroute.run(&[])?;
    let probes = probe::to_everything(2);
    lab.expect_answered_within(SOON, &probes)?;

    lab.host.nft(&rpfilter_of_firewalld("saddr . mark . iif"))?;
    let is_filtered =
        |probe: &Probe| probe.target == addressing::shared(Family::V6) && probe.uplink() == 2;
    probe::expect_answered(&lab.ask(&probes)?, |probe| !is_filtered(probe))?;
    for command in ["status", "check"] {
        is_named(&prroute, &[command], ID, REMEDY)?;
    }
    daemon.terminate()?;
    // A daemon that starts beside it says so once.
    let log = prroute.run(&[])?.terminate()?;
    ensure!(log.matches(REMEDY).count() == 1, "{log}");

    for remedy in [rpfilter_of_firewalld("saddr . mark"), "delete table inet firewalld".to_owned()]
    {
        lab.host.nft(&remedy)?;
        lab.expect_answered_within(SOON, &probes)?;
        let daemon = prroute.run(&[])?;
        ensure!(found(&prroute, &["status"], ID)?.is_empty(), "{remedy}");
        ensure!(found(&prroute, &["check"], ID)?.is_empty(), "{remedy}");
        daemon.terminate()?;
    }
    prroute.down()?;
    Ok(())
}
