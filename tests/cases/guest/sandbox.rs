//! What the unit leaves to the daemon is what it needs, and no more.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{command, wait};

use crate::network::{TWO_UPLINKS, expect_answers, serve};
use crate::service::{JOB, Service, UNIT, property, systemctl};

const STRICT: Topology = Topology { rp_filter: 1, ..TWO_UPLINKS };

const PIN: &str = "/sys/fs/bpf/prroute/default";
const CONF: &str = "/proc/sys/net/ipv4/conf";

/// What a process of the unit must not change, whatever becomes of it.
const READ_ONLY: [&str; 7] = [
    "/proc/sysrq-trigger",
    "/proc/irq/default_smp_affinity",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/net/ipv6/conf/all/forwarding",
    "/proc/sys/net/core/bpf_jit_harden",
    "/usr/bin/install",
    "/etc/hostname",
];

fn rp_filter(device: &str) -> Result<String> {
    let path = format!("{CONF}/{device}/rp_filter");
    let value = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    Ok(value.trim().to_owned())
}

/// A path as the daemon's mounts have it.
fn inside(daemon: &str, path: &str) -> String {
    format!("/proc/{daemon}/root{path}")
}

/// Whether a file can be opened to write, by root with all capabilities where the daemon is.
fn is_writable(daemon: &str, path: &str) -> Result<bool> {
    match OpenOptions::new().write(true).open(inside(daemon, path)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => Ok(false),
        Err(error) => Err(error).with_context(|| format!("open {path}")),
    }
}

/// The first link that is pinned.
fn link() -> Result<std::path::PathBuf> {
    let layouts = fs::read_dir(PIN).with_context(|| format!("list {PIN}"))?;
    let mut links = layouts.flatten().map(|layout| layout.path().join("link-1-egress"));
    links.find(|link| link.exists()).context("no link is pinned")
}

#[test]
fn in_its_sandbox_it_loosens_heals_and_remembers_and_nothing_else_can_be_changed() -> Result<()> {
    let lab = Lab::around_this_machine(STRICT)?;
    let _echo = serve(&lab)?;
    let service = Service::start()?;
    let daemon = property("MainPID")?;
    for device in ["up1", "up2"] {
        assert_eq!(rp_filter(device)?, "2", "{}", service.journal(&[])?);
    }
    for file in ["/run/prroute/default/journal.json", "/var/lib/prroute/default/ids.json"] {
        assert!(Path::new(file).is_file(), "no {file}:\n{}", service.journal(&[])?);
    }
    expect_answers(&lab)?;

    for path in READ_ONLY {
        assert!(!is_writable(&daemon, path)?, "{path} can be written to");
    }
    assert!(is_writable(&daemon, &format!("{CONF}/up1/rp_filter"))?);
    let execute = |program| Command::new(inside(&daemon, program)).arg("--version").output();
    let refused = execute("/usr/bin/true").map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(ErrorKind::PermissionDenied), "something else is executed");
    execute("/usr/bin/prroute").context("execute the program itself")?;

    // What others remove comes back: a rule, and a pin.
    // In numbers: the package gives the protocol a name.
    let rules = || command::run(&["ip", "-N", "rule", "show"]);
    let before = rules()?;
    let priority = before.lines().find(|rule| rule.contains("proto 213")).context("no rule")?;
    let priority = priority.split(':').next().context("no priority")?;
    command::run(&["ip", "rule", "del", "priority", priority])?;
    let pin = link()?;
    fs::remove_file(&pin).with_context(|| format!("remove {}", pin.display()))?;
    wait::until("rule and pin are there again", JOB, || {
        Ok((rules()? == before && pin.exists()).then_some(()))
    })
    .with_context(|| service.journal(&[]).unwrap_or_default())?;

    // The clock of the wall may say what it will.
    for jump in ["+400 days", "-800 days", "+400 days"] {
        command::run(&["date", "--set", jump])?;
        expect_answers(&lab).with_context(|| format!("the clock: {jump}"))?;
    }

    systemctl(&["reload", UNIT])?;
    println!("memory: {} of {}", property("MemoryCurrent")?, property("MemoryMax")?);
    let group = Path::new("/sys/fs/cgroup/system.slice").join(UNIT);
    println!("at most: {}", fs::read_to_string(group.join("memory.peak")).unwrap_or_default());
    println!("tasks: {} of {}", property("TasksCurrent")?, property("TasksMax")?);
    println!("tables: {}", service.journal(&["--grep=tables:"])?);
    assert_eq!(property("MainPID")?, daemon, "{}", service.journal(&[])?);
    drop(service);
    for device in ["up1", "up2"] {
        assert_eq!(rp_filter(device)?, "1", "restored by `prroute down`");
    }
    Ok(())
}
