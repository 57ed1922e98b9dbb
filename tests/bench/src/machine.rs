//! What this machine is.

use std::fs;

use anyhow::{Context as _, Result};

use crate::results::Machine;

/// What the figures depend on.
pub(crate) fn describe(pinned_to: usize, real_time: bool, steal_percent: f64) -> Result<Machine> {
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
        memory: memory()?,
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

/// Bytes: proc_meminfo(5).
fn memory() -> Result<f64> {
    let text = fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
    let field = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = field.and_then(|field| field.split_whitespace().next());
    let kibibytes = kibibytes.with_context(|| format!("no MemTotal in {text}"))?;
    Ok(kibibytes.parse::<f64>().context("read MemTotal")? * 1024.0)
}
