//! What prroute refuses, it refuses with a clear message and exit code, and changes nothing.

use std::process::Command;

use anyhow::{Result, ensure};
use prroute_tests::command::{self, Output};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::{self, Instance};
use prroute_tests::scratch;

/// Two uplinks with everything that prroute would change.
fn lab() -> Result<Lab> {
    Lab::build(Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT })
}

/// Runs `command`, which must fail with `code` and all `words` on stderr, and change nothing.
fn expect_refused(lab: &Lab, command: &mut Command, code: i32, words: &[&str]) -> Result<()> {
    let before = lab.snapshot()?;
    let output = command::output_within(command, prroute::STOP, "")?;
    let Output { command, status, stdout, stderr } = &output;
    ensure!(status.code() == Some(code), "{command}: {status}, not {code}:\n{stdout}{stderr}");
    for word in words {
        ensure!(stderr.contains(word), "{command}: nothing about {word:?} in:\n{stderr}");
    }
    ensure!(stdout.is_empty(), "{command}: only data belongs on stdout, not:\n{stdout}");
    let changes = lab.snapshot()?.changes_since(&before);
    ensure!(changes.is_empty(), "{command}: changed\n{changes}");
    Ok(())
}

/// An ordinary user, in a place that it can read.
const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

#[test]
fn an_ordinary_user_may_not() -> Result<()> {
    let lab = lab()?;
    // The build directory need not be readable for everybody.
    let copy = lab.scratch.path().join("prroute");
    scratch::install(&prroute::binary()?, &copy)?;
    let copy = copy.display().to_string();
    for words in [&["run"][..], &["down"]] {
        let argv = [&NOBODY, &[copy.as_str()][..], words, &["--instance", lab.name()]].concat();
        expect_refused(&lab, &mut lab.host.command(&argv), 4, &["CAP_NET_ADMIN"])?;
    }
    // Root without one of the three is no better off.
    let prroute = lab.prroute()?;
    let almost = ["setpriv", "--bounding-set=-all,+net_admin,+perfmon", "--inh-caps=-all"];
    expect_refused(&lab, &mut prroute.command_with(&almost, &["run"])?, 4, &["CAP_BPF"])
}

#[test]
fn foreign_rules_in_our_range_are_a_collision() -> Result<()> {
    for (family, source) in [("-4", "10.77.0.0/16"), ("-6", "fd00:77::/48")] {
        let lab = lab()?;
        lab.host.ip(&format!("{family} rule add priority 21500 from {source} lookup main"))?;
        let prroute = lab.prroute()?;
        let words = ["21500", source];
        expect_refused(&lab, &mut prroute.command(&["run"])?, 1, &words)?;
    }
    Ok(())
}

#[test]
fn a_foreign_table_in_our_range_is_a_collision() -> Result<()> {
    let lab = lab()?;
    lab.host.ip("route add 10.77.0.0/16 via 10.0.1.1 dev up1 table 21001")?;
    let prroute = lab.prroute()?;
    expect_refused(&lab, &mut prroute.command(&["run"])?, 1, &["21001"])
}

#[test]
fn a_broken_configuration_is_named_with_file_and_line() -> Result<()> {
    let lab = lab()?;
    let mut prroute = lab.prroute()?;
    for (text, line, word) in [
        ("on-stop = \"undo\"\n[[uplink\n", 2, ""),
        ("# fine\n\non-stopp = \"undo\"\n", 3, "on-stop"),
        ("on-stop = \"explode\"\n", 1, "explode"),
        ("[[uplink]]\nname = \"up1\"\ngateway = [\"10.0.1\"]\n", 3, "10.0.1"),
    ] {
        let file = prroute.configure(text)?;
        let place = format!("{}:{line}", file.display());
        for words in [&["run"][..], &["run", "--dry-run"]] {
            expect_refused(&lab, &mut prroute.command(words)?, 78, &[&place, word])?;
        }
    }
    let missing = lab.scratch.path().join("missing.toml").display().to_string();
    let prroute = lab.prroute()?;
    let mut run = prroute.command(&["run", "--config", &missing])?;
    expect_refused(&lab, &mut run, 78, &[&missing])
}

#[test]
fn unknown_options_are_usage_errors() -> Result<()> {
    let lab = lab()?;
    let prroute = lab.prroute()?;
    expect_refused(&lab, &mut prroute.command(&["run", "--frobnicate"])?, 2, &["--frobnicate"])
}

