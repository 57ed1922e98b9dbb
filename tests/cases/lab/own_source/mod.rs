//! `own-source = "datapath"`: no rule is ever made, the programs' tables say what main routes over each
//! uplink, and where rules are needed after all they are those alone.

mod bound;
mod change;
mod facts;
mod main_routes;
mod rules;

use std::time::Duration;

use anyhow::{Result, ensure};
use prroute_tests::addressing::Family;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::OwnSource;
use prroute_tests::{probe, wait};

use facts::kept;
use rules::{Rules, ours};

/// The promise for what is announced is a second; the machine may be busy.
const SOON: Duration = Duration::from_secs(10);
/// For what a command line has to start for.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn no_rule_is_ever_made_or_deleted() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?.own_source(OwnSource::Datapath)?;
    let none = |when: &str| -> Result<()> {
        for family in Family::BOTH {
            assert_eq!(ours(&lab, family)?, (0, 0), "{when}, {family}");
        }
        Ok(())
    };
    let mut rules = Rules::listen(&lab)?;
    let daemon = prroute.run(&[])?;
    none("after the start")?;
    assert_eq!(kept(&prroute)?, (true, true));
    // Replies leave right all the same.
    probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)?;

    lab.host.ip("address add 10.0.2.77/24 dev up2")?;
    lab.host.ip("address add 203.0.113.7/32 dev lo")?;
    lab.host.ip("link set up3 down")?;
    wait::until("the change is seen", PATIENCE, || {
        // While a device goes, its programs are missing for a moment.
        let Ok(status) = prroute.status() else { return Ok(None) };
        let seen = status["uplinks"][2]["up"] != true
            && status["uplinks"][1]["addresses"].to_string().contains("10.0.2.77");
        Ok(seen.then_some(()))
    })?;
    none("after changes")?;
    let status = prroute.status_text(&["-d"])?;
    for line in ["own-source, IPv4: datapath", "own-source, IPv6: datapath"] {
        ensure!(status.lines().any(|said| said == line), "{status}");
    }
    ensure!(!status.contains("walks all rules"), "{status}");
    let json = prroute.status()?;
    assert_eq!(json["own_source"][0]["kept_by"], "datapath", "{json:#}");
    assert_eq!(json["own_source"][0]["rules"], serde_json::json!([]), "{json:#}");

    lab.host.ip("link set up3 up")?;
    daemon.terminate()?;
    none("after the daemon's end")?;
    let daemon = prroute.run(&[])?;
    none("after another start")?;
    daemon.terminate()?;
    prroute.down()?;
    none("after down")?;
    let heard = rules.heard(&lab)?;
    ensure!(heard.is_empty(), "rules were made or deleted: {heard:#?}");
    Ok(())
}

#[test]
fn down_leaves_everything_as_it_was() -> Result<()> {
    let lab = Lab::build(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?.own_source(OwnSource::Datapath)?;
    let daemon = prroute.run(&[])?;
    daemon.terminate()?;
    let changes = lab.snapshot()?.changes_since(&before);
    ensure!(!changes.is_empty(), "programs, neighbours and sysctls");
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

#[test]
fn options_that_need_rules_have_those_alone_and_it_is_said() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let mut prroute = lab.prroute()?.own_source(OwnSource::Datapath)?;
    prroute.configure("[[uplink]]\nname = \"up2\"\nto = [\"192.0.2.1\"]\n")?;
    let daemon = prroute.run(&[])?;
    assert_eq!((ours(&lab, Family::V4)?.0, ours(&lab, Family::V6)?), (2, (0, 0)));
    ensure!(lab.host.ip("route get 192.0.2.1")?.contains("dev up2"));
    assert_eq!(kept(&prroute)?, (true, true));
    let plan = prroute.output(&["plan"])?.success()?;
    let status = prroute.status_text(&["-d"])?;
    for text in [&plan, &status] {
        ensure!(text.contains("because there are rules: prroute's for `to`"), "{text}");
    }
    prroute.configure("bind-device = true\n")?;
    prroute.output(&["reload"])?.success()?;
    assert_eq!((ours(&lab, Family::V4)?.0, ours(&lab, Family::V6)?.0), (4, 4));
    lab.host.ip("rule add priority 5500 from 10.77.0.0/16 lookup main")?;
    // Sentences are broken at 80 columns.
    let status = prroute.status_text(&["-d"])?.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = "rules: prroute's for bind-device, one of others (priority 5500)";
    ensure!(status.contains(said), "{status}");
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}
