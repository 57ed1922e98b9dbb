//! The programs on sockets: wildcard UDP servers answer from the address that was asked.
//!
//! They are attached to the root of cgroup v2 through links (Linux 5.7) and pinned like those on
//! the uplinks. The kernel runs them for every socket of the machine; they themselves leave
//! those of other network namespaces alone, which they tell by the cookie (SO_NETNS_COOKIE,
//! Linux 5.14).

use std::fs::{self, File};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};

use aya::maps::{Map, PerCpuArray};
use aya::programs::ProgramError;
use aya_obj::generated::bpf_attach_type::{
    self, BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT, BPF_CGROUP_UDP4_SENDMSG,
    BPF_CGROUP_UDP6_SENDMSG,
};
use nix::libc;
use prroute_common::names;
use prroute_common::udp_origin::SocketReason;

use crate::datapath::error::{DatapathError, Result};
use crate::datapath::hooks::ProgramIds;
use crate::datapath::links::{self, Attachment, HeldLink};
use crate::datapath::maps::{failed, open};
use crate::datapath::object::{Programs, verified};
use crate::datapath::pins::Pins;
use crate::namespace;

/// What became of `udp-source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UdpSource {
    /// The configuration says so.
    Off,
    Attached {
        cgroup: PathBuf,
    },
    Unavailable {
        reason: String,
    },
}

/// A program, where it goes, and the name of its pin.
struct SocketProgram {
    program: &'static str,
    attach_type: bpf_attach_type,
    pin: &'static str,
}

/// Those that set sources come first.
const PROGRAMS: [SocketProgram; 4] = [
    SocketProgram {
        program: names::PROGRAM_SENDMSG4,
        attach_type: BPF_CGROUP_UDP4_SENDMSG,
        pin: "socket-sendmsg4",
    },
    SocketProgram {
        program: names::PROGRAM_SENDMSG6,
        attach_type: BPF_CGROUP_UDP6_SENDMSG,
        pin: "socket-sendmsg6",
    },
    SocketProgram {
        program: names::PROGRAM_CONNECT4,
        attach_type: BPF_CGROUP_INET4_CONNECT,
        pin: "socket-connect4",
    },
    SocketProgram {
        program: names::PROGRAM_CONNECT6,
        attach_type: BPF_CGROUP_INET6_CONNECT,
        pin: "socket-connect6",
    },
];

/// What the programs need to know and where they go.
#[derive(Debug)]
pub struct Sockets {
    host: std::result::Result<Host, UdpSource>,
}

#[derive(Debug)]
struct Host {
    cgroup: PathBuf,
    netns_cookie: u64,
}

impl Sockets {
    /// Finds cgroup v2 and this process's network namespace, unless `enabled` is false.
    pub fn find(enabled: bool) -> Self {
        if !enabled {
            return Self { host: Err(UdpSource::Off) };
        }
        let host = cgroup_root().and_then(|cgroup| Ok((cgroup, netns_cookie()?)));
        let host = host.map(|(cgroup, netns_cookie)| Host { cgroup, netns_cookie });
        Self { host: host.map_err(|error| UdpSource::Unavailable { reason: error.to_string() }) }
    }

    /// The control group to attach to; `None`: there is nothing to help, or no way to.
    pub fn cgroup(&self) -> Option<&Path> {
        self.host.as_ref().ok().map(|host| host.cgroup.as_path())
    }

    /// For the programs: 0 when there is nothing to help.
    pub fn netns_cookie(&self) -> u64 {
        self.host.as_ref().map_or(0, |host| host.netns_cookie)
    }

    /// Attaches the programs, or replaces those that an earlier daemon attached; takes those
    /// away that are not wanted. What the kernel refuses is told by the result: prroute does
    /// everything else without them.
    ///
    /// # Errors
    ///
    /// When what is attached cannot be taken away.
    pub fn attach(
        self,
        programs: &mut Programs,
        pins: &Pins,
    ) -> Result<(UdpSource, Vec<HeldLink>)> {
        let state = match self.host {
            Ok(Host { cgroup, .. }) => match attach_all(programs, pins, &cgroup) {
                Ok(links) => return Ok((UdpSource::Attached { cgroup }, links)),
                Err(error) => UdpSource::Unavailable { reason: error.to_string() },
            },
            Err(state) => state,
        };
        detach(pins)?;
        if let UdpSource::Unavailable { reason } = &state {
            tracing::warn!(
                event = "udp-source-unavailable",
                "wildcard UDP servers answer from the address routing prefers: {reason}"
            );
        }
        Ok((state, Vec::new()))
    }
}

