//! The Debian package: what dpkg makes of it, and what it leaves.
//!
//! The guest installs it before the cases; each of these begins without it, and leaves it installed.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::command;
use prroute_tests::lab::Lab;
use prroute_tests::prroute;
use prroute_tests::snapshot::Snapshot;
use prroute_tests::stream::Stream;
use prroute_tests::wait;

use crate::network::{TWO_UPLINKS, expect_answers, serve};
use crate::service::{LONG, Service, UNIT, property, systemctl};

const INSTANCE: &str = "default";

/// What belongs to the system, or to dpkg, and changes while programs run.
const LEFT_OUT: [&str; 9] =
    ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/log", "/host", "/var/cache"];

/// What its sysusers.d entry made stays: files of a group may be anywhere.
const GROUP_FILES: [&str; 2] = ["/etc/group-", "/etc/gshadow-"];

/// Where Debian's node_exporter reads.
const TEXTFILES: &str = "/var/lib/prometheus/node-exporter";

/// Runs dpkg with this option and the package; everything that was said.
fn dpkg(option: &str, package: &str) -> Result<String> {
    // Where the output is no terminal, systemctl asks nobody and shows no pager.
    let words = ["dpkg", option, package];
    let output = command::output_within(&mut command::command(&words)?, LONG, "")?;
    ensure!(output.status.success(), "{words:?}: {}{}", output.stdout, output.stderr);
    Ok(output.stdout + &output.stderr)
}

pub(crate) fn install() -> Result<String> {
    dpkg("--install", &file()?)
}

/// The guest's image enables nothing. Without that, Debian's own presets hold: they enable everything.
struct DebianPresets;

impl DebianPresets {
    const IMAGE: &str = "/etc/systemd/system-preset/00-nothing.preset";
    const ASIDE: &str = "/etc/systemd/system-preset/00-nothing.aside";

    fn hold() -> Result<Self> {
        std::fs::rename(Self::IMAGE, Self::ASIDE).context("put the image's preset aside")?;
        Ok(Self)
    }
}

impl Drop for DebianPresets {
    fn drop(&mut self) {
        if let Err(error) = std::fs::rename(Self::ASIDE, Self::IMAGE) {
            eprintln!("put the image's preset back: {error}");
        }
    }
}

/// Where the package is.
pub(crate) fn file() -> Result<String> {
    std::env::var("PRROUTE_DEB").context("PRROUTE_DEB names no package")
}

pub(crate) fn purge() -> Result<String> {
    dpkg("--purge", "prroute")
}

/// For whoever purged it: it is installed again, and not enabled.
pub(crate) fn leave_installed() -> Result<()> {
    if Path::new("/usr/bin/prroute").exists() {
        systemctl(&["disable", UNIT]).map(drop)
    } else {
        install().map(drop)
    }
}

/// Every file of the machine.
fn files() -> Result<BTreeSet<String>> {
    let mut words = vec!["find", "/", "-xdev", "("];
    for path in LEFT_OUT {
        words.extend(["-path", path, "-o"]);
    }
    words.extend(["-false", ")", "-prune", "-o", "-print"]);
    let list = command::run(&words)?;
    Ok(list.lines().filter(|path| !GROUP_FILES.contains(path)).map(str::to_owned).collect())
}

/// What prroute could leave behind, in the kernel and as files.
fn traces(lab: &Lab) -> Result<(Snapshot, BTreeSet<String>)> {
    Ok((Snapshot::take(&lab.host, INSTANCE)?, files()?))
}

fn expect_no_traces(lab: &Lab, before: &(Snapshot, BTreeSet<String>)) -> Result<()> {
    let after = traces(lab)?;
    let changes = after.0.changes_since(&before.0);
    ensure!(changes.is_empty(), "{changes}");
    let files: Vec<&String> = after.1.symmetric_difference(&before.1).collect();
    ensure!(files.is_empty(), "{files:?}");
    ensure!(!Path::new("/run/prroute").exists(), "/run/prroute is there");
    Ok(())
}

/// As the package says what to do next.
fn install_and_enable() -> Result<Service> {
    install()?;
    let service = Service::install()?;
    systemctl(&["enable", "--now", UNIT])
        .with_context(|| service.journal(&[]).unwrap_or_default())?;
    Ok(service)
}

