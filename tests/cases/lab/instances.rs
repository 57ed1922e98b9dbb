//! Several instances, one per network namespace, run side by side; one is of use in its own only.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::command::Output;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::Instance;
use prroute_tests::{mounts, probe, prroute, wait};

#[test]
fn two_namespaces_know_nothing_of_each_other() -> Result<()> {
    let topology = Topology { uplinks: 2, ..Topology::DEFAULT };
    let (left, right) = (Lab::with_services(topology)?, Lab::with_services(topology)?);
    let (left_prroute, right_prroute) = (left.prroute()?, right.prroute()?);
    let before = right.snapshot()?;
    let left_daemon = left_prroute.run(&[])?;
    let changes = right.snapshot()?.changes_since(&before);
    assert!(changes.is_empty(), "another namespace's prroute changed:\n{changes}");

    let right_daemon = right_prroute.run(&[])?;
    let probes = probe::to_everything(topology.uplinks);
    for (lab, instance) in [(&left, &left_prroute), (&right, &right_prroute)] {
        probe::expect_all_answered(&lab.ask(&probes)?)?;
        let status = instance.status()?;
        assert_eq!(status["instance"], instance.name(), "{status}");
        assert_eq!(status["uplinks"].as_array().map(Vec::len), Some(2), "{status}");
    }

    left_daemon.terminate()?;
    left_prroute.down()?;
    assert!(!prroute::pins(left.name()).exists());
    assert!(prroute::pins(right.name()).exists());
    probe::expect_all_answered(&right.ask(&probes)?)?;
    right_daemon.terminate()?;
    right_prroute.down()?;
    Ok(())
}

const TWO: Topology = Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT };

/// The instance of `lab`, used in the network namespace of `other`.
fn entered_from<'lab>(other: &'lab Lab, lab: &Lab) -> Result<Instance<'lab>> {
    Instance::new(&other.host, &other.scratch, lab.name())
}

/// Likewise, in a container that shares bpffs and nothing else.
fn in_container<'lab>(other: &'lab Lab, lab: &Lab) -> Result<Instance<'lab>> {
    let run = other.scratch.path().join("run");
    Ok(entered_from(other, lab)?.wrapped(mounts::wrapper(&[(&run, "/run/prroute")])?))
}

/// Every command refuses to mistake one network namespace for another, and says how to get there.
fn expect_refused(instance: &Instance<'_>, labs: [&Lab; 2]) -> Result<()> {
    let before = labs.map(Lab::snapshot);
    let entrance = format!("/run/netns/{}", labs[0].host.name());
    for words in [
        &["run"][..],
        &["run", "--dry-run"],
        &["down"],
        &["reload"],
        &["status"],
        &["flows"],
        &["plan"],
    ] {
        let Output { command, status, stdout, stderr } = instance.output(words)?;
        ensure!(status.code() == Some(1), "{command}: {status}:\n{stdout}{stderr}");
        let way = [format!("--net={entrance}"), "nsenter --net=/proc/".to_owned()];
        ensure!(
            way.iter().any(|way| stderr.contains(way)) && stderr.contains(&words.join(" ")),
            "{command}: no way there in {stderr}"
        );
    }
    for (lab, before) in labs.into_iter().zip(before) {
        let changes = lab.snapshot()?.changes_since(&before?);
        ensure!(changes.is_empty(), "{}:\n{changes}", lab.name());
    }
    Ok(())
}

