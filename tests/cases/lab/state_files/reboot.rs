//! What is remembered over a reboot.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::{Instance, START, lasting_state};
use prroute_tests::wait;
use serde_json::Value;

/// The ids of the uplinks that there are.
fn ids(prroute: &Instance<'_>) -> Result<BTreeMap<String, u64>> {
    let status = prroute.status()?;
    let uplinks = status["uplinks"].as_array().with_context(|| format!("{status:#}"))?;
    let pair = |uplink: &Value| Some((uplink["name"].as_str()?.to_owned(), uplink["id"].as_u64()?));
    Ok(uplinks.iter().filter_map(pair).collect())
}

fn take_away(lab: &Lab, number: u8) -> Result<()> {
    let device = addressing::device(number);
    lab.host.ip(&format!("address flush dev {device} scope global")).map(drop)
}

/// As DHCP does: addresses and a default route.
fn give_back(lab: &Lab, number: u8) -> Result<()> {
    let device = addressing::device(number);
    for family in Family::BOTH {
        let (host, length) = (addressing::host(number, family), addressing::prefix_length(family));
        let (gateway, option) = (addressing::gateway(number, family), family.option());
        let quick = if family == Family::V6 { " nodad" } else { "" };
        lab.host.ip(&format!("address add {host}/{length} dev {device}{quick}"))?;
        lab.host.ip(&format!(
            "{option} route replace default via {gateway} dev {device} metric {number}"
        ))?;
    }
    Ok(())
}

#[test]
fn tables_keep_their_numbers_when_interfaces_come_in_another_order() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let before = ids(&prroute)?;
    daemon.terminate()?;
    ensure!(before.len() == 3, "{before:?}");
    // A reboot: of prroute nothing is left but what outlives it, and no interface is configured.
    prroute.down()?;
    let file = lasting_state(prroute.name()).join("ids.json");
    let written = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    (1..=3).try_for_each(|number| take_away(&lab, number))?;

    let daemon = prroute.run(&[])?;
    for (number, there) in [(3, 1), (1, 2), (2, 3)] {
        give_back(&lab, number)?;
        wait::until(&format!("{there} uplinks"), START, || {
            // The datapath may be about to be loaded.
            Ok(ids(&prroute).is_ok_and(|ids| ids.len() == there).then_some(()))
        })?;
        // The daemon has done what follows from it.
        prroute.output(&["wait"])?.success()?;
    }
    ensure!(ids(&prroute)? == before, "{:?}, before {before:?}", ids(&prroute)?);
    for (name, id) in &before {
        let table = lab.host.ip(&format!("route show table {}", 21_000 + id))?;
        ensure!(table.contains(&format!("dev {name}")), "{name}, {id}:\n{table}");
    }
    let after = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let owners = |text: &str| -> Result<Value> {
        let mut json: Value = serde_json::from_str(text).context("parse")?;
        for uplink in json["uplinks"].as_array_mut().context("uplinks")? {
            uplink["last_used"].take();
        }
        Ok(json)
    };
    ensure!(owners(&written)? == owners(&after)?, "{written}\n{after}");
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

#[test]
fn damaged_ids_are_set_aside_and_given_anew() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let prroute = lab.prroute()?;
    prroute.run(&[])?.terminate()?;
    let file = lasting_state(prroute.name()).join("ids.json");
    fs::write(&file, "{").with_context(|| format!("write {}", file.display()))?;
    let daemon = prroute.run(&[])?;
    let log = daemon.process.log();
    ensure!(log.lines().filter(|line| line.contains("ids.json")).count() == 1, "{log}");
    // The datapath knows them still.
    ensure!(ids(&prroute)?.values().copied().collect::<Vec<_>>() == [1, 2, 3]);
    ensure!(fs::read_to_string(&file)?.contains("prroute.ids/1"));
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}
