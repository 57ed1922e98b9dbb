//! The CPU that is measured on.

use std::fs;

use anyhow::{Context as _, Result};
use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

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
