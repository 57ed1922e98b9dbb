//! How much memory this process may have maps in: the machine's, or what its control groups leave it.
//! The kernel charges a map to the control group of the process that makes it (Linux 5.11). A limit of a
//! group of others (a container) is the size of their machine; one of the daemon's own unit is for nothing
//! but the daemon, which may use a quarter of it for maps.

use std::fs;
use std::path::{Component, Path, PathBuf};

#[cfg(target_env = "gnu")]
use nix::libc;

use crate::datapath::sizes::{Machine, PART_OF_MEMORY};

/// Both versions of control groups have a file for the limit, in each group.
const LIMIT_V2: &str = "memory.max";
const LIMIT_V1: &str = "memory.limit_in_bytes";

/// One part in four of a unit's own limit may be maps.
const PART_OF_UNIT: u64 = 4;

/// What the daemon itself takes, with room to spare.
const DAEMON: u64 = 64 << 20;

/// This machine, as it is now. What cannot be read is taken for nothing: tables get their smallest
/// size then.
pub fn machine() -> Machine {
    let cpus = aya::util::nr_cpus().unwrap_or(1);
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    let total = total(&read("/proc/meminfo")).unwrap_or_default();
    let limits = limits().into_iter().map(|(file, limit)| machine_of(&file, limit));
    Machine { memory: limits.fold(total, u64::min), cpus }
}

/// Returns to the kernel what the programs took that are not there any more, and reading those that are. The C
/// library would keep it, and more after each load.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it releases only memory that nobody has allocated.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The limit of the unit that this process is, which the kernel enforces: all maps and the process have to
/// find room in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitLimit {
    pub unit: String,
    pub bytes: u64,
}

impl UnitLimit {
    /// What of it is left for maps.
    pub const fn for_maps(&self) -> u64 {
        self.bytes.saturating_sub(DAEMON)
    }
}

/// `None`: no unit has a limit for this process.
pub fn unit_limit() -> Option<UnitLimit> {
    let of_units = limits()
        .into_iter()
        .filter_map(|(file, bytes)| Some(UnitLimit { unit: unit_of(&file)?.to_owned(), bytes }));
    of_units.min_by_key(|limit| limit.bytes)
}

/// Each limit of this process's groups, in bytes, and the file that has it.
fn limits() -> Vec<(PathBuf, u64)> {
    let files =
        limit_files(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"), std::process::id());
    // A group without a limit says "max" (version 2); or it has no such file, like the root.
    let limit = |file: &PathBuf| fs::read_to_string(file).ok()?.trim().parse().ok();
    files
        .into_iter()
        .filter_map(|file| Some((limit(&file)?, file)))
        .map(|(n, file)| (file, n))
        .collect()
}

/// The memory of a machine on which maps may take what they may with this limit.
fn machine_of(file: &Path, limit: u64) -> u64 {
    match unit_of(file) {
        Some(_) => (limit / PART_OF_UNIT).saturating_mul(PART_OF_MEMORY),
        None => limit,
    }
}

/// The unit whose group this file belongs to.
fn unit_of(file: &Path) -> Option<&str> {
    let group = file.parent()?.file_name()?.to_str()?;
    group.ends_with(".service").then_some(group)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| {
        tracing::warn!(
            event = "not-readable",
            "read {path}: {error}; tables may be smaller than they could be"
        );
        String::new()
    })
}

/// proc_meminfo(5), in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Where the limits of a process's groups stand, from its own group up to the root, by its
/// `mountinfo` and `cgroup` (proc_pid_mountinfo(5), proc_pid_cgroup(5)).
fn limit_files(mountinfo: &str, cgroup: &str, process: u32) -> Vec<PathBuf> {
    let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::read).collect();
    // A mount that a later one lies on cannot be seen.
    let is_seen = |at: usize| mounts[at + 1..].iter().all(|mount| mount.point != mounts[at].point);
    let seen: Vec<&Mount<'_>> =
        mounts.iter().enumerate().filter(|(at, _)| is_seen(*at)).map(|(_, mount)| mount).collect();
    let mut files = Vec::new();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let file = match controllers {
            "" => LIMIT_V2,
            _ if controllers.split(',').any(|controller| controller == "memory") => LIMIT_V1,
            _ => continue,
        };
        let of_file = seen.iter().filter(|mount| mount.has(file));
        let hierarchy = of_file
            .filter_map(|mount| Some((mount.point, mount.place(Path::new(group), process)?)))
            .next();
        let Some((mount_point, below)) = hierarchy else { continue };
        files.extend(below.ancestors().map(|group| mount_point.join(group).join(file)));
    }
    files
}

