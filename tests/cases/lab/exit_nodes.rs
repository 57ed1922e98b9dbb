//! Programs whose rules catch everything, as a VPN that is the way to all the world makes them: their
//! rules stay as they are, and every address of the host goes on to answer.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::Family;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::{self, Daemon, Instance};
use prroute_tests::{probe, wait};
use serde_json::Value;

/// The promise is a second; the machine may be busy.
const SOON: Duration = Duration::from_secs(20);

/// Rules as the program makes them, for each family, and those that take them away again.
struct Program {
    table: u32,
    add: &'static [&'static str],
    remove: &'static [&'static str],
}

/// Without priorities: the kernel decides.
const WG_QUICK: Program = Program {
    table: 51_820,
    add: &["not fwmark 51820 table 51820", "table main suppress_prefixlength 0"],
    remove: &["table 51820", "table main suppress_prefixlength 0"],
};

const TAILSCALE: Program = Program {
    table: 52,
    add: &[
        "pref 5210 fwmark 0x80000/0xff0000 table main",
        "pref 5230 fwmark 0x80000/0xff0000 table default",
        "pref 5250 fwmark 0x80000/0xff0000 type unreachable",
        "pref 5270 table 52",
    ],
    remove: &["pref 5210", "pref 5230", "pref 5250", "pref 5270"],
};

const NETBIRD: Program = Program {
    table: 7120,
    add: &["pref 105 table main suppress_prefixlength 0", "pref 110 not fwmark 0x1bd00 table 7120"],
    remove: &["pref 105", "pref 110"],
};

impl Program {
    fn change(&self, lab: &Lab, change: &str, rules: &[&str]) -> Result<()> {
        for family in Family::BOTH {
            for rule in rules {
                lab.host.ip(&format!("{} rule {change} {rule}", family.option()))?;
            }
        }
        Ok(())
    }

    fn start(&self, lab: &Lab) -> Result<()> {
        self.change(lab, "add", self.add)
    }

    fn stop(&self, lab: &Lab) -> Result<()> {
        self.change(lab, "del", self.remove)
    }
}

/// A host with a tunnel that leads nowhere, and the program's default route over it.
fn lab(program: &Program) -> Result<Lab> {
    let lab = Lab::with_services(Topology { rp_filter: 2, ..Topology::DEFAULT })?;
    lab.host.ip("tuntap add dev exit0 mode tun")?;
    lab.host.ip("link set exit0 up")?;
    for (family, any) in Family::BOTH.into_iter().zip(["0.0.0.0/0", "::/0"]) {
        let option = family.option();
        lab.host.ip(&format!("{option} route add {any} dev exit0 table {}", program.table))?;
    }
    Ok(lab)
}

fn expect_answered(lab: &Lab) -> Result<()> {
    probe::expect_all_answered(&lab.ask(&probe::to_everything(3))?)
        .with_context(|| rules(lab).unwrap_or_default())
}

fn rules(lab: &Lab) -> Result<String> {
    let of = |family: Family| lab.host.ip(&format!("{} -details rule show", family.option()));
    Ok(of(Family::V4)? + &of(Family::V6)?)
}

fn rules_of_others(lab: &Lab) -> Result<Vec<String>> {
    let rules = rules(lab)?;
    let others = rules.lines().filter(|line| !line.contains("proto 213"));
    Ok(others.map(str::to_owned).collect())
}

/// For each family no rule of others that decides about every packet comes before the first of ours.
fn are_first(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        let rules = lab.host.ip(&format!("{} rule show", family.option()))?;
        let own =
            rules.lines().position(|line| line.contains("proto 213")).context("none of ours")?;
        let decides = |line: &str| {
            [WG_QUICK, TAILSCALE, NETBIRD]
                .iter()
                .any(|program| line.ends_with(&format!(" lookup {}", program.table)))
        };
        ensure!(
            !rules.lines().take(own).any(|line| decides(line.trim_end())),
            "{family}:\n{rules}"
        );
    }
    Ok(())
}

/// Findings of `status` whose id begins so.
fn findings(instance: &Instance<'_>, id: &str) -> Result<Vec<Value>> {
    let status = instance.status()?;
    let all = status["findings"].as_array().context("no findings")?.iter();
    let is_it = |finding: &&Value| finding["id"].as_str().is_some_and(|text| text.starts_with(id));
    Ok(all.filter(is_it).cloned().collect())
}

