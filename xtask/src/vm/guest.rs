//! A guest of the namespace tests: a kernel with the host's files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::cases::Case;
use super::foreign;
use super::initramfs::{self, Content};
use super::kernel::{self, Files, Kernel};
use super::machine::{self, Boot, Report};
use crate::project;
use crate::target::Architecture;

const INIT: &str = include_str!("init.sh");
const GUEST: &str = include_str!("guest.sh");

/// They lead to the host's files.
const MODULES: [&str; 5] = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console"];

/// Emulated, it boots within ten seconds.
const BOOT: Duration = Duration::from_secs(180);

/// The variable in which a test that records figures finds the reason.
const RECORD: &str = "PRROUTE_WRITE_BUDGET";

/// What a guest is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guest<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) architecture: Architecture,
    /// prroute, for that architecture.
    pub(crate) binary: &'a Path,
}

impl Guest<'_> {
    /// Boots the kernel and runs the cases.
    pub(crate) fn run(&self, cases: &[Case]) -> Result<Report> {
        let Guest { kernel, architecture, binary } = *self;
        let files = kernel.files(architecture)?;
        // The machine's own, or those that were unpacked for it.
        let root = match architecture.is_foreign() {
            true => foreign::files(architecture)?,
            false => PathBuf::from("/"),
        };
        let directory = kernel::directory();
        let name = format!("{}-{}", kernel.name, architecture.debian());
        let boot = Boot {
            kernel: &files,
            architecture,
            archive: directory.join(format!("initramfs-{name}")),
            console: directory.join(format!("console-{name}")),
            options: "",
            disk: None,
            patience: BOOT,
        };
        let environment = environment(&files, binary, &root);
        let cases = list(cases, kernel);
        let content = Content {
            init: INIT,
            busybox: architecture.is_foreign().then(|| root.join("usr/bin/busybox")),
            modules: &MODULES,
            mount_points: &["host", "memory", "root"],
            files: &[("guest.sh", GUEST), ("environment", &environment), ("cases", &cases)],
        };
        boot.run(&initramfs::build(&files, &content)?)
    }
}

/// What init.sh, guest.sh and the tests find in their environment.
fn environment(files: &Files, binary: &Path, root: &Path) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    // Where cargo runs the tests of a package.
    let directory: PathBuf = project::root().join("tests");
    let variables = [
        ("FILES", format!("/host/{}", foreign::relative(root).display())),
        ("PROJECT", project::root().display().to_string()),
        ("PATH", path),
        ("HOME", "/root".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("TMPDIR", "/run/tmp".to_owned()),
        ("MODULES", files.modules.display().to_string()),
        ("DIRECTORY", directory.display().to_string()),
        ("PRROUTE_BIN", binary.display().to_string()),
        machine::patience(),
    ];
    // Figures for the budget, with this reason.
    let record = std::env::var(RECORD).ok().map(|reason| (RECORD, reason));
    initramfs::environment(&variables.into_iter().chain(record).collect::<Vec<_>>())
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
