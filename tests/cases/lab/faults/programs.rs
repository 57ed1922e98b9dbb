//! Programs, pins and rules, without a daemon that would put them back, and what of others comes
//! before ours.

use std::fs;
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, ensure};
use prroute_common::{LAYOUT_VERSION, names};
use prroute_tests::bpf::{self, Direction, Place};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::{self, Instance};
use prroute_tests::wait;

use super::{DOCTOR, SOON, STATUS, Said, TWO, expect_clean, expect_named};
use crate::removed::removal;

/// What others do while no daemon runs is named, with the command that mends it: one that starts does
/// what the command does.
fn is_named_without_a_daemon(
    hook: &str,
    (id, evidence): (&str, &str),
    remove: impl FnOnce(&Lab, &Instance<'_>) -> Result<()>,
) -> Result<()> {
    let lab = Lab::build(TWO)?;
    let prroute = lab.prroute()?.configured(&format!("attach = \"{hook}\"\n"))?;
    let daemon = prroute.run(&[])?;
    expect_clean(&prroute, STATUS)?;
    daemon.kill()?;
    remove(&lab, &prroute)?;
    let finding = expect_named(&prroute, DOCTOR, id, 3)?;
    let fix = finding["fix"].as_str().context("fix")?;
    // With the configuration that the daemon had.
    ensure!(fix.starts_with("prroute run --config "), "{finding:#}");
    ensure!(fix.ends_with(&format!(" --instance {}", prroute.name())), "{finding:#}");
    ensure!(finding["evidence"].to_string().contains(evidence), "{finding:#}");
    let daemon = prroute.run(&[])?;
    expect_clean(&prroute, STATUS)?;
    daemon.terminate()?;
    prroute.down().map(drop)
}

#[test]
fn a_qdisc_that_was_deleted_is_named() -> Result<()> {
    is_named_without_a_daemon("clsact", ("program-missing:up2", "by clsact"), |lab, _| {
        lab.host.run(&["tc", "qdisc", "del", "dev", "up2", "clsact"]).map(drop)
    })
}

#[test]
fn another_program_behind_our_link_is_named() -> Result<()> {
    let evidence = "which is not prroute's";
    is_named_without_a_daemon("tcx", ("program-missing:up2", evidence), |_, prroute| {
        bpf::replace_pinned(&removal::pin(prroute, "link-2-egress"))
    })
}

#[test]
fn pins_that_were_removed_are_named() -> Result<()> {
    is_named_without_a_daemon("tcx", ("pins-missing", names::FLOWS4), |_, prroute| {
        removal::unpin(prroute, names::FLOWS4)
    })
}

#[test]
fn rules_that_were_flushed_are_named() -> Result<()> {
    is_named_without_a_daemon("tcx", ("rule-missing:host", "rule"), |lab, _| {
        lab.host.ip("-4 rule flush protocol 213").map(drop)
    })
}

/// An `ingress` qdisc on uplink 2, with a filter.
fn add_ingress_qdisc(lab: &Lab) -> Result<()> {
    lab.host.run(&["tc", "qdisc", "add", "dev", "up2", "ingress"])?;
    let filter = ["tc", "filter", "add", "dev", "up2", "ingress", "pref", "7", "protocol", "ip"];
    lab.host.run(&[&filter[..], &["bpf", "da", "bytecode", "1,6 0 0 4294967295"]].concat())?;
    Ok(())
}

/// Whether the mark of a layout in force is among the pins.
fn is_in_force(lab: &Lab) -> Result<bool> {
    let layout = prroute::pins(lab.name()).join(format!("v{LAYOUT_VERSION}"));
    let mut names = fs::read_dir(layout)?.map(|entry| entry.map(|entry| entry.file_name()));
    names.try_fold(false, |found, name| Ok(found || name?.to_string_lossy().starts_with("memory:")))
}

/// It has the place of the clsact qdisc, and no hook for what leaves.
#[test]
fn an_ingress_qdisc_in_the_place_of_ours_is_named_and_keeps_no_other_uplink_back() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let before = lab.snapshot()?;
    add_ingress_qdisc(&lab)?;
    let theirs = || lab.host.run(&["tc", "filter", "show", "dev", "up2", "ingress"]);
    let filters = theirs()?;
    lab.with_configuration("attach = \"clsact\"\n", |prroute| {
        let finding = expect_named(prroute, STATUS, "program-missing:up2", 1)?;
        let remedy = finding["remedy"].as_str().context("remedy")?;
        ensure!(remedy.contains("tc qdisc del dev up2 ingress"), "{finding:#}");
        ensure!(finding["evidence"].to_string().contains("ingress qdisc"), "{finding:#}");
        ensure!(finding["fix"].is_null(), "a restart changes nothing: {finding:#}");
        wait::until("the log names it", SOON, || {
            Ok(prroute.log().contains("up2: its ingress qdisc").then_some(()))
        })?;
        assert_eq!(theirs()?, filters, "nothing of ours among theirs");
        let status = prroute.status()?;
        for index in [0, 2] {
            ensure!(status["uplinks"][index]["hook"] == "clsact", "{status:#}");
        }
        // Else the next version would forget all flows.
        wait::until("the layout is in force", SOON, || Ok(is_in_force(&lab)?.then_some(())))?;
        // A reload is no more hindered than the start.
        prroute.output(&["reload"])?.success()?;
        lab.host.run(&["tc", "qdisc", "del", "dev", "up2", "ingress"])?;
        expect_clean(prroute, STATUS)
    })?;
    lab.expect_unchanged_since(&before)
}

