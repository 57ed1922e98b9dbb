//! The kernels that guests run, and their files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::{STABLE, State};
use crate::project::{self, quietly};
use crate::target::Architecture;
use crate::unpack;

/// How the names of the packages begin that a kernel is made of: until 7.0 its image has everything.
const IMAGE: &str = "linux-image-";
const PARTS: [&str; 4] = [IMAGE, "linux-binary-", "linux-modules-", "linux-base-"];

/// A kernel of Debian.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// As `--kernel` calls it.
    pub(crate) name: &'static str,
    /// The package that depends on the newest build, without the architecture at its end.
    package: &'static str,
    /// Where it comes from.
    suite: Suite,
    /// Parts of the names of tests that do not apply to it.
    pub(crate) not_here: &'static [&'static str],
}

/// A part of Debian's archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suite {
    /// Debian 12 and its security updates: what the machine has.
    Stable,
    /// The security updates of this release; its first kernel may have faults that are mended there.
    Security(&'static str),
    /// The backports of this release.
    Backports(&'static str),
}

/// tcx is there since 6.6: tests with `tcx` in their name need it, and those with `clsact_only`
/// are about kernels that lack it. Links that are up are renamed since 6.2.
pub(crate) const ALL: [Kernel; 4] = [
    Kernel {
        name: "5.10",
        package: "linux-image",
        suite: Suite::Security("bullseye"),
        not_here: &[
            "tcx",
            "live_rename",
            // Its test runs cannot say by which interface a packet came in; those of 6.1 can.
            "fast_path::transit_on_a_guests_ports_is_none_of_its_conversation",
            "left_alone::transit_is_neither_recorded_nor_moved",
            "left_alone::a_datagram_from_a_clients_port_that_no_udp_socket_sends_was_not_asked_for",
            "observe::a_containers_reply_is_counted_by_its_published_address",
            "own_source::what_is_forwarded_or_shared_is_not_the_hosts_own",
            "own_source::an_uplink_that_gets_no_replies_still_gets_what_has_its_source",
            "source_owner::a_forwarded_reply_without_a_record_leaves_by_the_owner_of_its_source",
            "source_owner::a_segment_of_the_host_stays_on_an_uplink_whose_replies_are_left_alone",
            "steering::the_translated_reply_of_a_server_on_an_uplinks_segment_is_moved",
            "subnet_gateways::a_connection_that_a_guest_opens_leaves_by_one_gateway",
            "subnet_gateways::fragments_of_the_hosts_own_leave_by_one_router",
        ],
    },
    Kernel {
        name: "6.1",
        package: "linux-image",
        suite: Suite::Stable,
        not_here: &["tcx", "live_rename"],
    },
    Kernel {
        name: "6.12",
        package: "linux-image-6.12",
        suite: Suite::Stable,
        not_here: &["clsact_only"],
    },
    Kernel {
        name: "newest",
        package: "linux-image",
        suite: Suite::Backports("trixie"),
        not_here: &["clsact_only"],
    },
];

/// What is left of the package.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) image: PathBuf,
    /// As uname -r says.
    pub(crate) release: String,
    /// A directory like /lib/modules.
    pub(crate) modules: PathBuf,
}

/// Where guests' files are kept.
pub(crate) fn directory() -> PathBuf {
    project::target().join("vm")
}

impl Kernel {
    /// The kernel's files, downloaded unless they are there already.
    pub(crate) fn files(&self, architecture: Architecture) -> Result<Files> {
        let apt = self.apt(architecture)?;
        let meta = format!("{}-{}", self.package, architecture.debian());
        let builds = unpack::newest(&apt, &meta, &PARTS)
            .with_context(|| format!("find a package with Linux {}", self.name))?;
        let image = builds.iter().find(|build| build.name.starts_with(IMAGE));
        let build = image.context("a kernel has no image")?;
        let home = directory().join(build.directory());
        if !unpack::is_made(&home) {
            eprintln!("{} {} comes from the archive once", build.name, build.version);
            // modprobe reads what the modules depend on.
            unpack::make(&apt, &builds, &home, |unfinished| {
                let release = only_entry(&unfinished.join("lib/modules"))?;
                let mut depmod = Command::new("depmod");
                quietly(depmod.arg("--basedir").arg(unfinished).arg(&release)).map(drop)
            })?;
        }
        let release = only_entry(&home.join("lib/modules"))?;
        let modules = home.join("lib/modules");
        // Until 7.0 in /boot; since then beside its modules.
        let places = [
            home.join("boot").join(format!("vmlinuz-{release}")),
            modules.join(&release).join("vmlinuz"),
        ];
        let image = places.into_iter().find(|place| place.is_file());
        let image = image.with_context(|| format!("{} has no vmlinuz", build.name))?;
        Ok(Files { image, release, modules })
    }

    /// apt, with the part of the archive that has it.
    fn apt(&self, architecture: Architecture) -> Result<State> {
        let security = format!("{STABLE}-security");
        let (present, wanted) = match self.suite {
            Suite::Stable if !architecture.is_foreign() => return Ok(State::default()),
            Suite::Stable => (security.as_str(), security.clone()),
            Suite::Security(release) => (security.as_str(), format!("{release}-security")),
            Suite::Backports(release) => (STABLE, format!("{release}-backports")),
        };
        let name = format!("{wanted}-{}", architecture.debian());
        State::make(&name, &[(present, &wanted)], architecture.debian())
    }
}

/// The name of the one thing in a directory.
fn only_entry(directory: &Path) -> Result<String> {
    let what = || format!("list {}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).with_context(what)? {
        names.push(entry.with_context(what)?.file_name().to_string_lossy().into_owned());
    }
    match names.as_slice() {
        [name] => Ok(name.clone()),
        _ => bail!("{} should contain one directory, not {names:?}", directory.display()),
    }
}
