//! Memory of one flow, by the kernel's own accounting.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};

use anyhow::{Context as _, Result};
use aya::maps::MapInfo;
use prroute_common::names;

use crate::results::Memory;

/// Of an instance's flow maps and, where conntrack is loaded, of its entries.
pub(crate) fn of_flows(instance: &str) -> Result<Vec<Memory>> {
    let mut memory = Vec::new();
    for (name, map) in [("prroute-ipv4", names::FLOWS4), ("prroute-ipv6", names::FLOWS6)] {
        memory.push(of_map(name, instance, map)?);
    }
    memory.extend(of_conntrack()?);
    Ok(memory)
}

/// `memlock` of a map that is allocated whole, shared out to its entries.
fn of_map(name: &str, instance: &str, map: &str) -> Result<Memory> {
    let instance = instance.parse().map_err(anyhow::Error::msg).context("name an instance")?;
    let pins = prroute::datapath::Pins::of(&instance);
    let path = pins.map(map);
    let info = MapInfo::from_pin(&path).with_context(|| format!("open {}", path.display()))?;
    let fd = info.fd().context("open a map")?;
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd()))
        .context("read a map's fdinfo")?;
    let field = |field: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let value = line.with_context(|| format!("no {field} in {text}"))?;
        value.trim().parse().with_context(|| format!("{field} of {map}"))
    };
    let (bytes, entries) = (field("memlock")?, field("max_entries")?);
    Ok(Memory {
        name: name.to_owned(),
        bytes_per_flow: bytes / entries,
        source: format!("memlock of {map} ({bytes} bytes) over its {entries} entries"),
    })
}

/// slabinfo(5): pages of a slab over the objects in it; without the hash table and extensions
/// that are allocated apart.
fn of_conntrack() -> Result<Option<Memory>> {
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
        name: "conntrack".to_owned(),
        bytes_per_flow: pages * PAGE / per_slab,
        source: format!(
            "nf_conntrack in /proc/slabinfo: objects of {size} bytes, {per_slab} on {pages} pages; \
             hash table and extensions not counted"
        ),
    }))
}