/// Each new link takes the old one's pin. For a moment both programs run: what the first has set,
/// the second leaves alone. There is no moment without.
///
/// # Errors
///
/// When the kernel refuses one of them.
pub fn attach_all(programs: &mut Programs, pins: &Pins, cgroup: &Path) -> Result<Vec<HeldLink>> {
    let group = File::open(cgroup).map_err(|source| DatapathError::File {
        operation: "open the control group",
        path: cgroup.to_owned(),
        source,
    })?;
    let mut links = Vec::new();
    for SocketProgram { program: name, attach_type, pin } in PROGRAMS {
        let failed = |operation| {
            move |source: ProgramError| DatapathError::Program {
                operation,
                object: name.to_owned(),
                source: Box::new(source),
            }
        };
        let program = programs.socket_program(name)?;
        if program.fd().is_err() {
            verified(|| program.load()).map_err(failed("load program"))?;
        }
        let attachment = Attachment {
            name: format!("{} ({name})", cgroup.display()),
            target: group.as_raw_fd().cast_unsigned(),
            attach_type,
            flags: 0,
        };
        let program = program.fd().map_err(failed("find program"))?;
        links.push(HeldLink::create(program.as_fd(), attachment, &pins.socket_link(pin))?);
    }
    Ok(links)
}

/// Whether these links still attach all programs.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub fn are_in_force(programs: &Programs, links: &[HeldLink]) -> Result<bool> {
    for (hook, link) in PROGRAMS.iter().zip(links) {
        if !link.is_in_force(programs.id(hook.program)?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The ids of the programs, where all are loaded.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub fn ids(programs: &Programs) -> Result<Vec<u32>> {
    PROGRAMS.iter().map(|hook| programs.id(hook.program)).collect()
}

/// Whether all programs are attached right now, as the kernel tells; with `ids`, whether they are those
/// that were loaded.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub fn are_attached(pins: &Pins, ids: Option<&ProgramIds>) -> Result<bool> {
    let program = |hook: &SocketProgram| links::program_on_cgroup(&pins.socket_link(hook.pin));
    let attached: Option<Vec<u32>> = PROGRAMS.iter().map(program).collect::<Result<_>>()?;
    let loaded = ids.map(|ids| &ids.sockets).filter(|ids| !ids.is_empty());
    Ok(attached.is_some_and(|attached| loaded.is_none_or(|loaded| *loaded == attached)))
}

/// Takes the programs away; those that are gone already are fine.
///
/// # Errors
///
/// Tells what failed first, after all were tried.
pub fn detach(pins: &Pins) -> Result<()> {
    let removed = PROGRAMS.map(|hook| links::remove(&pins.socket_link(hook.pin)));
    removed.into_iter().collect()
}

/// What the programs counted, over all CPUs, in the order of [`SocketReason::ALL`].
///
/// # Errors
///
/// When the map is not pinned or cannot be read.
pub fn counters(pins: &Pins) -> Result<Vec<(SocketReason, u64)>> {
    let map: PerCpuArray<_, u64> = open(pins, names::SOCKET_COUNTERS, Map::PerCpuArray)?;
    let count = |reason: SocketReason| {
        let per_cpu =
            map.get(&(reason as u32), 0).map_err(failed("read", names::SOCKET_COUNTERS))?;
        Ok((reason, per_cpu.iter().sum()))
    };
    SocketReason::ALL.into_iter().map(count).collect()
}

/// Where cgroup v2 is mounted: `/sys/fs/cgroup`, or below it beside version 1.
fn cgroup_root() -> Result<PathBuf> {
    let path = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(path).map_err(|source| DatapathError::File {
        operation: "read",
        path: path.to_owned(),
        source,
    })?;
    cgroup_mount(&text).ok_or(DatapathError::NoCgroup2)
}

/// proc_pid_mountinfo(5): id, parent, major:minor, root, mount point, options, then a dash and
/// the file system type. A mount of the whole hierarchy is better than one of a part.
fn cgroup_mount(mountinfo: &str) -> Option<PathBuf> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        kind.starts_with("cgroup2 ").then_some((root, point))
    });
    mounts.min_by_key(|(root, _)| root.len()).map(|(_, point)| PathBuf::from(point))
}

/// The programs tell sockets of this process's network namespace by it.
pub(super) fn netns_cookie() -> Result<u64> {
    namespace::cookie().map_err(|source| DatapathError::Cookie { source })
}

/// Whether this kernel has no such cookie (before Linux 5.14).
pub fn lacks_cookie() -> bool {
    namespace::cookie().is_err_and(|error| error.raw_os_error() == Some(libc::ENOPROTOOPT))
}

#[cfg(test)]
mod tests {
    use super::cgroup_mount;
    use std::path::Path;

    const UNIFIED: &str = "\
23 22 0:21 / /sys rw - sysfs sysfs rw
24 23 0:22 / /sys/fs/cgroup ro,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
";

    const HYBRID: &str = "\
24 23 0:22 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
25 24 0:23 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
26 24 0:24 /part /mnt rw - cgroup2 cgroup2 rw
27 24 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn version_2_is_found_alone_and_beside_version_1() {
        assert_eq!(cgroup_mount(UNIFIED).as_deref(), Some(Path::new("/sys/fs/cgroup")));
        assert_eq!(cgroup_mount(HYBRID).as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
    }

    #[test]
    fn version_1_alone_has_no_place_for_the_programs() {
        let version1: String = HYBRID.lines().take(2).map(|line| format!("{line}\n")).collect();
        assert_eq!(cgroup_mount(&version1), None);
    }
}
