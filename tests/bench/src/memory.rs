//! Memory by the kernel's own accounting.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use prroute_common::names;
use prroute_tests::bpf;

use crate::instance;
use crate::results::Memory;

/// All maps of an instance that has just started, and what one flow takes in its tables.
pub(crate) fn of_instance(contestant: &str, instance: &str) -> Result<Vec<Memory>> {
    let maps = instance::pins(instance)?;
    let maps = maps.iter().map(|pin| Map::pinned(pin)).collect::<Result<Vec<_>>>()?;
    let mut maps: Vec<Map> = maps.into_iter().flatten().collect();
    maps.sort_by(|one, other| other.bytes.total_cmp(&one.bytes));
    let each: Vec<String> = maps.iter().map(|map| format!("{} {}", map.name, map.bytes)).collect();
    let mut memory = vec![Memory {
        name: format!("{contestant}-maps"),
        bytes: maps.iter().map(|map| map.bytes).sum(),
        source: format!("memlock of the pinned maps after the start: {}", each.join(", ")),
    }];
    for (family, name) in [("ipv4", names::FLOWS4), ("ipv6", names::FLOWS6)] {
        let map = maps.iter().find(|map| map.name == name);
        let Map { bytes, entries, .. } = map.with_context(|| format!("{name} is not pinned"))?;
        memory.push(Memory {
            name: format!("{contestant}-flow-{family}"),
            bytes: bytes / entries,
            source: format!("memlock of {name} ({bytes} bytes) over its {entries} entries"),
        });
    }
    Ok(memory)
}

/// What the kernel says about a map.
struct Map {
    name: String,
    bytes: f64,
    entries: f64,
}

impl Map {
    /// `None` where something else is pinned.
    fn pinned(path: &Path) -> Result<Option<Self>> {
        let map = bpf::pinned(path)?;
        let info = format!("/proc/self/fdinfo/{}", map.as_raw_fd());
        let text = fs::read_to_string(&info).with_context(|| format!("read {info}"))?;
        let field = |field: &str| -> Result<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            let value = line.with_context(|| format!("no {field} in {text}"))?;
            value.trim().parse().with_context(|| format!("{field} of {}", path.display()))
        };
        if !text.contains("map_type:") {
            return Ok(None);
        }
        let name = path.file_name().unwrap_or_default().display().to_string();
        Ok(Some(Self { name, bytes: field("memlock")?, entries: field("max_entries")? }))
    }
}

/// slabinfo(5): pages of a slab over the objects in it; without the hash table and extensions
/// that are allocated apart.
pub(crate) fn of_conntrack() -> Result<Option<Memory>> {
    const PAGE: f64 = 4096.0;
    let text = fs::read_to_string("/proc/slabinfo").context("read /proc/slabinfo")?;
    let Some(line) = text.lines().find(|line| line.starts_with("nf_conntrack ")) else {
        return Ok(None);
    };
    let field = |index: usize| -> Result<f64> {
        let field = line.split_whitespace().nth(index).with_context(|| line.to_owned())?;
        field.parse().with_context(|| line.to_owned())
    };
    let (size, per_slab, pages) = (field(3)?, field(4)?, field(5)?);
    Ok(Some(Memory {
        name: "conntrack-flow".to_owned(),
        bytes: pages * PAGE / per_slab,
        source: format!(
            "nf_conntrack in /proc/slabinfo: objects of {size} bytes, {per_slab} on {pages} pages; \
             hash table and extensions not counted"
        ),
    }))
}
