//! The systemd units are valid, hardened, and grant what prroute needs and nothing else.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use prroute_tests::{command, prroute, scratch::Scratch};

/// `systemd-analyze security`, in tenths of its scale from 0 (safe) to 10. What keeps it from
/// less is the job: network configuration and BPF, as root.
const EXPOSURE_AT_MOST: [(&str, &str); 3] = [
    ("prroute.service", "15"),
    ("prroute-metrics.service", "15"),
    ("prroute-exporter.service", "15"),
];

const SERVICES: [&str; 3] =
    ["prroute.service", "prroute-metrics.service", "prroute-exporter.service"];
const OTHERS: [&str; 2] = ["prroute-metrics.timer", "prroute-exporter.socket"];

fn packaged(unit: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(unit)
}

fn read(unit: &str) -> Result<String> {
    let path = packaged(unit);
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

fn text() -> Result<String> {
    read("prroute.service")
}

/// The values of a setting, in their order.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .flat_map(str::split_whitespace)
        .collect()
}

#[test]
fn systemd_finds_nothing_wrong() -> Result<()> {
    let name = format!("prroute-unit-file-{}", std::process::id());
    let scratch = Scratch::create(&name, false)?;
    // The unit names the installed program; the one under test stands in for it.
    let binary = prroute::binary()?;
    let program = std::fs::canonicalize(&binary).context("find prroute")?.display().to_string();
    let installed =
        |unit| -> Result<String> { Ok(read(unit)?.replace("/usr/bin/prroute", &program)) };
    let verify = |file: &Path| {
        let file = file.display().to_string();
        // Other units of this machine may be broken; that is not what is asked here.
        let words = ["systemd-analyze", "verify", "--recursive-errors=no", &file];
        command::output(&mut command::command(&words)?)
    };
    let units = SERVICES.into_iter().chain(OTHERS);
    let files =
        units.map(|unit| scratch.write(unit, &installed(unit)?)).collect::<Result<Vec<_>>>()?;
    for file in files {
        let output = verify(&file)?;
        assert!(!output.stderr.contains("prroute"), "{}", output.stderr);
        assert!(output.status.success(), "{}", output.stderr);
    }

    // It does look: a setting that does not exist is complained about.
    let broken = installed("prroute.service")?.replace("WatchdogSec=", "WatchdogTime=");
    let output = verify(&scratch.write("broken/prroute.service", &broken)?)?;
    assert!(output.stderr.contains("WatchdogTime"), "{}", output.stderr);
    Ok(())
}

#[test]
fn the_units_are_hardened() -> Result<()> {
    for (unit, at_most) in EXPOSURE_AT_MOST {
        let threshold = format!("--threshold={at_most}");
        let security = ["systemd-analyze", "security", "--offline=true", "--no-pager", &threshold];
        let file = packaged(unit).display().to_string();
        let mut words = security.to_vec();
        words.push(&file);
        command::run(&words)?;

        // The threshold can fail.
        words[4] = "--threshold=0";
        assert!(!command::output(&mut command::command(&words)?)?.status.success());
    }
    Ok(())
}

#[test]
fn three_capabilities_at_most() -> Result<()> {
    let of_kernel = ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"];
    let needed = [&of_kernel[..], &of_kernel[..], &[]];
    for (unit, bounding) in SERVICES.into_iter().zip(needed) {
        let text = read(unit)?;
        assert_eq!(values(&text, "CapabilityBoundingSet"), bounding, "{unit}");
        // Root has what is in the bounding set, and who is not root needs none.
        assert_eq!(values(&text, "AmbientCapabilities"), [""; 0], "{unit}");
        assert_eq!(values(&text, "NoNewPrivileges"), ["yes"]);
    }
    Ok(())
}

#[test]
fn what_must_survive_a_restart_and_what_must_not_be_tried_again() -> Result<()> {
    let text = text()?;
    assert_eq!(values(&text, "RuntimeDirectory"), ["prroute"]);
    assert_eq!(values(&text, "RuntimeDirectoryPreserve"), ["yes"]);
    assert_eq!(values(&text, "StateDirectory"), ["prroute"]);
    assert_eq!(values(&text, "Type"), ["notify"]);
    assert_eq!(values(&text, "Restart"), ["on-failure"]);
    // The last is how `prroute down` ends a daemon that hangs.
    assert_eq!(values(&text, "RestartPreventExitStatus"), ["2", "4", "78", "SIGUSR2"]);
    // However often a daemon ended, another one is started; not more than one in so many seconds.
    assert_eq!(values(&text, "StartLimitIntervalSec"), ["0"]);
    assert_eq!(values(&text, "RestartSec"), ["3"]);
    Ok(())
}

/// What is written to: sysctls and pins, for which there is a directory before the daemon starts.
#[test]
fn what_is_not_written_to_is_read_only() -> Result<()> {
    let text = text()?;
    assert_eq!(values(&text, "ProtectSystem"), ["strict"]);
    assert_eq!(values(&text, "ProtectKernelTunables"), ["yes"]);
    // A dash says that systemd is not to fail where the path is missing.
    let written = ["/proc/sys/net/ipv4/conf", "-/sys/fs/bpf/prroute"];
    assert_eq!(values(&text, "ReadWritePaths"), written);
    assert!(values(&text, "ExecStartPre").contains(&"/sys/fs/bpf/prroute"), "{text}");
    Ok(())
}

/// Flow tables get a quarter of the limit at most: where a machine has the memory, all they may have.
#[test]
fn the_memory_limit_makes_no_table_smaller() -> Result<()> {
    let text = text()?;
    let limit = values(&text, "MemoryMax").concat();
    let megabytes: u64 = limit.strip_suffix('M').context("no megabytes")?.parse()?;
    assert!((megabytes << 20) / 4 >= ::prroute::datapath::sizes::MOST_BYTES, "{limit}");
    Ok(())
}
