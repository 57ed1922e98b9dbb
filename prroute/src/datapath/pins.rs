//! Where the datapath is pinned, and whether it will last there.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::DirEntryExt as _;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use prroute_common::{LAYOUT_VERSION, names};

use crate::datapath::directory::{self, BPFFS, file_error, remove_pin};
use crate::datapath::error::{DatapathError, Result};
use crate::instance::Instance;
use crate::netlink::Direction;
use crate::state::uplink::{Ifindex, UplinkId};

/// How the names of the links of stacked devices begin.
const STACKED: &str = "stacked-ingress-";

/// Whether a pin of this name is a link of ours.
pub(super) fn is_link(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    !name.ends_with("_new")
        && ["link-", STACKED, "socket-"].iter().any(|begin| name.starts_with(begin))
}

/// How many pinned maps are left after others removed some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remains {
    pub maps: usize,
    pub of: usize,
    /// Programs are attached, and their flows are lost.
    pub in_use: bool,
}

/// The pin directory of one instance: `/sys/fs/bpf/prroute/NAME/v<layout>/`.
#[derive(Clone, Debug)]
pub struct Pins {
    instance: PathBuf,
    layout: PathBuf,
}

impl Pins {
    pub fn of(instance: &Instance) -> Self {
        Self::below(&directory::of_prroute().join(instance.name()))
    }

    pub(super) fn below(instance: &Path) -> Self {
        let layout = instance.join(format!("v{LAYOUT_VERSION}"));
        Self { instance: instance.to_owned(), layout }
    }

    /// Those of another layout: links have the same names in all of them.
    pub fn of_layout(&self, layout: &Path) -> Self {
        Self { layout: layout.to_owned(), ..self.clone() }
    }

    /// Where everything of the instance is, of every layout.
    pub fn instance(&self) -> &Path {
        &self.instance
    }

    /// Where the pins of this layout are.
    pub fn layout(&self) -> PathBuf {
        self.layout.clone()
    }

    pub fn map(&self, name: &str) -> PathBuf {
        self.layout().join(name)
    }

    /// Names on bpffs cannot contain dots, interface names can: links are named by uplink id.
    pub fn link(&self, uplink: UplinkId, direction: Direction) -> PathBuf {
        self.layout().join(format!("link-{uplink}-{}", direction.name()))
    }

    /// The ingress link of a device that stands on an uplink. The link lives as long as the device,
    /// so that another device with this index finds it dead.
    pub fn stacked_link(&self, ifindex: Ifindex) -> PathBuf {
        self.layout().join(format!("{STACKED}{ifindex}"))
    }

    /// Every pinned link of [`Pins::stacked_link`].
    pub fn stacked_links(&self) -> Result<Vec<(Ifindex, PathBuf)>> {
        let entries = self.entries(&self.layout())?;
        Ok(entries.into_iter().filter_map(|path| Some((stacked_of(&path)?, path))).collect())
    }

    /// A link of the programs on sockets.
    pub fn socket_link(&self, name: &str) -> PathBuf {
        self.layout().join(name)
    }

