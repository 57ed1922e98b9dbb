//! Named network namespaces.
//!
//! Programs are started by a thread that has entered, or enter with `nsenter --net`: `ip netns exec`
//! would give each its own /sys, in which pinned BPF objects do not last and the cgroup mounts are
//! missing.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, setns};

use crate::cgroup;
use crate::command::{self, DEADLINE, Output};
use crate::process::Process;
use crate::prroute;

/// Names of one lab: `prr<pid>x<counter>`, so that labs of several processes never meet.
pub fn unique_name() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    format!("prr{}x{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// A network namespace, deleted when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    keep: bool,
    /// It was there before: only the name is ours.
    adopted: bool,
}

impl Namespace {
    /// Creates the namespace `LAB-ROLE` with its loopback device up; `keep` leaves it behind.
    pub fn create(lab: &str, role: &str, keep: bool) -> Result<Self> {
        let name = format!("{lab}-{role}");
        command::run(&["ip", "netns", "add", &name])?;
        let namespace = Self { name, keep, adopted: false };
        // No duplicate address detection: a lab's addresses are usable at once. Cases that
        // want tentative addresses switch it on for their interface.
        namespace.sysctl(&[
            "net.ipv6.conf.default.accept_dad=0",
            "net.ipv6.conf.default.dad_transmits=0",
            "net.ipv6.conf.default.accept_ra=0",
        ])?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The namespace of this process, under a name like that of one that was created. What runs
    /// in it, and what is in it, stays when the name goes.
    pub fn adopt(lab: &str, role: &str) -> Result<Self> {
        let name = format!("{lab}-{role}");
        command::run(&["ip", "netns", "attach", &name, &std::process::id().to_string()])?;
        Ok(Self { name, keep: false, adopted: true })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// A command that runs inside. `nsenter` and `setpriv` replace themselves: its process id
    /// is the program's.
    pub fn command(&self, argv: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").args(argv);
        command
    }

    /// Runs a program inside to its end, whatever its exit code.
    pub fn output(&self, argv: &[&str]) -> Result<Output> {
        self.output_within(argv, DEADLINE, "")
    }

    /// Likewise, with a deadline and input. The thread that starts it has entered: a program less to load than
    /// with `nsenter`.
    fn output_within(&self, argv: &[&str], deadline: Duration, input: &str) -> Result<Output> {
        let line = command::command_line(&self.command(argv));
        let run = || command::output_within(&mut command::command(argv)?, deadline, input);
        let output = self.inside(run).with_context(|| line.clone())?;
        Ok(Output { command: line, ..output })
    }

    /// Runs a program inside; its standard output, or an error when it failed.
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        self.output(argv)?.success()
    }

    /// Starts a program that runs inside until the returned guard is dropped, or this process
    /// dies.
    pub fn spawn(&self, argv: &[&str]) -> Result<Process> {
        if self.keep {
            return Process::spawn_kept(&mut self.command(argv));
        }
        let guarded = ["setpriv", "--pdeathsig", "KILL", "--"];
        Process::spawn(&mut self.command(&[&guarded, argv].concat()))
    }

    /// Runs one line of `ip`.
    pub fn ip(&self, line: &str) -> Result<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.run(&[&["ip"], words.as_slice()].concat())
    }

    /// Runs many lines of `ip` in one process.
    pub fn ip_batch(&self, lines: &str) -> Result<()> {
        let mut command = Command::new("ip");
        command.args(["-n", &self.name, "-batch", "-"]);
        let output = command::output_within(&mut command, DEADLINE, lines)?;
        output.success().map(drop).with_context(|| format!("batch:\n{lines}"))
    }

    /// Runs `task` on a thread that has entered the namespace. Sockets that it opens stay there.
    pub fn inside<T: Send>(&self, task: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = self.path();
        let file =
            std::fs::File::open(&path).with_context(|| format!("open {}", path.display()))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(file, CloneFlags::CLONE_NEWNET)
                    .with_context(|| format!("enter {}", path.display()))?;
                task()
            });
            thread.join().unwrap_or_else(|_| bail!("a thread inside {} panicked", path.display()))
        })
    }

    /// Sets sysctls of this namespace, each `key=value`. In a key with slashes a dot is part of a name.
    pub fn sysctl(&self, settings: &[&str]) -> Result<()> {
        self.inside(|| {
            for setting in settings {
                let (key, value) = setting.split_once('=').context("a sysctl has no value")?;
                let path = if key.contains('/') { key.to_owned() } else { key.replace('.', "/") };
                std::fs::write(format!("/proc/sys/{path}"), value)
                    .with_context(|| format!("set {setting} in {}", self.name))?;
            }
            Ok(())
        })
    }

    /// Loads an nftables ruleset.
    pub fn nft(&self, ruleset: &str) -> Result<()> {
        let output = self.output_within(&["nft", "-f", "-"], DEADLINE, ruleset)?;
        output.success().map(drop).with_context(|| format!("ruleset:\n{ruleset}"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        let deleted = if self.adopted {
            command::run(&["ip", "netns", "del", &self.name]).map(drop)
        } else {
            delete(&self.name)
        };
        if let Err(error) = deleted {
            eprintln!("{error:#}");
        }
    }
}

/// Deletes a namespace of ours, and kills what still runs in it.
fn delete(name: &str) -> Result<()> {
    for inside in command::run(&["ip", "netns", "pids", name])?.split_whitespace() {
        // It fails where the process ended by itself meanwhile, which is as good.
        drop(command::output(&mut command::command(&["kill", "-KILL", inside])?)?);
    }
    command::run(&["ip", "netns", "del", name]).map(drop)
}

/// Removes what labs of dead processes left behind: namespaces and what still runs in them,
/// control groups, pins and files. Kept labs have another prefix and stay.
pub fn sweep() -> Result<()> {
    let list = command::run(&["ip", "netns", "list"])?;
    for name in list.lines().filter_map(|line| line.split_whitespace().next()) {
        let Some((lab, _)) = name.split_once('-') else { continue };
        let Some((pid, _)) = lab.strip_prefix("prr").and_then(|rest| rest.split_once('x')) else {
            continue;
        };
        let Ok(pid) = pid.parse::<u32>() else { continue };
        if PathBuf::from(format!("/proc/{pid}")).exists() {
            continue;
        }
        // Another process may be sweeping as well: what it removed is gone, which is the aim.
        if let Err(error) = delete(name) {
            eprintln!("{error:#}");
        }
        cgroup::remove(lab)?;
        prroute::remove_leftovers(lab);
        // Only the first of a lab's namespaces finds it.
        drop(std::fs::remove_dir_all(std::env::temp_dir().join(lab)));
    }
    Ok(())
}
