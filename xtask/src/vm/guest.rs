//! A guest of the namespace tests: a kernel with the host's files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::cases::Case;
use super::initramfs::{self, Content};
use super::kernel::{self, Files, Kernel};
use super::machine::{self, Boot, Report};
use crate::project;

const INIT: &str = include_str!("init.sh");
const GUEST: &str = include_str!("guest.sh");

/// They lead to the host's files.
const MODULES: [&str; 5] = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console"];

/// Emulated, it boots within ten seconds.
const BOOT: Duration = Duration::from_secs(180);

/// Boots the kernel and runs the cases.
pub(crate) fn run(kernel: &Kernel, files: &Files, binary: &Path, cases: &[Case]) -> Result<Report> {
    let directory = kernel::directory();
    let boot = Boot {
        kernel: files,
        archive: directory.join(format!("initramfs-{}", kernel.name)),
        console: directory.join(format!("console-{}", kernel.name)),
        options: "",
        disk: None,
        patience: BOOT,
    };
    let (environment, cases) = (environment(files, binary), list(cases, kernel));
    let content = Content {
        init: INIT,
        modules: &MODULES,
        mount_points: &["host", "memory", "root"],
        files: &[("guest.sh", GUEST), ("environment", &environment), ("cases", &cases)],
    };
    boot.run(&initramfs::build(files, &content)?)
}

/// What guest.sh and the tests find in their environment.
fn environment(files: &Files, binary: &Path) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    // Where cargo runs the tests of a package.
    let directory: PathBuf = project::root().join("tests");
    let variables = [
        ("PATH", path),
        ("HOME", "/root".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("TMPDIR", "/run/tmp".to_owned()),
        ("MODULES", files.modules.display().to_string()),
        ("DIRECTORY", directory.display().to_string()),
        ("PRROUTE_BIN", binary.display().to_string()),
        machine::patience(),
    ];
    initramfs::environment(&variables)
}

/// A line for each case: its name, its program, and the tests that this kernel can run.
fn list(cases: &[Case], kernel: &Kernel) -> String {
    let runs_here = |test: &&String| !kernel.not_here.iter().any(|part| test.contains(part));
    let mut lines = String::new();
    for case in cases {
        let tests: Vec<&str> = case.tests.iter().filter(runs_here).map(String::as_str).collect();
        // Without a name the program would run everything.
        if !tests.is_empty() {
            let (program, tests) = (case.program.display(), tests.join(" "));
            lines += &format!("{}\t{program}\t--exact {tests}\n", case.name);
        }
    }
    lines
}
