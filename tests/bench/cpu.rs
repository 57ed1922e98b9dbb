//! The CPU that is measured on, and what this machine is.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::results::Machine;

/// Keeps this thread on one CPU.
pub(crate) fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu).with_context(|| format!("name CPU {cpu}"))?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("stay on CPU {cpu}"))
}

/// While it lives, this thread runs before all ordinary ones on its CPU.
#[derive(Debug)]
pub(crate) struct RealTime {
    granted: bool,
}

impl RealTime {
    pub(crate) fn ask() -> Self {
        Self { granted: schedule(libc::SCHED_FIFO, 1) }
    }

    pub(crate) fn is_granted(&self) -> bool {
        self.granted
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        if self.granted {
            schedule(libc::SCHED_OTHER, 0);
        }
    }
}

fn schedule(policy: i32, priority: i32) -> bool {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the pointer is to a live structure, and 0 is this thread.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) == 0 }
}

/// Ticks of the time stamp counter per nanosecond; `None` where there is none to read.
pub(crate) fn tsc_per_ns() -> Option<f64> {
    let (start, before) = (Instant::now(), tsc()?);
    while start.elapsed() < Duration::from_millis(50) {
        std::hint::spin_loop();
    }
    let ticks = tsc()?.wrapping_sub(before);
    Some(ticks as f64 / start.elapsed().as_secs_f64() / 1e9)
}

#[cfg(target_arch = "x86_64")]
fn tsc() -> Option<u64> {
    // SAFETY: every x86-64 CPU has the instruction.
    Some(unsafe { std::arch::x86_64::_rdtsc() })
}

#[cfg(not(target_arch = "x86_64"))]
fn tsc() -> Option<u64> {
    None
}

/// Time that the hypervisor gave to others, and all time, in ticks since the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steal {
    stolen: u64,
    all: u64,
}

impl Steal {
    /// Of `cpu`: proc_stat(5).
    pub(crate) fn so_far(cpu: usize) -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        let name = format!("cpu{cpu}");
        let fields: Vec<u64> = text
            .lines()
            .find_map(|line| line.strip_prefix(&name)?.strip_prefix(' '))
            .with_context(|| format!("no {name} in /proc/stat"))?
            .split_whitespace()
            .map_while(|field| field.parse().ok())
            .collect();
        let stolen = fields.get(7).copied().unwrap_or_default();
        Ok(Self { stolen, all: fields.iter().take(8).sum() })
    }

    pub(crate) fn percent_since(self, earlier: Self) -> f64 {
        let all = self.all.saturating_sub(earlier.all).max(1);
        100.0 * self.stolen.saturating_sub(earlier.stolen) as f64 / all as f64
    }
}

/// What the figures depend on.
pub(crate) fn machine(pinned_to: usize, real_time: bool, steal_percent: f64) -> Result<Machine> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("read the release")?;
    let version = prroute_tests::command::run(&[
        &prroute_tests::prroute::binary()?.display().to_string(),
        "--version",
    ])?;
    Ok(Machine {
        cpu: field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
        kernel: kernel.trim().to_owned(),
        virtualised: field("flags").is_some_and(|flags| flags.contains(" hypervisor")),
        mitigations: mitigations()?,
        real_time,
        pinned_to,
        steal_percent,
        version: version.trim().to_owned(),
    })
}

fn mitigations() -> Result<Vec<String>> {
    const DIRECTORY: &str = "/sys/devices/system/cpu/vulnerabilities";
    // Kernels without the directory know of none.
    let Ok(entries) = fs::read_dir(DIRECTORY) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("list {DIRECTORY}"))?.path();
        let state =
            fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        if !state.starts_with("Not affected") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push(format!("{name}: {}", state.trim()));
        }
    }
    found.sort();
    Ok(found)
}