fn wait_for(instance: &Instance<'_>, id: &str, count: usize) -> Result<Vec<Value>> {
    wait_until(instance, id, |found| (found.len() == count).then(|| found.to_vec()))
}

/// One finding for both families.
fn wait_for_both(instance: &Instance<'_>, id: &str) -> Result<Value> {
    wait_until(instance, id, |found| {
        let [one] = found else { return None };
        let what = one["what"].as_str().unwrap_or_default();
        (what.contains("IPv4") && what.contains("IPv6")).then(|| one.clone())
    })
}

/// A command finds it by a look of its own, perhaps before the daemon has seen it: then that has to do what
/// follows from it.
fn wait_until<T>(
    instance: &Instance<'_>,
    id: &str,
    wanted: impl Fn(&[Value]) -> Option<T>,
) -> Result<T> {
    let found = wait::until("it is found", SOON, || Ok(wanted(&findings(instance, id)?)))
        .with_context(|| format!("{id}: {:#}", instance.status().unwrap_or_default()))?;
    instance.output(&["wait", "--timeout", "1m"])?.success()?;
    Ok(found)
}

/// What the daemon says of it comes when it has looked.
fn wait_for_line(daemon: &Daemon, what: &str) -> Result<String> {
    wait::until("the daemon says it", SOON, || {
        let log = daemon.process.log();
        Ok(log.contains(what).then_some(log))
    })
}

/// After prroute and before it, with `down` in between.
fn is_passed(program: &Program) -> Result<()> {
    let lab = lab(program)?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    expect_answered(&lab)?;

    program.start(&lab)?;
    let others = rules_of_others(&lab)?;
    wait_for_both(&prroute, "moved:")?;
    expect_answered(&lab)?;
    let log = wait_for_line(&daemon, "which matches all packets")?;
    ensure!(log.matches("which matches all packets").count() == 1, "said once:\n{log}");
    ensure!(findings(&prroute, "catch-all")?.is_empty(), "{:#}", prroute.status()?);

    are_first(&lab)?;

    // Whoever takes over finds it where it is; and without a daemon it holds.
    daemon.kill()?;
    expect_answered(&lab)?;
    let ours = rules(&lab)?;
    let daemon = prroute.run(&[])?;
    ensure!(rules(&lab)? == ours, "moved:\n{ours}\n{}", rules(&lab)?);
    daemon.kill()?;
    // Nor is anything to be remembered for `down`.
    std::fs::remove_dir_all(prroute::state(lab.name())).context("forget")?;
    prroute.down()?;
    ensure!(rules_of_others(&lab)? == others, "{others:#?}\n{}", rules(&lab)?);
    program.stop(&lab)?;
    lab.expect_unchanged_since(&before)?;

    program.start(&lab)?;
    let others = rules(&lab)?;
    let daemon = prroute.run(&[])?;
    expect_answered(&lab)?;
    daemon.terminate()?;
    prroute.down()?;
    ensure!(rules(&lab)? == others, "{others}\n{}", rules(&lab)?);
    Ok(())
}

#[test]
fn every_address_answers_with_wg_quick_after_and_before_prroute() -> Result<()> {
    is_passed(&WG_QUICK)
}

#[test]
fn every_address_answers_with_tailscales_exit_node_after_and_before_prroute() -> Result<()> {
    is_passed(&TAILSCALE)
}

#[test]
fn every_address_answers_with_netbirds_exit_node_after_and_before_prroute() -> Result<()> {
    is_passed(&NETBIRD)
}

