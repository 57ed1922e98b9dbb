//! `prroute flows`: what is asked for is listed, in the grammar of `ss`, as root and by the socket alike.

use anyhow::{Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{probe, prroute::Instance};
use serde_json::Value;

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
