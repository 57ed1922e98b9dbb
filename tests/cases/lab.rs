//! The lab itself: it fails where a host without help must fail, and it can be satisfied.

use anyhow::Result;
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{self, Outcome, Probe, Question};

fn all_probes(uplinks: u8) -> Vec<Probe> {
    let mut probes = probe::to_own_addresses(uplinks, &Question::ALL);
    probes.extend(probe::to_shared_address(uplinks, &Question::ALL));
    probes
}

fn through_first(probe: &Probe) -> bool {
    Family::BOTH.iter().any(|&family| probe.source == addressing::client(1, family))
}

fn listing(outcomes: &[Outcome]) -> String {
    outcomes.iter().map(|outcome| format!("{outcome}\n")).collect()
}

#[test]
fn without_help_only_the_first_uplink_answers() -> Result<()> {
    for rp_filter in [0, 1] {
        let lab = Lab::with_services(Topology { rp_filter, ..Topology::default() })?;
        lab.meet_default_gateway()?;
        let outcomes = lab.ask(&all_probes(3))?;
        assert_eq!(outcomes.len(), 36);
        for outcome in &outcomes {
            let expected = through_first(&outcome.probe);
            assert_eq!(outcome.answered(), expected, "{}", listing(&outcomes));
        }
    }
    Ok(())
}

/// The administrator's way: connection marks and a table per uplink.
#[test]
fn connection_marks_satisfy_it() -> Result<()> {
    let lab = Lab::with_services(Topology { routers_know_host: false, ..Topology::default() })?;
    lab.meet_default_gateway()?;
    let mut marks = String::new();
    for n in 1..=3 {
        let device = addressing::device(n);
        let table = Lab::table(n);
        marks += &format!("iifname {device} ct state new ct mark set {n}\n");
        for family in Family::BOTH {
            let option = family.option();
            let gateway = addressing::gateway(n, family);
            lab.host.ip(&format!(
                "{option} route add default via {gateway} dev {device} table {table}"
            ))?;
            lab.host.ip(&format!("{option} rule add fwmark {n} lookup {table}"))?;
        }
    }
    lab.host.nft(&format!(
        "table inet marks {{
            chain prerouting {{ type filter hook prerouting priority mangle; {marks} }}
            chain output {{ type route hook output priority mangle; meta mark set ct mark; }}
        }}"
    ))?;
    let outcomes = lab.ask(&all_probes(3))?;
    assert!(outcomes.iter().all(Outcome::answered), "{}", listing(&outcomes));
    Ok(())
}

#[test]
fn routers_count_what_they_drop() -> Result<()> {
    let lab = Lab::with_services(Topology::default())?;
    let source = addressing::client(2, Family::V4);
    let target = addressing::shared(Family::V4);
    let outcome = Probe { question: Question::Ping, source, target }.ask(&lab.client)?;
    assert!(!outcome.answered(), "{outcome}");
    assert_eq!(lab.router(1).arrived(target, source)?, 1, "the reply left by the default route");
    assert_eq!(lab.router(2).arrived(target, source)?, 0);
    Ok(())
}
