//! `prroute down` leaves the host as it was, byte for byte, with or without a daemon.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing;
use prroute_tests::bpf::{self, Direction, Place};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::{OwnSource, in_both_modes};
use prroute_tests::snapshot::Snapshot;
use prroute_tests::{probe, wait};

/// A host whose sysctls prroute has to change.
const STRICT: Topology = Topology { rp_filter: 1, ..Topology::DEFAULT };

/// What must have happened before an undo proves anything.
fn expect_installed(lab: &Lab, own_source: OwnSource, before: &Snapshot) -> Result<()> {
    let changes = lab.snapshot()?.changes_since(before).to_string();
    let by_rules = own_source == OwnSource::Rules;
    for part in ["-4 -details rule", "-6 -details rule", "-4 -details route", "-6 -details route"] {
        ensure!(changes.contains(part) == by_rules, "{part} with {own_source:?}:\n{changes}");
    }
    ensure!(changes.contains("conf/up2/rp_filter:2"), "rp_filter did not change:\n{changes}");
    ensure!(changes.contains("/sys/fs/bpf/prroute/"), "nothing was pinned:\n{changes}");
    Ok(())
}

#[test]
fn down_stops_the_daemon_and_restores_every_byte() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::with_services(STRICT)?;
        let before = lab.snapshot()?;
        let prroute = lab.prroute()?.own_source(own_source)?;
        let mut daemon = prroute.run(&[])?;
        probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)?;
        expect_installed(&lab, own_source, &before)?;
        prroute.down()?;
        let status = daemon.process.wait_end(prroute_tests::prroute::STOP)?;
        assert!(status.success(), "{status}: {}", daemon.process.log());
        lab.expect_unchanged_since(&before)
    })
}

#[test]
fn down_restores_every_byte_after_the_daemon_was_killed() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::with_services(STRICT)?;
        let before = lab.snapshot()?;
        let prroute = lab.prroute()?.own_source(own_source)?;
        prroute.run(&[])?.kill()?;
        // The datapath and the rules are still there, and work.
        expect_installed(&lab, own_source, &before)?;
        probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)?;
        prroute.down()?;
        lab.expect_unchanged_since(&before)?;
        // Nothing is left to be undone, and saying so is no failure.
        prroute.down()?;
        lab.expect_unchanged_since(&before)
    })
}

/// Whatever the daemon was about to do when it was killed can be undone.
#[test]
fn down_restores_every_byte_after_a_kill_at_any_moment_of_the_start() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::build(STRICT)?;
        let before = lab.snapshot()?;
        let prroute = lab.prroute()?.own_source(own_source)?;
        let start = Instant::now();
        drop(prroute.run(&[])?);
        let whole_start = start.elapsed();
        prroute.down()?;
        for sixteenth in 1..16 {
            let mut daemon = prroute.start(&[])?;
            let due = Instant::now() + whole_start * sixteenth / 16;
            wait::until("the moment", whole_start, || Ok((Instant::now() >= due).then_some(())))?;
            daemon.process.kill()?;
            prroute.down()?;
            lab.expect_unchanged_since(&before)
                .with_context(|| format!("{sixteenth}/16 of {whole_start:?}"))?;
        }
        Ok(())
    })
}

#[test]
fn a_signal_keeps_the_datapath_until_down() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::with_services(STRICT)?;
        let before = lab.snapshot()?;
        let prroute = lab.prroute()?.own_source(own_source)?;
        prroute.run(&[])?.terminate()?;
        expect_installed(&lab, own_source, &before)?;
        probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)?;
        prroute.down()?;
        lab.expect_unchanged_since(&before)
    })
}

#[test]
fn a_signal_undoes_everything_when_asked_to() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::with_services(STRICT)?;
        let before = lab.snapshot()?;
        let mut prroute = lab.prroute()?.own_source(own_source)?;
        let daemon = prroute.run(&["--undo-on-exit"])?;
        expect_installed(&lab, own_source, &before)?;
        daemon.terminate()?;
        lab.expect_unchanged_since(&before)?;

        prroute.configure("on-stop = \"undo\"\n")?;
        let daemon = prroute.run(&[])?;
        expect_installed(&lab, own_source, &before)?;
        daemon.terminate()?;
        lab.expect_unchanged_since(&before)
    })
}