#[test]
fn an_instance_is_refused_in_another_network_namespace() -> Result<()> {
    let (lab, other) = (Lab::with_services(TWO)?, Lab::build(TWO)?);
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    let mut daemon = prroute.run(&[])?;
    for stranger in [entered_from(&other, &lab)?, in_container(&other, &lab)?] {
        expect_refused(&stranger, [&lab, &other])?;
        daemon.process.check_running()?;
        // It would undo what it finds when it is dropped.
        std::mem::forget(stranger);
    }
    daemon.kill()?;
    for stranger in [entered_from(&other, &lab)?, in_container(&other, &lab)?] {
        expect_refused(&stranger, [&lab, &other])?;
        std::mem::forget(stranger);
    }
    probe::expect_all_answered(&lab.ask(&probe::to_everything(2))?)?;
    // Rules and routes are there still where nothing is pinned any more.
    std::fs::remove_dir_all(prroute::pins(lab.name())).context("remove the pins")?;
    let stranger = entered_from(&other, &lab)?;
    expect_refused(&stranger, [&lab, &other])?;
    std::mem::forget(stranger);
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

/// Who asks for an instance that does not run, or from the wrong place, learns what does run.
#[test]
fn errors_name_the_instance_that_runs_with_its_pid_and_network_namespace() -> Result<()> {
    let (lab, other) = (Lab::build(TWO)?, Lab::build(TWO)?);
    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    let pid = daemon.process.pid();
    let nobody = Instance::new(&lab.host, &lab.scratch, &format!("{}-x", lab.name()))?;
    for command in ["status", "flows", "reload"] {
        let said = nobody.output(&[command])?;
        let runs = format!("instance {} runs in this network namespace (pid {pid})", lab.name());
        ensure!(said.status.code() == Some(3) && said.stderr.contains(&runs), "{said:?}");
    }
    let said = nobody.output(&["down"])?;
    let held = format!("another prroute (instance {}, pid {pid}) runs in this", lab.name());
    ensure!(!said.status.success() && said.stderr.contains(&held), "{said:?}");
    std::mem::forget(nobody);
    let stranger = entered_from(&other, &lab)?;
    let said = stranger.output(&["status"])?;
    let place = format!("another network namespace, {} (net:[", lab.host.name());
    let runs = format!("where its daemon runs (pid {pid})");
    ensure!(said.stderr.contains(&place) && said.stderr.contains(&runs), "{said:?}");
    std::mem::forget(stranger);
    daemon.terminate()?;
    prroute.down().map(drop)
}

/// Pins that a version made which did not say whose they are.
#[test]
fn pins_of_nobody_are_taken_over() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let prroute = lab.prroute()?;
    prroute.run(&[])?.kill()?;
    let mark = mark(&lab)?;
    std::fs::remove_dir(&mark).with_context(|| format!("remove {}", mark.display()))?;
    prroute.run(&[])?.terminate()?;
    ensure!(mark.is_dir(), "no {}", mark.display());
    prroute.down()?;
    Ok(())
}

/// What says whose the pins are.
fn mark(lab: &Lab) -> Result<std::path::PathBuf> {
    let pins = prroute::pins(lab.name());
    let entries = std::fs::read_dir(&pins).with_context(|| format!("list {}", pins.display()))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    let is_mark = |path: &std::path::PathBuf| path.display().to_string().contains("/netns:");
    paths.find(is_mark).with_context(|| format!("nothing in {} says whose it is", pins.display()))
}

/// A container that is started again has another network namespace, and the same bpffs.
#[test]
fn what_a_network_namespace_left_that_is_gone_is_replaced_or_removed() -> Result<()> {
    let host = Lab::with_services(TWO)?;
    for replaced in [true, false] {
        let old = Lab::build(TWO)?;
        let before = host.snapshot()?;
        let left = old.prroute()?;
        left.run(&[])?.kill()?;
        // It would undo what is to stay.
        std::mem::forget(left);
        let container = in_container(&host, &old)?;
        drop(old);
        wait::until("the kernel has taken it down", Duration::from_secs(20), || {
            let output = container.output(&["flows"])?;
            Ok((output.status.code() == Some(3) && output.stderr.contains("no longer exists"))
                .then_some(()))
        })?;
        if replaced {
            let daemon = container.run(&[])?;
            probe::expect_all_answered(&host.ask(&probe::to_everything(2))?)?;
            let log = daemon.terminate()?;
            ensure!(log.contains("no longer exists"), "{log}");
        }
        let said = container.down()?;
        ensure!(replaced || said.contains("no longer exists"), "{said}");
        ensure!(!prroute::pins(container.name()).exists(), "pins of {}", container.name());
        host.expect_unchanged_since(&before)?;
    }
    Ok(())
}

/// clsact filters leave no trace on bpffs: whether they are gone cannot be told from elsewhere.
#[test]
fn what_cannot_be_told_to_be_gone_is_left_and_the_remedy_named() -> Result<()> {
    let (host, old) = (Lab::build(TWO)?, Lab::build(TWO)?);
    let mut left = old.prroute()?;
    left.configure("attach = \"clsact\"\n")?;
    left.run(&[])?.kill()?;
    std::mem::forget(left);
    let container = in_container(&host, &old)?;
    drop(old);
    let pins = prroute::pins(container.name());
    let before = host.snapshot()?;
    for words in [["run"], ["down"]] {
        let Output { command, status, stderr, .. } = container.output(&words)?;
        ensure!(status.code() == Some(1), "{command}: {status}:\n{stderr}");
        let remedy = format!("rm -r {}", pins.display());
        ensure!(stderr.contains(&remedy), "{command}: nothing about {remedy:?} in {stderr}");
    }
    let changes = host.snapshot()?.changes_since(&before);
    ensure!(changes.is_empty() && pins.is_dir(), "{changes}");
    std::fs::remove_dir_all(&pins).context("remove the pins")?;
    container.run(&[])?.terminate()?;
    container.down()?;
    Ok(())
}