/// What a line of `mountinfo` says.
struct Mount<'a> {
    /// What of the file system is there. Of control groups as this process's namespace has it: where
    /// that is `/a/b`, the root of all is `/../..` (cgroup_namespaces(7)).
    root: &'a Path,
    point: &'a Path,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3).map(Path::new);
        let (root, point) = (fields.next()?, fields.next()?);
        let mut kind = kind.split(' ');
        let (kind, options) = (kind.next()?, kind.nth(1).unwrap_or_default());
        Some(Self { root, point, kind, options })
    }

    /// Whether it is of the hierarchy whose groups have this file.
    fn has(&self, file: &str) -> bool {
        match (file, self.kind) {
            (LIMIT_V2, "cgroup2") => true,
            (LIMIT_V1, "cgroup") => self.options.split(',').any(|it| it == "memory"),
            _ => false,
        }
    }

    /// Where a process's group is below the mount point.
    fn place(&self, group: &Path, process: u32) -> Option<PathBuf> {
        if let Ok(below) = group.strip_prefix(self.root) {
            return Some(below.to_owned());
        }
        let up = self.root.strip_prefix("/").ok()?;
        let is_above = up.components().all(|part| part == Component::ParentDir);
        let inner = group.strip_prefix("/").ok()?;
        let is_inside = inner.components().all(|part| part != Component::ParentDir);
        let levels = up.components().count();
        (is_above && is_inside).then(|| self.search(levels, inner, process)).flatten()
    }

    /// A container's group among all of its level, by the process that is in it: its names cannot be read from within.
    fn search(&self, levels: usize, inner: &Path, process: u32) -> Option<PathBuf> {
        let mut tops = vec![self.point.to_owned()];
        for _ in 0..levels {
            tops = tops.iter().flat_map(|top| folders(top)).collect();
        }
        let has_process = |group: &PathBuf| {
            let all = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            all.lines().any(|line| line.parse() == Ok(process))
        };
        let group = tops.into_iter().map(|top| top.join(inner)).find(has_process)?;
        group.strip_prefix(self.point).ok().map(Path::to_owned)
    }
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::sizes::{Demand, Sizes};

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw
";
    const UNIFIED: &str = "24 23 0:22 / /sys/fs/cgroup ro shared:4 - cgroup2 cgroup2 rw\n";
    const CONTAINER: &str = "35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro - cgroup c rw,memory\n";

    fn files(mountinfo: &str, cgroup: &str) -> Vec<String> {
        let files = limit_files(mountinfo, cgroup, 1);
        files.iter().map(|file| file.display().to_string()).collect()
    }

    #[test]
    fn the_limits_of_a_group_and_of_all_above_it_count() {
        assert_eq!(
            files(UNIFIED, "0::/system.slice/prroute.service\n"),
            [
                "/sys/fs/cgroup/system.slice/prroute.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert_eq!(
            files(HYBRID, "4:memory:/a\n3:cpuset:/b\n0::/\n"),
            [
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/unified/memory.max",
            ]
        );
        assert_eq!(
            files(CONTAINER, "4:cpu,memory:/docker/1\n"),
            ["/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        );
        assert_eq!(files("", "0::/a\nx\n"), [""; 0]);
    }

    /// Docker's and Kubernetes' default on cgroup v2, with the host's /sys/fs/cgroup over the container's own.
    #[test]
    fn a_container_with_a_cgroup_namespace_is_found_by_its_process() {
        let point = std::env::temp_dir().join(format!("prroute-memory-{}", std::process::id()));
        for (group, processes) in [
            ("a.slice/one", "0\n12\n"),
            ("a.slice/two", "0\n1\n7\n"),
            ("b.slice/three", ""),
            ("a.slice", "1\n"),
        ] {
            fs::create_dir_all(point.join(group)).unwrap();
            fs::write(point.join(group).join("cgroup.procs"), processes).unwrap();
        }
        let mountinfo = format!(
            "24 23 0:22 / {0} ro - cgroup2 cgroup2 rw\n25 24 0:22 /../.. {0} ro - cgroup2 cgroup2 rw\n",
            point.display()
        );
        let expected = ["a.slice/two/memory.max", "a.slice/memory.max", "memory.max"]
            .map(|file| point.join(file).display().to_string());
        assert_eq!(files(&mountinfo, "0::/\n"), expected);
        // Of another group, no limit is this process's.
        assert_eq!(files(&mountinfo, "0::/../x\n"), [""; 0]);
        assert_eq!(files(&mountinfo.replace("/../..", "/../other"), "0::/\n"), [""; 0]);
        fs::remove_dir_all(&point).unwrap();
    }

    #[test]
    fn a_units_own_limit_is_for_the_daemon_alone() {
        let of = |group: &str| machine_of(&Path::new(group).join(LIMIT_V2), 400 << 20);
        assert_eq!(of("/sys/fs/cgroup/system.slice/prroute.service"), 10_000 << 20);
        assert_eq!(of("/sys/fs/cgroup/system.slice"), 400 << 20);
        assert_eq!(of("/sys/fs/cgroup"), 400 << 20);
        let unlimited = machine_of(Path::new("/a.service/memory.max"), u64::MAX);
        assert!(unlimited > 1 << 60, "{unlimited}");
    }

    /// As `MemoryMax=` of the package's unit is, and as `flows` doubles the tables.
    #[test]
    fn a_million_flows_find_room_in_the_packages_unit_and_two_do_not() {
        let unit = include_str!("../../../packaging/prroute.service");
        let megabytes = unit.lines().find_map(|line| line.strip_prefix("MemoryMax=")).unwrap();
        let bytes = megabytes.strip_suffix('M').unwrap().parse::<u64>().unwrap() << 20;
        let limit = UnitLimit { unit: "prroute.service".to_owned(), bytes };
        for cpus in [1, 64] {
            let machine = Machine { memory: u64::MAX, cpus };
            let maps = |flows| Sizes::plan(machine, Demand::of_flows(flows)).bytes();
            assert!(maps(1 << 20) < limit.for_maps(), "{}", maps(1 << 20));
            assert!(maps(1_100_000) > limit.for_maps());
        }
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(total("MemTotal:       24684092 kB\nMemFree: 1 kB\n"), Some(25_276_510_208));
        assert_eq!(total("MemTotal: many kB\n"), None);
        let here = machine();
        assert!(here.memory > 64 << 20 && here.cpus >= 1, "{here:?}");
    }
}