    /// Every pinned link of this layout, with the uplink it belongs to.
    pub fn links(&self) -> Result<Vec<(UplinkId, Direction, PathBuf)>> {
        let mut links = Vec::new();
        for path in self.entries(&self.layout())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some((id, direction)) =
                name.strip_prefix("link-").and_then(|rest| rest.split_once('-'))
            else {
                continue;
            };
            let direction = Direction::BOTH.into_iter().find(|one| one.name() == direction);
            if let (Ok(id), Some(direction)) = (id.parse(), direction) {
                links.push((UplinkId(id), direction, path));
            }
        }
        Ok(links)
    }

    /// Whether this instance has a datapath of this layout: every map is pinned.
    pub fn exists(&self) -> bool {
        names::pinned_maps().all(|name| self.map(name).exists())
    }

    /// Whether there is anything of a datapath: a map or a link, or what another version pinned.
    pub fn has_any(&self) -> bool {
        self.other_layouts().is_ok_and(|others| !others.is_empty())
            || names::pinned_maps().any(|name| self.map(name).exists())
            || self.links().is_ok_and(|links| !links.is_empty())
    }

    /// Removes the maps that are there where others are missing: what is left of them refers to what
    /// is gone. Programs that are attached go on with them until others take their place. Tells what
    /// was left; `attached`: an earlier daemon has attached programs, by links or by filters.
    ///
    /// # Errors
    ///
    /// When a pin cannot be removed.
    pub fn start_anew(&self, attached: bool) -> Result<Option<Remains>> {
        let left: Vec<_> = names::pinned_maps().filter(|name| self.map(name).exists()).collect();
        let all = names::pinned_maps().count();
        let in_use = attached || !self.links()?.is_empty();
        if left.len() == all || (left.is_empty() && !in_use) {
            return Ok(None);
        }
        for name in &left {
            remove_pin(&self.map(name))?;
        }
        Ok(Some(Remains { maps: left.len(), of: all, in_use }))
    }

    /// What is pinned, each with its inode number, which no other pin has: one look at this tells
    /// whether any pin was removed or replaced.
    pub fn snapshot(&self) -> BTreeMap<OsString, u64> {
        let entries = fs::read_dir(self.layout()).into_iter().flatten().flatten();
        entries.map(|entry| (entry.file_name(), entry.ino())).collect()
    }

    /// Whether this instance has left anything at all, of any layout.
    pub fn is_present(&self) -> bool {
        self.instance.exists()
    }

    /// Refuses a BPF file system that is not there or will not outlive this process.
    pub fn check(&self) -> Result<()> {
        let path = Path::new(BPFFS);
        let none = || DatapathError::NoBpffs { path: path.to_owned() };
        let kind = statfs(path).map_err(|_| none())?;
        if kind.filesystem_type() != BPF_FS_MAGIC {
            // Inside `ip netns exec` the real one is hidden, and mounting another is no help.
            return Err(if bpffs_device("/proc/1/mountinfo", BPFFS)?.is_some() {
                DatapathError::PrivateBpffs { path: path.to_owned() }
            } else {
                none()
            });
        }
        // A private mount namespace, as systemd makes it for a unit, is fine as long as init has
        // the same file system mounted too.
        let here = bpffs_device("/proc/self/mountinfo", BPFFS)?;
        let init = bpffs_device("/proc/1/mountinfo", BPFFS)?;
        if here.is_none() || here != init {
            return Err(DatapathError::PrivateBpffs { path: path.to_owned() });
        }
        Ok(())
    }

    /// Where pins of other versions are.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn other_layouts(&self) -> Result<Vec<PathBuf>> {
        let mut layouts = self.entries(&self.instance)?;
        layouts.retain(|path| *path != self.layout() && !directory::is_of_namespace(path));
        Ok(layouts)
    }

    /// Removes pins of other layouts, once this layout's programs run in their place.
    pub fn remove_other_layouts(&self) -> Result<()> {
        self.other_layouts()?.iter().try_for_each(|path| remove_layout(path))
    }

    /// Removes every pin of this instance; what only pins kept alive ends here.
    pub fn remove(&self) -> Result<()> {
        if directory::check(&self.instance)?.is_none() {
            return Ok(());
        }
        let mut result = Ok(());
        for path in entries(&self.instance)? {
            let is_mark = directory::is_of_namespace(&path);
            result = result.and(if is_mark { remove_entry(&path) } else { remove_layout(&path) });
        }
        result?;
        remove_entry(&self.instance)?;
        directory::remove_unused();
        Ok(())
    }

    pub(super) fn entries(&self, directory: &Path) -> Result<Vec<PathBuf>> {
        entries(directory)
    }
}

fn stacked_of(path: &Path) -> Option<Ifindex> {
    path.file_name()?.to_str()?.strip_prefix(STACKED)?.parse().ok().map(Ifindex)
}

/// Removes the pins of a layout, and its directory. What is not ours stays, and so does the directory.
///
/// # Errors
///
/// Names the first that stays, after everything else was removed.
fn remove_layout(layout: &Path) -> Result<()> {
    if directory::check(layout)?.is_none() {
        return Ok(());
    }
    let mut result = Ok(());
    for pin in entries(layout)? {
        result = result.and(directory::refuse_foreign(&pin).and_then(|()| remove_entry(&pin)));
    }
    result.and_then(|()| remove_entry(layout))
}

fn remove_entry(path: &Path) -> Result<()> {
    let is_directory = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    match if is_directory { fs::remove_dir(path) } else { fs::remove_file(path) } {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(file_error("remove", path, source))
        }
        _ => Ok(()),
    }
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| file_error("list", directory, source);
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()
            .map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}

/// The device number of the BPF file system that a process sees at `mount_point`: the same for
/// every mount of one file system. `/proc/1/mountinfo` is readable without privileges.
fn bpffs_device(mountinfo: &str, mount_point: &str) -> Result<Option<String>> {
    let text = fs::read_to_string(mountinfo)
        .map_err(|source| file_error("read", Path::new(mountinfo), source))?;
    Ok(device_of(&text, mount_point))
}

/// proc_pid_mountinfo(5): id, parent, major:minor, root, mount point, options, then a dash and
/// the file system type. The last mount on a point hides earlier ones.
fn device_of(mountinfo: &str, mount_point: &str) -> Option<String> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (mount, kind) = line.split_once(" - ")?;
            let mut fields = mount.split(' ').skip(2);
            let (device, _root, point) = (fields.next()?, fields.next()?, fields.next()?);
            (point == mount_point && kind.starts_with("bpf ")).then(|| device.to_owned())
        })
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::device_of;

    const MOUNTINFO: &str = "\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /sys rw - sysfs sysfs rw
30 23 0:27 / /sys/fs/bpf rw,nosuid shared:7 - bpf bpf rw,mode=700
31 23 0:28 / /sys/fs/bpf rw,nosuid shared:8 - bpf other rw,mode=700
";

    #[test]
    fn the_last_bpffs_on_a_mount_point_is_the_one_that_is_seen() {
        assert_eq!(device_of(MOUNTINFO, "/sys/fs/bpf").as_deref(), Some("0:28"));
    }

    #[test]
    fn another_file_system_on_the_mount_point_is_no_bpffs() {
        assert_eq!(device_of(MOUNTINFO, "/sys"), None);
    }
}
