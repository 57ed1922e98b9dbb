//! From rules to the datapath and back: by the configuration, and by main's default routes.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::OwnSource;
use prroute_tests::{probe, wait};

use super::facts::kept;
use super::rules::{Rules, ours};
use super::{PATIENCE, SOON};

const BY_DATAPATH: &str = "own-source = \"datapath\"\n";

#[test]
fn the_option_can_be_changed_while_it_runs() -> Result<()> {
    let lab = Lab::with_services(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let before = lab.snapshot()?;
    let mut prroute = lab.prroute()?.own_source(OwnSource::Rules)?;
    prroute.configure("")?;
    let daemon = prroute.run(&[])?;
    assert_eq!(kept(&prroute)?, (false, false));
    let made = ours(&lab, Family::V4)?;
    ensure!(made.0 > 4 && made.1 > made.0, "{made:?}");
    let asked = addressing::host(2, Family::V4);
    let by_rules = || -> Result<bool> {
        Ok(lab.host.ip(&format!("route get 192.0.2.1 from {asked}"))?.contains("dev up2"))
    };
    ensure!(by_rules()?);
    for round in 0..2 {
        prroute.configure(BY_DATAPATH)?;
        let told = prroute.output(&["reload"])?;
        ensure!(told.status.success(), "{told:?}");
        ensure!(told.stderr.contains("until the next boot"), "{round}: {told:?}");
        for family in Family::BOTH {
            assert_eq!(ours(&lab, family)?, (0, 0), "{family}");
        }
        assert_eq!(kept(&prroute)?, (true, true));
        let status = prroute.status_text(&["-d"])?;
        ensure!(status.contains("IPv4: there have been rules: "), "{status}");
        ensure!(!by_rules()?, "main decides");
        probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)?;

        prroute.configure("")?;
        let told = prroute.output(&["reload"])?;
        ensure!(told.status.success() && told.stderr.is_empty(), "{told:?}");
        assert_eq!(ours(&lab, Family::V4)?, made);
        assert_eq!(kept(&prroute)?, (false, false));
        ensure!(by_rules()?);
    }
    // A start with the other one takes over, too.
    daemon.terminate()?;
    prroute.configure(BY_DATAPATH)?;
    let daemon = prroute.run(&[])?;
    assert_eq!((ours(&lab, Family::V4)?, kept(&prroute)?), ((0, 0), (true, true)));
    daemon.terminate()?;
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

#[test]
fn a_family_without_a_default_route_in_main_is_kept_by_rules() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let defaults = lab.host.ip("-6 route show default")?;
    let defaults: Vec<&str> = defaults.lines().map(str::trim).collect();
    let change = |verb: &str| -> Result<()> {
        defaults
            .iter()
            .try_for_each(|route| lab.host.ip(&format!("-6 route {verb} {route}")).map(drop))
    };
    change("del")?;
    let mut heard = Rules::listen(&lab)?;
    lab.with_own_source(OwnSource::Datapath, |prroute| {
        let by = |expected: (bool, bool)| -> Result<()> {
            wait::until("each family is kept", SOON, || {
                let rules = Family::BOTH.map(|family| ours(&lab, family));
                let [v4, v6] = rules;
                let by_rules = (v4?.0 > 0, v6?.0 > 0);
                Ok((kept(prroute)? == expected && by_rules == (!expected.0, !expected.1))
                    .then_some(()))
            })
            .with_context(|| prroute.log())
        };
        by((true, false))?;
        let status = prroute.status_text(&["-d"])?;
        for said in [
            "own-source, IPv4: datapath",
            "own-source, IPv6: rules, because main has no default route that works",
            "IPv6: the kernel walks all rules",
        ] {
            ensure!(status.contains(said), "no {said:?} in {status}");
        }
        change("add")?;
        by((true, true))?;
        assert_eq!(ours(&lab, Family::V6)?, (0, 0));
        change("del")?;
        by((true, false))?;
        let heard = heard.heard(&lab)?;
        ensure!(heard.len() > 4 && heard.iter().all(|rule| !rule.contains("10.0.")), "{heard:#?}");
        Ok(())
    })
}

