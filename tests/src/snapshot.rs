//! Everything prroute could leave behind in a namespace, as text that must not change.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::bpf::{self, Direction};
use crate::netns::Namespace;
use crate::prroute;

/// One dump and what printed it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    title: String,
    text: String,
}

/// The state of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    parts: Vec<Part>,
}

/// What is printed by a program, byte for byte.
const DUMPS: [&[&str]; 7] = [
    &["ip", "-4", "-details", "rule", "show"],
    &["ip", "-6", "-details", "rule", "show"],
    &["ip", "-4", "-details", "route", "show", "table", "all"],
    &["ip", "-6", "-details", "route", "show", "table", "all"],
    &["tc", "qdisc", "show"],
    &["ip", "-oneline", "-details", "link", "show"],
    &["grep", "-rs", "", "/proc/sys/net/ipv4", "/proc/sys/net/ipv6"],
];

impl Snapshot {
    /// Dumps the namespace, and what the instance of this name has in the file system.
    pub fn take(namespace: &Namespace, instance: &str) -> Result<Self> {
        let mut parts = Vec::new();
        for dump in DUMPS {
            // grep ends with 2 where a sysctl cannot be read, like a secret that was never set.
            let output = namespace.output(dump)?;
            let text = if dump[0] == "grep" { output.stdout } else { output.success()? };
            parts.push(Part { title: dump.join(" "), text: without_countdowns(&text) });
        }
        for device in devices(namespace)? {
            for (direction, word) in
                [(Direction::Ingress, "ingress"), (Direction::Egress, "egress")]
            {
                let filters = namespace.run(&["tc", "filter", "show", "dev", &device, word])?;
                parts.push(Part { title: format!("tc filter {device} {word}"), text: filters });
                let programs = bpf::tcx_programs(namespace, &device, direction)?;
                parts.push(Part {
                    title: format!("tcx {device} {word}"),
                    text: programs.to_string(),
                });
            }
        }
        // Entries that the kernel made for itself come and go; those that a program asked for
        // stay until it takes them back.
        let neighbours = namespace.run(&["ip", "neigh", "show", "nud", "all"])?;
        let asked_for = |line: &&str| {
            ["PERMANENT", "managed", "extern_learn"].iter().any(|word| line.contains(word))
        };
        let mut asked_for: Vec<String> =
            neighbours.lines().filter(asked_for).map(without_reachability).collect();
        // Their order is that of a hash table.
        asked_for.sort_unstable();
        parts.push(Part { title: "ip neigh".to_owned(), text: asked_for.join("\n") });
        for directory in [prroute::pins(instance), prroute::state(instance)] {
            let mut files = Vec::new();
            list(&directory, &mut files)?;
            let title = directory.display().to_string();
            parts.push(Part { title, text: files.join("\n") });
        }
        Ok(Self { parts })
    }

    /// Without the files: what a daemon that does nothing must not change.
    #[must_use]
    pub fn of_kernel(mut self) -> Self {
        self.parts.retain(|part| !part.title.starts_with("/run/"));
        self
    }

    /// Rules, routes, links and sysctls alone, without programs, neighbours and files.
    #[must_use]
    pub fn of_network(mut self) -> Self {
        self.parts.retain(|part| {
            let title = &part.title;
            title.starts_with("ip -") || title.starts_with("grep ")
        });
        self
    }

    /// Without the ids of programs on clsact: another daemon loads them anew.
    #[must_use]
    pub fn of_any_programs(mut self) -> Self {
        for part in self.parts.iter_mut().filter(|part| part.title.starts_with("tc filter ")) {
            part.text =
                part.text.lines().map(|line| without(line, " id ", " name") + "\n").collect();
        }
        self
    }

    /// What changed since `before`; empty when nothing did.
    pub fn changes_since(&self, before: &Self) -> Changes {
        let mut changes = Vec::new();
        for part in &self.parts {
            let old = before.parts.iter().find(|old| old.title == part.title);
            let old = old.map_or("", |old| old.text.as_str());
            if old != part.text {
                changes.push(difference(&part.title, old, &part.text));
            }
        }
        for old in &before.parts {
            if !self.parts.iter().any(|part| part.title == old.title) {
                changes.push(difference(&old.title, &old.text, ""));
            }
        }
        Changes(changes)
    }
}

/// Differences between two snapshots, one text per dump.
#[derive(Debug, Default)]
pub struct Changes(Vec<String>);

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|change| writeln!(f, "{change}"))
    }
}

fn difference(title: &str, old: &str, new: &str) -> String {
    let missing = |text: &str, other: &str, sign: char| -> String {
        let other: Vec<&str> = other.lines().collect();
        let lines = text.lines().filter(|line| !other.contains(line));
        lines.map(|line| format!("{sign} {line}\n")).collect()
    };
    let lines = missing(old, new, '-') + &missing(new, old, '+');
    if lines.is_empty() {
        format!("{title}: the same lines in another order:\n{new}")
    } else {
        format!("{title}:\n{lines}")
    }
}

/// Router advertisements give routes and addresses a lifetime, and a bridge has a timer: both
/// count by themselves.
fn without_countdowns(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| {
        let line = without(line, " expires ", "sec");
        without(&line, " gc_timer ", " group_fwd_mask")
    });
    lines.collect()
}

/// What the kernel thinks of a neighbour changes all the time.
fn without_reachability(line: &str) -> String {
    let changes = ["INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED"];
    let words: Vec<&str> = line.split_whitespace().filter(|word| !changes.contains(word)).collect();
    words.join(" ")
}

/// A line without what is between two words.
fn without(line: &str, first: &str, last: &str) -> String {
    match line.split_once(first) {
        Some((before, after)) => {
            let rest = after.split_once(last).map_or("", |(_, rest)| rest);
            format!("{before}{rest}")
        }
        None => line.to_owned(),
    }
}

fn devices(namespace: &Namespace) -> Result<Vec<String>> {
    let links = namespace.run(&["ip", "-oneline", "-brief", "link", "show"])?;
    let names = links.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.map(|name| name.split('@').next().unwrap_or(name).to_owned()).collect())
}

fn list(directory: &Path, files: &mut Vec<String>) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    files.push(directory.display().to_string());
    let entries =
        fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.with_context(|| format!("list {}", directory.display()))?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path.display().to_string());
        }
    }
    Ok(())
}
