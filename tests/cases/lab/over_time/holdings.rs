//! What an instance of prroute has of the machine, by the kernel's own account.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing;
use prroute_tests::bpf::{self, Direction};
use prroute_tests::lab::Lab;
use prroute_tests::process::Process;
use prroute_tests::prroute;
use prroute_tests::wait;

/// More than an allocator keeps aside, less than any number of these repetitions could leak.
const MEMORY: u64 = 1 << 20;

/// What follows an event follows within this, on a busy machine.
const SETTLED: Duration = Duration::from_secs(30);

/// BPF objects: the kind, as fdinfo names its id, and the id.
type Objects = BTreeSet<(&'static str, u64)>;

/// Numbers that must not grow, and lists that must not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holdings {
    /// Open files of the daemon, by kind.
    files: BTreeMap<String, usize>,
    /// Maps, programs and links that the daemon has open or that are pinned, by the kernel's ids.
    maps: usize,
    programs: usize,
    links: usize,
    pins: BTreeSet<String>,
    /// Programs on the uplinks' hooks.
    attached: Vec<u32>,
    filters: String,
    /// Rules and routes of both families.
    routing: BTreeSet<String>,
}

impl Holdings {
    /// Of the lab's instance, whose daemon this is.
    pub(super) fn of(lab: &Lab, process: &Process) -> Result<Self> {
        let (files, mut objects) = open_files(process)?;
        let mut pins = BTreeSet::new();
        pinned(&prroute::pins(lab.name()), &mut pins, &mut objects)?;
        let count = |kind: &str| objects.iter().filter(|(of, _)| *of == kind).count();
        let mut attached = Vec::new();
        let mut filters = String::new();
        for number in 1..=lab.topology.uplinks {
            let device = addressing::device(number);
            for (direction, word) in
                [(Direction::Ingress, "ingress"), (Direction::Egress, "egress")]
            {
                attached.push(bpf::tcx_programs(&lab.host, &device, direction)?);
                filters += &lab.host.run(&["tc", "filter", "show", "dev", &device, word])?;
            }
        }
        Ok(Self {
            files,
            maps: count("map_id"),
            programs: count("prog_id"),
            links: count("link_id"),
            pins,
            attached,
            filters,
            routing: routing(lab)?,
        })
    }

    /// Waits until the instance has what it had before.
    pub(super) fn expect_again(&self, lab: &Lab, process: &Process) -> Result<()> {
        let mut now = None;
        wait::until("it has what it had before", SETTLED, || {
            let found = now.insert(Self::of(lab, process)?);
            Ok((found == self).then_some(()))
        })
        .with_context(|| format!("before: {self:#?}\nnow: {now:#?}"))
    }
}

/// How many files of each kind a process has open, and the ids of the BPF objects among them.
fn open_files(process: &Process) -> Result<(BTreeMap<String, usize>, Objects)> {
    let (mut files, mut objects) = (BTreeMap::new(), Objects::new());
    let directory = format!("/proc/{}/fd", process.pid());
    for entry in fs::read_dir(&directory).with_context(|| format!("list {directory}"))? {
        let path = entry.with_context(|| format!("list {directory}"))?.path();
        // One that was closed meanwhile is none.
        let Ok(target) = fs::read_link(&path) else { continue };
        let target = target.display().to_string();
        // "socket:[1234]": the number is another one each time.
        let kind = target.split(":[").next().unwrap_or(&target).to_owned();
        *files.entry(kind).or_insert(0) += 1;
        let number = path.file_name().unwrap_or_default().to_string_lossy();
        let about = format!("/proc/{}/fdinfo/{number}", process.pid());
        objects.extend(ids(&fs::read_to_string(about).unwrap_or_default()));
    }
    Ok((files, objects))
}

/// The BPF objects that a text of fdinfo is about: a link names its program as well.
fn ids(about: &str) -> Vec<(&'static str, u64)> {
    let id = |kind: &'static str| {
        let value = about.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(':'))?;
        Some((kind, value.trim().parse().ok()?))
    };
    ["map_id", "prog_id", "link_id"].into_iter().filter_map(id).collect()
}

/// What is pinned below a directory.
fn pinned(directory: &Path, pins: &mut BTreeSet<String>, objects: &mut Objects) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))? {
        let path = entry.with_context(|| format!("list {}", directory.display()))?.path();
        pins.insert(path.display().to_string());
        if path.is_dir() {
            pinned(&path, pins, objects)?;
            continue;
        }
        // One that is replaced in this moment is looked at the next time.
        let Ok(object): Result<OwnedFd> = bpf::pinned(&path) else { continue };
        let about = format!("/proc/self/fdinfo/{}", object.as_raw_fd());
        objects.extend(ids(&fs::read_to_string(&about).with_context(|| format!("read {about}"))?));
    }
    Ok(())
}

fn routing(lab: &Lab) -> Result<BTreeSet<String>> {
    let mut lines = BTreeSet::new();
    for dump in ["-4 rule", "-6 rule", "-4 route show table all", "-6 route show table all"] {
        let text = lab.host.ip(dump)?;
        lines.extend(text.lines().map(|line| format!("{dump}: {}", line.trim())));
    }
    Ok(lines)
}

/// The memory of a process that no file is behind, in bytes: code is read in when it is first used.
pub(super) fn memory(process: &Process) -> Result<u64> {
    let path = format!("/proc/{}/status", process.pid());
    let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kilobytes.with_context(|| format!("no RssAnon in {status}"))? << 10)
}

/// Fails if the daemon has much more memory than `before`.
pub(super) fn expect_flat(process: &Process, before: u64) -> Result<()> {
    let now = memory(process)?;
    println!("memory: {before} bytes before, {now} now");
    ensure!(now < before + MEMORY, "{} bytes more than before", now - before);
    Ok(())
}