/// Packets sent and answers received, of ping's last lines.
fn pinged(log: &str) -> Result<(u64, u64)> {
    let line =
        log.lines().find(|line| line.contains("packets transmitted")).context(log.to_owned())?;
    let mut numbers = line.split(", ").filter_map(|part| part.split(' ').next()?.parse().ok());
    Ok((numbers.next().context("sent")?, numbers.next().context("received")?))
}

/// Both ways are in force before one of them goes.
#[test]
fn no_packet_leaves_by_another_uplink_while_the_option_is_changed() -> Result<()> {
    let lab = Lab::build(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let mut prroute = lab.prroute()?.own_source(OwnSource::Rules)?;
    prroute.configure("")?;
    let mut daemon = prroute.run(&[])?;
    let ways =
        Family::BOTH.map(|family| (addressing::host(2, family), addressing::client(2, family)));
    let mut pings = Vec::new();
    for (source, target) in ways {
        let (from, to) = (source.to_string(), target.to_string());
        pings.push(lab.host.spawn(&["ping", "-n", "-q", "-A", "-I", &from, &to])?);
    }
    for _ in 0..3 {
        for configuration in [BY_DATAPATH, ""] {
            prroute.configure(configuration)?;
            prroute.output(&["reload"])?.success().with_context(|| daemon.process.log())?;
            // Its queue is short: a service manager that does not read holds the daemon up.
            daemon.said()?;
        }
    }
    for (mut ping, (source, target)) in pings.into_iter().zip(ways) {
        ping.stop(Signal::SIGINT, PATIENCE)?;
        let (sent, received) = pinged(&ping.finished_log(PATIENCE)?)?;
        // The last answer may be on its way.
        ensure!(sent > 500 && sent - received <= 1, "{source}: {received} of {sent} are answered");
        let seen: Vec<u64> =
            lab.routers.iter().map(|r| r.arrived(source, target)).collect::<Result<_>>()?;
        assert_eq!((seen[0], seen[2]), (0, 0), "{source} by other uplinks");
    }
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// Somebody else's route has the place of one of ours: it stays, and the family's rules come all the same.
#[test]
fn a_route_of_others_keeps_no_family_from_its_rules() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    lab.with_own_source(OwnSource::Datapath, |prroute| {
        let theirs = "2001:db8:1::/64 dev up1 table 21001 metric 1024 proto static";
        let has_theirs = || -> Result<bool> {
            let table = lab.host.ip("-6 route show table 21001")?;
            Ok(table
                .lines()
                .any(|line| line.starts_with("2001:db8:1::/64 ") && line.contains(" static ")))
        };
        lab.host.ip(&format!("-6 route add {theirs}"))?;
        let defaults = lab.host.ip("-6 route show default")?;
        for route in defaults.lines() {
            lab.host.ip(&format!("-6 route del {}", route.trim()))?;
        }
        prroute.daemon.process.wait_log("that it is in the way is said", PATIENCE, |log| {
            log.contains("others have objects there").then_some(())
        })?;
        wait::until("rules keep the family", PATIENCE, || {
            Ok((ours(&lab, Family::V6)?.0 > 0 && kept(prroute)? == (true, false)).then_some(()))
        })?;
        ensure!(has_theirs()?, "it is theirs");
        lab.host.ip(&format!("-6 route del {theirs}"))?;
        wait::until("ours is in its place", 3 * PATIENCE, || {
            let table = lab.host.ip("-6 route show table 21001")?;
            let is_ours =
                |line: &str| line.starts_with("2001:db8:1::/64 ") && line.contains(" 213 ");
            Ok(table.lines().any(is_ours).then_some(()))
        })
    })
}
