//! Network namespaces by their numbers: their names, and the way there.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

/// Where `ip netns` has them.
const NAMED: &str = "/run/netns";

/// A file by which a network namespace can be entered.
pub(super) fn entrance(wanted: u64, daemon: Option<Pid>) -> Option<PathBuf> {
    let daemon = daemon.map(of_process);
    let processes = entries("/proc").map(|process| process.join("ns/net"));
    let mut all = daemon.into_iter().chain(entries(NAMED)).chain(processes);
    all.find(|path| inode(path) == Some(wanted))
}

/// What people call it: by `ip netns`, or by its number.
pub(super) fn name(wanted: u64) -> String {
    let named = entries(NAMED).find(|path| inode(path) == Some(wanted));
    match named.as_deref().and_then(Path::file_name) {
        Some(name) => format!("{} (net:[{wanted}])", name.to_string_lossy()),
        None => format!("net:[{wanted}]"),
    }
}

/// `None`: the process may do more than this one, or has ended.
pub(super) fn inode_of(pid: Pid) -> Option<u64> {
    inode(&of_process(pid))
}

fn of_process(pid: Pid) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}

fn entries(directory: &str) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn inode(path: &Path) -> Option<u64> {
    Some(fs::metadata(path).ok()?.ino())
}