/// `ip netns exec` mounts its own /sys: pins made there vanish with the process.
#[test]
fn a_bpffs_that_will_not_last_is_refused() -> Result<()> {
    let lab = lab()?;
    let binary = prroute::binary()?.display().to_string();
    let name = lab.name();
    let run = ["run", "--instance", name];
    // What is pinned cannot be seen there: to take back, or tell, a part of it would be wrong.
    for command in ["run", "down", "status", "flows", "plan"] {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", lab.host.name(), &binary, command, "--instance", name]);
        expect_refused(&lab, &mut inside, 1, &["bpf"])?;
    }

    // Mounting a bpffs of one's own there does not help.
    let script = "mount -t bpf bpf /sys/fs/bpf && exec \"$@\"";
    let mut mounted = Command::new("ip");
    mounted.args(["netns", "exec", lab.host.name(), "sh", "-c", script, "sh", &binary]).args(run);
    expect_refused(&lab, &mut mounted, 1, &["bpf"])
}

#[test]
fn nothing_runs_where_nothing_was_started() -> Result<()> {
    let lab = lab()?;
    let prroute = lab.prroute()?;
    for words in [&["status"][..], &["status", "--json"], &["flows"]] {
        expect_refused(&lab, &mut prroute.command(words)?, 3, &[lab.name(), "not running"])?;
    }
    Ok(())
}

fn expect_idle(lab: &Lab, instance: &Instance<'_>) -> Result<()> {
    let before = lab.snapshot()?.of_kernel();
    let mut daemon = instance.run(&[])?;
    let changes = lab.snapshot()?.of_kernel().changes_since(&before);
    ensure!(changes.is_empty(), "one uplink is nothing to manage, but changed:\n{changes}");
    let said = daemon.said()?;
    ensure!(said.contains("STATUS="), "no status for the service manager: {said}");
    daemon.process.check_running()?;
    // It runs, and has recorded nothing.
    ensure!(instance.flows(|_| true)?.is_empty(), "flows without a datapath");
    instance.output(&["flows"])?.success()?;
    daemon.terminate()?;
    let changes = lab.snapshot()?.of_kernel().changes_since(&before);
    ensure!(changes.is_empty(), "changed:\n{changes}");
    Ok(())
}

#[test]
fn with_one_uplink_it_is_ready_and_waits() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 1, rp_filter: 1, ..Topology::DEFAULT })?;
    expect_idle(&lab, &lab.prroute()?)
}

#[test]
fn with_all_but_one_uplink_excluded_it_is_ready_and_waits() -> Result<()> {
    let lab = lab()?;
    let mut prroute = lab.prroute()?;
    prroute.configure("exclude = [\"up2\"]\n")?;
    expect_idle(&lab, &prroute)
}

#[test]
fn a_second_daemon_is_refused() -> Result<()> {
    let lab = lab()?;
    lab.with_prroute(|prroute| {
        let pid = prroute.daemon.process.pid().to_string();
        expect_refused(&lab, &mut prroute.command(&["run"])?, 1, &["another", &pid])?;
        // Likewise another instance in the same network namespace.
        let other = format!("{}b", lab.name());
        let second = Instance::new(&lab.host, &lab.scratch, &other)?;
        let words = ["another", "namespace", &pid];
        for command in [["run"], ["down"]] {
            expect_refused(&lab, &mut second.command(&command)?, 1, &words)?;
        }
        prroute.daemon.process.check_running()
    })
}

#[test]
fn a_dry_run_changes_nothing() -> Result<()> {
    let lab = lab()?;
    let prroute = lab.prroute()?;
    let before = lab.snapshot()?;
    let plan = prroute.output(&["run", "--dry-run"])?.success()?;
    for word in ["up1", "up2", "rule add", "route add", "rp_filter"] {
        assert!(plan.contains(word), "nothing about {word} in:\n{plan}");
    }
    let changes = lab.snapshot()?.changes_since(&before);
    assert!(changes.is_empty(), "changed:\n{changes}");

    let lab = Lab::build(Topology { uplinks: 1, ..Topology::DEFAULT })?;
    let plan = lab.prroute()?.output(&["run", "--dry-run"])?.success()?;
    assert!(plan.contains("fewer than two uplinks"), "{plan}");
    Ok(())
}