#[test]
fn clsact_filters_and_qdiscs_are_undone_too() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::with_services(STRICT)?;
        let before = lab.snapshot()?;
        let mut prroute = lab.prroute()?.own_source(own_source)?;
        prroute.configure("attach = \"clsact\"\n")?;
        let daemon = prroute.run(&[])?;
        let changes = lab.snapshot()?.changes_since(&before).to_string();
        assert!(changes.contains("+ qdisc clsact"), "{changes}");
        daemon.kill()?;
        prroute.down()?;
        lab.expect_unchanged_since(&before)
    })
}

#[test]
fn a_sysctl_that_the_administrator_changes_meanwhile_is_left_alone() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::build(STRICT)?;
        let before = lab.snapshot()?;
        let prroute = lab.prroute()?.own_source(own_source)?;
        let daemon = prroute.run(&[])?;
        expect_installed(&lab, own_source, &before)?;
        lab.host.sysctl(&["net.ipv4.conf.up2.rp_filter=0"])?;
        daemon.terminate()?;
        prroute.down()?;
        let changes = lab.snapshot()?.changes_since(&before).to_string();
        let changed: Vec<&str> =
            changes.lines().filter(|line| line.starts_with(['+', '-'])).collect();
        let path = "/proc/sys/net/ipv4/conf/up2/rp_filter";
        assert_eq!(changed, [format!("- {path}:1"), format!("+ {path}:0")], "{changes}");
        Ok(())
    })
}

/// Rules, routes, qdiscs, filters and neighbours of others, before and while prroute runs.
#[test]
fn what_others_made_is_untouched() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::with_services(STRICT)?;
        let filter = "bpf da bytecode 1,6 0 0 4294967295";
        let filter = |device: &str, pref: &str| -> Result<String> {
            let words: Vec<&str> = filter.splitn(4, ' ').collect();
            let head = ["tc", "filter", "add", "dev", device, "ingress", "pref", pref];
            lab.host.run(&[&head[..], &["protocol", "all"], &words].concat())
        };
        let gateway = addressing::gateway(2, addressing::Family::V4);
        lab.host.ip("rule add priority 500 from 10.9.9.9 lookup 77")?;
        lab.host.ip("-6 rule add priority 500 from fd00:9::9 lookup 77")?;
        // Protocol 213 outside our range of priorities is somebody else's.
        lab.host.ip("rule add priority 30000 from 10.9.9.8 lookup 77 protocol 213")?;
        lab.host.ip(&format!("route add default via {gateway} dev up2 table 77"))?;
        lab.host.ip("route add blackhole 10.66.0.0/16")?;
        lab.host.ip("-6 route add unreachable fd00:66::/48")?;
        lab.host.run(&["tc", "qdisc", "add", "dev", "up2", "clsact"])?;
        filter("up2", "7")?;
        let before = lab.snapshot()?;

        let prroute = lab.prroute()?.own_source(own_source)?;
        let daemon = prroute.run(&[])?;
        expect_installed(&lab, own_source, &before)?;
        let changes = lab.snapshot()?.changes_since(&before).to_string();
        for line in changes.lines().filter(|line| line.starts_with("- ")) {
            let ours = line.contains("/rp_filter:") || line == "- 0" || line == "- 1";
            assert!(ours, "prroute took {line} away:\n{changes}");
        }

        // Others go on while it runs.
        lab.host.ip("rule add priority 501 from 10.9.9.7 lookup 77")?;
        lab.host.ip("route add 10.67.0.0/16 via 10.0.3.1")?;
        filter("up2", "65000")?;
        daemon.kill()?;
        prroute.down()?;
        // That these can be taken back proves that they were still there.
        lab.host.ip("rule del priority 501 from 10.9.9.7 lookup 77")?;
        lab.host.ip("route del 10.67.0.0/16 via 10.0.3.1")?;
        lab.host.run(&["tc", "filter", "del", "dev", "up2", "ingress", "pref", "65000"])?;
        lab.expect_unchanged_since(&before)
    })
}

#[test]
fn tcx_programs_of_others_are_untouched() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::build(STRICT)?;
        let link = bpf::drop_port(&lab.host, "up3", Direction::Ingress, Place::Head, 9)?;
        let before = lab.snapshot()?;
        let prroute = lab.prroute()?.own_source(own_source)?;
        prroute.run(&[])?.kill()?;
        expect_installed(&lab, own_source, &before)?;
        prroute.down()?;
        lab.expect_unchanged_since(&before)?;
        drop(link);
        Ok(())
    })
}