#[test]
fn what_is_installed_is_not_started_and_says_what_to_do_next() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    purge()?;
    let before = Snapshot::take(&lab.host, INSTANCE)?;
    let presets = DebianPresets::hold()?;
    let said = install()?;
    drop(presets);
    println!("{said}");
    for part in ["not started", "prroute plan", "systemctl enable --now prroute"] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
    assert_eq!(property("ActiveState")?, "inactive");
    for unit in [UNIT, "prroute-metrics.timer", "prroute-exporter.socket"] {
        let state = systemctl(&["show", "--property=UnitFileState", "--value", unit])?;
        assert_eq!(state.trim_end(), "disabled", "{unit}");
    }
    command::run(&["getent", "group", "prroute"])?;
    let changes = Snapshot::take(&lab.host, INSTANCE)?.changes_since(&before);
    assert!(changes.is_empty(), "{changes}");
    Ok(())
}

#[test]
fn an_upgrade_restarts_the_daemon_and_loses_no_packet() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    purge()?;
    let service = install_and_enable()?;
    expect_answers(&lab)?;
    let first = property("MainPID")?;
    let mut streams = Vec::new();
    for n in 1..=lab.topology.uplinks {
        for family in Family::BOTH {
            let (from, to) = (addressing::client(n, family), addressing::host(n, family));
            streams.push(Stream::start(&lab.client, from, to)?);
        }
    }
    let said = install()?;
    assert!(!said.contains("not started"), "{said}");
    wait::until("another daemon is ready", LONG, || {
        let is_ready = property("ActiveState")? == "active" && property("MainPID")? != first;
        Ok(is_ready.then_some(()))
    })
    .with_context(|| service.journal(&[]).unwrap_or_default())?;
    let mut answered = 0;
    for stream in streams {
        answered += stream.lost_nothing()?;
    }
    println!("{answered} echo requests during an upgrade: 0 lost");
    assert_eq!(property("UnitFileState")?, "enabled");
    systemctl(&["disable", UNIT])?;
    expect_answers(&lab)
}

#[test]
fn a_removal_keeps_what_works_and_a_purge_later_leaves_nothing() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    purge()?;
    std::fs::create_dir_all(TEXTFILES).context("create the folder of node_exporter")?;
    let before = traces(&lab)?;
    let service = install_and_enable()?;
    expect_answers(&lab)?;
    let metrics = Path::new(TEXTFILES).join("prroute.prom");
    service.prroute(&["metrics", "--textfile", &metrics.display().to_string()])?.success()?;
    let works = Snapshot::take(&lab.host, INSTANCE)?.of_network();

    let said = dpkg("--remove", "prroute")?;
    println!("{said}");
    assert!(said.contains("apt purge prroute"), "{said}");
    assert!(!Path::new("/usr/bin/prroute").exists());
    assert!(!metrics.exists(), "metrics that nobody renews say that all is well");
    let changes = Snapshot::take(&lab.host, INSTANCE)?.of_network().changes_since(&works);
    assert!(changes.is_empty(), "{changes}");
    expect_answers(&lab)?;

    println!("{}", purge()?);
    expect_no_traces(&lab, &before)?;
    std::fs::remove_dir_all(TEXTFILES).context("remove the folder of node_exporter")?;
    install().map(drop)
}

#[test]
fn a_purge_of_what_runs_leaves_nothing() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    purge()?;
    let before = traces(&lab)?;
    let service = install_and_enable()?;
    // What an administrator may have made for it is its configuration.
    std::fs::create_dir_all("/etc/prroute/conf.d").context("create the configuration")?;
    std::fs::write("/etc/prroute/conf.d/10.toml", "exclude = []\n").context("write")?;
    service.prroute(&["setup", "networkd"])?.success()?;
    purge()?;
    expect_no_traces(&lab, &before)?;
    install().map(drop)
}

#[test]
fn installed_again_after_a_removal_what_was_enabled_runs() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    purge()?;
    let service = install_and_enable()?;
    dpkg("--remove", "prroute")?;
    let said = install()?;
    println!("{said}");
    ensure!(!said.contains("not started"), "{said}");
    ensure!(property("ActiveState")? == "active", "{}", service.journal(&[])?);
    expect_answers(&lab)?;
    systemctl(&["disable", UNIT]).map(drop)
}

/// What is written down of it goes with the runtime directory; the kernel keeps what works.
#[test]
fn a_purge_after_the_runtime_directory_was_cleaned_undoes_what_is_in_the_kernel() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    purge()?;
    let before = Snapshot::take(&lab.host, INSTANCE)?.of_network();
    install_and_enable()?.leave()?;
    systemctl(&["clean", UNIT])?;
    ensure!(!prroute::state(INSTANCE).exists(), "systemctl clean left the runtime directory");
    println!("{}", purge()?);
    let changes = Snapshot::take(&lab.host, INSTANCE)?.of_network().changes_since(&before);
    ensure!(changes.is_empty(), "{changes}");
    ensure!(!prroute::pins(INSTANCE).exists(), "the programs are still there");
    install().map(drop)
}
