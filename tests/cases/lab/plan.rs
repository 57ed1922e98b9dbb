//! A plan names all that a run makes, and nothing that it would not.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::bpf::{self, Direction};
use prroute_tests::command::{self, Output};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::{self, Instance};
use serde_json::Value;

/// What the plan prints is a shell script, and its reasons are comments.
#[test]
fn a_plan_says_what_would_change_and_why() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    let before = lab.snapshot()?;
    let plan = prroute.output(&["plan"])?.success()?;
    let json: Value = serde_json::from_str(&prroute.output(&["plan", "--json"])?.success()?)?;
    lab.expect_unchanged_since(&before)?;

    let reason = "  # packets from an address of up2 leave by up2\n";
    ensure!(plan.contains(reason), "{plan}");
    let operations = json["operations"].as_array().context("operations")?;
    ensure!(operations.len() > 10 && json["attach"][1] == "up2", "{json:#}");
    for operation in operations {
        let (command, reason) = (&operation["command"], &operation["reason"]);
        let words = (command.as_str().context("command")?, reason.as_str().context("reason")?);
        ensure!(plan.contains(&format!("{}  # {}\n", words.0, words.1)), "{operation:#}");
    }

    // A running daemon has nothing left to do.
    prroute.while_running(|prroute| {
        let rest = prroute.output(&["plan"])?.success()?;
        ensure!(rest.contains("# nothing to change"), "{rest}");
        Ok(())
    })?;

    // The script does the same as the daemon.
    let script = lab.scratch.write("plan.sh", &plan)?;
    let mut shell: Command = lab.host.command(&["sh", "-e", &script.display().to_string()]);
    command::output(&mut shell)?.success()?;
    let rest = prroute.output(&["plan"])?.success()?;
    ensure!(!rest.contains("ip rule") && !rest.contains("ip route"), "{rest}");
    Ok(())
}

fn plan(prroute: &Instance<'_>, options: &[&str]) -> Result<(String, Value)> {
    let text = prroute.output(&[&["plan"], options].concat())?.success()?;
    let json = prroute.output(&[&["plan", "--json"], options].concat())?.success()?;
    Ok((text, serde_json::from_str(&json).context("parse the plan")?))
}

fn rules(lab: &Lab) -> Result<usize> {
    let show = |family| lab.host.ip(&format!("{family} rule show"));
    Ok(show("-4")?.lines().count() + show("-6")?.lines().count())
}

/// Links of others are left out.
fn programs(lab: &Lab, device: &str, hook: &str) -> Result<usize> {
    let mut all = 0;
    for direction in [Direction::Ingress, Direction::Egress] {
        let word = if direction == Direction::Ingress { "ingress" } else { "egress" };
        all += match hook {
            "tcx" => bpf::tcx_programs(&lab.host, device, direction)? as usize,
            _ => lab
                .host
                .run(&["tc", "filter", "show", "dev", device, word])?
                .matches("direct-action")
                .count(),
        };
    }
    Ok(all)
}

fn pinned(directory: &Path) -> Result<BTreeSet<String>> {
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[test]
fn everything_that_a_run_makes_was_planned_and_nothing_is_left_to_do() -> Result<()> {
    for hook in ["tcx", "clsact"] {
        let lab = Lab::build(Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT })?;
        let mut prroute = lab.prroute()?;
        // What a kernel with tcx takes by itself.
        let text = if hook == "tcx" { "" } else { "attach = \"clsact\"\n" };
        let file = prroute.configure(text)?.display().to_string();
        let options = ["--config", file.as_str()];
        let (text, json) = plan(&prroute, &options)?;
        ensure!(prroute.output(&["run", "--dry-run"])?.success()? == text, "{text}");
        let pins = json["pins"].as_str().context("pins")?.to_owned();
        ensure!(!Path::new(&pins).exists(), "a plan changes nothing");
        let rules_before = rules(&lab)?;

        let daemon = prroute.run(&[])?;
        for (index, device) in ["up1", "up2"].into_iter().enumerate() {
            ensure!(
                text.contains(&format!(
                    "# attach ingress and egress programs to {device} by {hook}\n"
                )),
                "{text}"
            );
            let planned = &json["programs"][index];
            ensure!(planned["device"] == device && planned["hook"] == hook, "{json:#}");
            ensure!(programs(&lab, device, hook)? == 2, "{device}: {}", daemon.process.log());
        }
        ensure!(json["programs"][2].is_null(), "{json:#}");
        let operations = json["operations"].as_array().context("operations")?;
        let commands = operations.iter().filter_map(|operation| operation["command"].as_str());
        let planned = commands.filter(|command| command.contains(" rule add ")).count();
        ensure!(rules(&lab)? - rules_before == planned, "{text}\n{}", lab.host.ip("rule show")?);
        let made = pinned(Path::new(&pins))?;
        let links = |prefix: &str| made.iter().filter(|name| name.starts_with(prefix)).count();
        ensure!(links("link-") == if hook == "tcx" { 4 } else { 0 }, "{made:?}");
        let status = prroute.status()?;
        ensure!(json["cgroup"] == status["udp_source"]["cgroup"], "{json:#}\n{status:#}");
        ensure!(links("socket-") == if json["cgroup"].is_null() { 0 } else { 4 }, "{made:?}");

        // While it runs, and after it: the kernel is asked what is there.
        let expect_nothing = || -> Result<()> {
            let (text, json) = plan(&prroute, &options)?;
            ensure!(text.contains("# nothing to change"), "{text}");
            ensure!(json["programs"] == Value::Array(Vec::new()), "{json:#}");
            Ok(())
        };
        expect_nothing()?;
        daemon.terminate()?;
        expect_nothing()?;
        match hook {
            "tcx" => {
                let link =
                    made.iter().find(|name| name.starts_with("link-") && name.ends_with("-egress"));
                bpf::detach_pinned(&Path::new(&pins).join(link.context("a link")?))?;
            }
            _ => drop(lab.host.run(&["tc", "filter", "del", "dev", "up1", "egress"])?),
        }
        let (text, _) = plan(&prroute, &options)?;
        ensure!(text.contains("# attach ingress and egress programs to up1"), "{text}");
        ensure!(!text.contains("nothing to change") && !text.contains("programs to up2"), "{text}");
        prroute.down()?;
    }
    Ok(())
}

#[test]
fn what_the_daemon_refuses_is_not_planned() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT })?;
    let prroute = lab.prroute()?;
    lab.host.ip("rule add priority 21500 from 10.77.0.0/16 lookup main")?;
    let complaint = "priority 21500 from 10.77.0.0/16";
    for words in [&["plan"][..], &["plan", "--json"], &["run", "--dry-run"], &["run"]] {
        let Output { status, stdout, stderr, .. } = prroute.output(words)?;
        ensure!(status.code() == Some(1) && stdout.is_empty(), "{words:?}: {status}, {stdout}");
        ensure!(stderr.contains(complaint), "{words:?}: {stderr}");
    }
    lab.host.ip("rule del priority 21500")?;
    prroute.output(&["plan"])?.success()?;
    ensure!(!prroute::pins(prroute.name()).exists(), "nothing is made");
    Ok(())
}