/// Without a daemon nobody moves them: what they should do is not told as what they do.
#[test]
fn rules_that_stand_behind_one_for_all_packets_are_a_fault_until_they_are_moved() -> Result<()> {
    let lab = lab(&WG_QUICK)?;
    let prroute = lab.prroute()?;
    prroute.run(&[])?.terminate()?;
    ensure!(findings(&prroute, "rule-missing")?.is_empty(), "{:#}", prroute.status()?);
    WG_QUICK.start(&lab)?;
    let found = findings(&prroute, "rule-missing:place")?;
    let said = "stand behind rule priority 20999 not from all fwmark 0xca6c lookup 51820";
    ensure!(
        found.len() == 1
            && found[0]["severity"] == "fault"
            && found[0]["what"].as_str().is_some_and(|what| what.contains(said)),
        "{found:#?}"
    );
    ensure!(findings(&prroute, "moved")?.is_empty(), "{:#}", prroute.status()?);
    let astray = lab.ask(&probe::to_everything(3))?;
    ensure!(!astray.iter().all(probe::Outcome::answered), "every reply is right");

    let daemon = prroute.run(&[])?;
    are_first(&lab)?;
    ensure!(findings(&prroute, "rule-missing")?.is_empty(), "{:#}", prroute.status()?);
    ensure!(findings(&prroute, "moved")?.len() == 1, "{:#}", prroute.status()?);
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// Named, with the owner and what to do, by everything that reports; and once.
#[test]
fn a_fixed_priority_is_kept_and_the_rule_before_it_is_named() -> Result<()> {
    let lab = lab(&WG_QUICK)?;
    let mut prroute = lab.prroute()?;
    let file = prroute.configure("rule-priority = 21000\n")?.display().to_string();
    let daemon = prroute.run(&[])?;
    WG_QUICK.start(&lab)?;
    let warning = wait_for_both(&prroute, "catch-all:")?;
    ensure!(warning["owner"].as_str().is_some_and(|by| by.contains("wg-quick")), "{warning}");
    let rule = "priority 20999 not from all fwmark 0xca6c lookup 51820";
    let status = prroute.status_text(&[])?;
    let plan = prroute.output(&["plan"])?.success()?;
    let check = prroute.output(&["check", &file])?;
    ensure!(check.status.success(), "{check:?}");
    for said in [&status, &plan, &check.stderr, &wait_for_line(&daemon, rule)?] {
        ensure!(said.matches(rule).count() == 1, "once {rule:?}:\n{said}");
        ensure!(said.contains("take rule-priority out of the configuration"), "{said}");
    }
    let ours = rules(&lab)?;
    ensure!(ours.contains("21020:"), "{ours}");
    WG_QUICK.stop(&lab)?;
    wait_for(&prroute, "catch-all:", 0)?;
    expect_answered(&lab)?;
    // Without the priority in the configuration it is passed, and with it not, as ever.
    WG_QUICK.start(&lab)?;
    wait_for(&prroute, "catch-all:", 1)?;
    prroute.configure("")?;
    prroute.output(&["reload"])?.success()?;
    wait_for_both(&prroute, "moved:")?;
    expect_answered(&lab)?;
    prroute.configure("rule-priority = 21000\n")?;
    prroute.output(&["reload"])?.success()?;
    wait_for(&prroute, "catch-all:", 1)?;
    let ours: Vec<String> =
        rules(&lab)?.lines().filter(|l| l.contains("proto 213")).map(str::to_owned).collect();
    ensure!(ours.iter().all(|line| line.starts_with("21")), "{ours:#?}");
    daemon.terminate()?;
    prroute.down()?;
    Ok(())
}

/// The kernel gives it the priority before the first rule.
#[test]
fn a_rule_without_a_priority_is_no_collision() -> Result<()> {
    let lab = lab(&WG_QUICK)?;
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    lab.host.ip("rule add from 10.9.0.0/16 table 99")?;
    daemon.terminate()?;
    let daemon = prroute.run(&[])?;
    ensure!(prroute.status()?["collision"].is_null(), "{:#}", prroute.status()?);
    ensure!(lab.host.ip("rule show")?.contains("20999:\tfrom 10.9.0.0/16"), "{}", rules(&lab)?);
    daemon.terminate()?;

    // As it was with the version before, which kept no place for itself.
    lab.host.ip("rule del from 10.9.0.0/16 table 99")?;
    for family in Family::BOTH {
        lab.host.ip(&format!("{} rule del priority 21000", family.option()))?;
    }
    lab.host.ip("rule add from 10.9.0.0/16 table 99")?;
    ensure!(lab.host.ip("rule show")?.contains("21019:\tfrom 10.9.0.0/16"), "{}", rules(&lab)?);
    for _ in 0..2 {
        let daemon = prroute.run(&[])?;
        ensure!(prroute.status()?["collision"].is_null(), "{:#}", prroute.status()?);
        prroute.output(&["reload"])?.success()?;
        daemon.terminate()?;
    }
    prroute.down()?;
    ensure!(lab.host.ip("rule show")?.contains("21019:\tfrom 10.9.0.0/16"), "{}", rules(&lab)?);
    Ok(())
}
