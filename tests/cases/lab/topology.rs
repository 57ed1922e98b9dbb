//! The lab itself: it fails where a host without help must fail, and it can be satisfied.

use anyhow::Result;
use prroute_tests::addressing::{self, Family};
use prroute_tests::bpf::{self, Direction, Place};
use prroute_tests::capture::Capture;
use prroute_tests::connection_marks;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{self, Probe, Question};

#[test]
fn without_help_only_the_first_uplink_answers() -> Result<()> {
    for rp_filter in [0, 1] {
        let lab = Lab::with_services(Topology { rp_filter, ..Topology::DEFAULT })?;
        lab.meet_default_gateway()?;
        let outcomes = lab.ask(&probe::to_everything(3))?;
        assert_eq!(outcomes.len(), 36);
        probe::expect_answered(&outcomes, |probe| probe.uplink() == 1)?;
    }
    Ok(())
}

/// The administrator's way: connection marks and a table per uplink.
#[test]
fn connection_marks_satisfy_it() -> Result<()> {
    let lab = Lab::with_services(Topology { routers_know_host: false, ..Topology::DEFAULT })?;
    lab.meet_default_gateway()?;
    connection_marks::set_up(&lab, &Family::BOTH)?;
    probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)
}

#[test]
fn routers_count_what_they_drop() -> Result<()> {
    let lab = Lab::with_services(Topology::DEFAULT)?;
    let source = addressing::client(2, Family::V4);
    let target = addressing::shared(Family::V4);
    let outcome = Probe { question: Question::Ping, source, target }.ask(&lab.client)?;
    assert!(!outcome.answered(), "{outcome}");
    assert_eq!(lab.router(1).arrived(target, source)?, 1, "the reply left by the default route");
    assert_eq!(lab.router(2).arrived(target, source)?, 0);
    Ok(())
}

#[test]
fn captures_see_what_left() -> Result<()> {
    let lab = Lab::with_services(Topology::DEFAULT)?;
    let filter = "icmp[icmptype] == icmp-echoreply";
    let first = Capture::start(&lab.host, "up1", "out", filter)?;
    let second = Capture::start(&lab.host, "up2", "out", filter)?;
    let source = addressing::client(2, Family::V4);
    let target = addressing::shared(Family::V4);
    Probe { question: Question::Ping, source, target }.ask(&lab.client)?;
    assert_eq!(first.stop()?.len(), 1);
    assert_eq!(second.stop()?.len(), 0);
    Ok(())
}

#[test]
fn snapshots_show_changes_and_nothing_else() -> Result<()> {
    let lab = Lab::with_services(Topology::DEFAULT)?;
    let before = lab.snapshot()?;
    lab.ask(&probe::to_own_addresses(1, &Question::ALL))?;
    let after = lab.snapshot()?;
    let changes = after.changes_since(&before);
    assert!(changes.is_empty(), "{changes}");

    let changes: [(&str, &[&str]); 5] = [
        ("ip -6 -details rule", &["ip", "-6", "rule", "add", "priority", "9", "lookup", "9"]),
        ("table all", &["ip", "route", "add", "default", "via", "10.0.1.1", "table", "9"]),
        ("tc qdisc", &["tc", "qdisc", "add", "dev", "up2", "clsact"]),
        ("rp_filter", &["sysctl", "-qw", "net.ipv4.conf.up2.rp_filter=2"]),
        (
            "ip neigh",
            &["ip", "neigh", "replace", "10.0.2.1", "dev", "up2", "extern_learn", "managed"],
        ),
    ];
    let mut last = after;
    for (shown, command) in changes {
        lab.host.run(command)?;
        let next = lab.snapshot()?;
        let changes = next.changes_since(&last).to_string();
        assert!(changes.contains(shown), "{command:?} is not seen, only: {changes}");
        last = next;
    }
    Ok(())
}

#[test]
fn snapshots_show_tcx_programs() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let before = lab.snapshot()?;
    let link = bpf::drop_port(&lab.host, "up2", Direction::Egress, Place::Tail, 9)?;
    let changes = lab.snapshot()?.changes_since(&before).to_string();
    assert!(changes.contains("tcx up2 egress"), "{changes}");
    drop(link);
    Ok(())
}

#[test]
fn a_foreign_tcx_program_drops_its_port() -> Result<()> {
    let lab = Lab::with_services(Topology::DEFAULT)?;
    let probe = Probe {
        question: Question::Tcp(80),
        source: addressing::client(1, Family::V4),
        target: addressing::host(1, Family::V4),
    };
    let link = bpf::drop_port(&lab.host, "up1", Direction::Ingress, Place::Head, 80)?;
    let outcome = probe.ask(&lab.client)?;
    assert!(!outcome.answered(), "{outcome}");
    drop(link);
    let outcome = probe.ask(&lab.client)?;
    assert!(outcome.answered(), "{outcome}");
    Ok(())
}
