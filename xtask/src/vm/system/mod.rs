//! `cargo xtask vm --system`: prroute on a Debian 12 that boots systemd, beside the programs that
//! manage networks there.
//!
//! ```text
//!   packages -> disk -> a copy of it -> boot -> cases -> the next boot of the same disk
//! ```
//!
//! The test program is `guest` of the crate `prroute-tests`. It runs in the guest as root; prroute was
//! installed there by dpkg, from the package that users get.

mod boots;
mod image;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::cases;
use super::initramfs::{self, Content};
use super::kernel::{self, Kernel};
use super::machine::{self, Boot, Report};
use crate::project;
use crate::setup::Prepared;
use crate::target::Architecture;

/// The test program.
const PROGRAM: &str = "guest";

/// Emulated, systemd is up within a minute; another program may need the processors, too.
const BOOT: Duration = Duration::from_secs(600);

/// They lead to the disk and to the host's files; udev finds the others.
const MODULES: [&str; 6] =
    ["virtio_pci", "virtio_blk", "ext4", "9pnet_virtio", "9p", "virtio_console"];

/// For the kernel and for systemd.
const OPTIONS: &str = "systemd.unit=multi-user.target systemd.show_status=no systemd.firstboot=off \
                       systemd.mask=serial-getty@ttyS0.service";

/// Runs the wanted cases, all when none is named.
pub(crate) fn run(
    prepared: &Prepared,
    kernel: &Kernel,
    package: &Path,
    wanted: &[String],
) -> Result<Report> {
    let files = kernel.files(Architecture::HOST)?;
    let program = cases::build_one(prepared, PROGRAM)?;
    let directory = kernel::directory();
    let disk = directory.join(format!("system-{}.disk", kernel.name));
    image::copy(&image::get()?, &disk)?;
    let environment = environment(&files, package);
    let mut sum = Report::default();
    for (number, filter) in (1..).zip(boots::plan(wanted)) {
        let cases = format!(
            "{PROGRAM}\t{}\t--test-threads=1 --nocapture {}\n",
            program.display(),
            filter.join(" ")
        );
        let content = Content {
            init: include_str!("init.sh"),
            busybox: None,
            modules: &MODULES,
            mount_points: &["root"],
            files: &[
                ("agent.sh", include_str!("agent.sh")),
                ("prroute-guest.service", include_str!("prroute-guest.service")),
                ("guest.conf", include_str!("guest.conf")),
                ("environment", &environment),
                ("cases", &cases),
            ],
        };
        let boot = Boot {
            kernel: &files,
            architecture: Architecture::HOST,
            archive: directory.join(format!("initramfs-system-{}", kernel.name)),
            console: directory.join(format!("console-system-{}", kernel.name)),
            options: OPTIONS,
            disk: Some(&disk),
            patience: BOOT,
        };
        let report = boot.run(&initramfs::build(&files, &content)?)?;
        sum.tally = sum.tally + report.tally;
        if report.broken.is_some() || report.tally.failed > 0 {
            sum.broken = report.broken.map(|reason| format!("boot {number}: {reason}"));
            return Ok(sum);
        }
        ensure!(report.tally.passed > 0, "no case is called {}", filter.join(" or "));
    }
    // What failed leaves its disk behind.
    std::fs::remove_file(&disk).with_context(|| format!("remove {}", disk.display()))?;
    Ok(sum)
}

/// What init.sh, agent.sh and the tests find in their environment.
fn environment(files: &kernel::Files, package: &Path) -> String {
    initramfs::environment(&[
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME", "/root".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("TMPDIR", "/run/tmp".to_owned()),
        ("MODULES", files.modules.display().to_string()),
        ("DIRECTORY", project::root().join("tests").display().to_string()),
        ("PRROUTE_DEB", format!("/host{}", package.display())),
        ("PRROUTE_BIN", "/usr/bin/prroute".to_owned()),
        machine::patience(),
    ])
}