/// The kernel lists what comes in as what leaves, too.
#[test]
fn tcx_beside_an_ingress_qdisc_names_its_filters_once() -> Result<()> {
    let lab = Lab::build(TWO)?;
    add_ingress_qdisc(&lab)?;
    lab.with_configuration("attach = \"tcx\"\n", |prroute| {
        let said = Said::by(prroute, STATUS)?;
        ensure!(said.finding("program-foreign:up2:ingress").is_some(), "{said:#?}");
        ensure!(said.finding("program-foreign:up2:egress").is_none(), "{said:#?}");
        Ok(())
    })
}

/// A daemon that runs leaves the order to the administrator: one that starts puts its programs first.
#[test]
fn a_program_before_ours_is_named_and_a_new_daemon_goes_before_it() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let prroute = lab.prroute()?.configured("attach = \"tcx\"\n")?;
    let daemon = prroute.run(&[])?;
    let other = bpf::empty_program()?;
    let egress = Direction::Egress;
    let link = bpf::attach(&lab.host, "up2", egress, Place::Head, other.as_fd())?;
    let finding = expect_named(&prroute, DOCTOR, "program-order:up2:egress", 5)?;
    ensure!(finding["severity"] == "warning", "{finding:#}");
    // It is no unit: whoever started it knows how.
    ensure!(finding["fix"].is_null(), "{finding:#}");
    ensure!(finding["remedy"].to_string().contains("restart prroute's daemon"), "{finding:#}");
    daemon.terminate()?;
    let daemon = prroute.run(&[])?;
    expect_clean(&prroute, STATUS)?;
    ensure!(bpf::tcx_programs(&lab.host, "up2", egress)? == 2, "ours and the other one");
    let said = Said::by(&prroute, STATUS)?;
    ensure!(said.finding("program-foreign:up2:egress").is_some(), "{said:#?}");
    drop(link);
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// With a daemon: ours go before a rule of others that catches everything, if there is room.
#[test]
fn a_rule_that_catches_everything_before_ours_is_named() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    lab.host.ip("route add default via 10.0.1.1 dev up1 table 77")?;
    lab.host.ip("rule add priority 1 lookup 77")?;
    let finding = expect_named(&prroute, DOCTOR, "catch-all:table-77", 5)?;
    ensure!(finding["remedy"].is_string(), "{finding:#}");
    lab.host.ip("rule del priority 1 lookup 77")?;
    expect_clean(&prroute, DOCTOR)?;
    daemon.terminate()?;
    prroute.down().map(drop)
}
