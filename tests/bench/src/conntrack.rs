//! Room for the flows of a run in conntrack, whose limit all network namespaces share.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context as _, Result};

const LIMIT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
const BUCKETS: &str = "/sys/module/nf_conntrack/parameters/hashsize";

/// Entries of all contestants together.
const ENTRIES: u32 = 8 << 20;

/// As many buckets as conntrack would choose for [`ENTRIES`] itself.
const HASH_BUCKETS: u32 = 2 << 20;

/// The old limits come back when it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    limit: String,
    buckets: String,
}

impl Room {
    /// `None` where conntrack is not loaded.
    pub(crate) fn make() -> Result<Option<Self>> {
        let limit = match fs::read_to_string(LIMIT) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.with_context(|| format!("read {LIMIT}"))?,
        };
        let buckets = fs::read_to_string(BUCKETS).with_context(|| format!("read {BUCKETS}"))?;
        let room = Self { limit, buckets };
        write(BUCKETS, &HASH_BUCKETS.to_string())?;
        write(LIMIT, &ENTRIES.to_string())?;
        Ok(Some(room))
    }
}

fn write(path: &str, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("write {value} to {path}"))
}

impl Drop for Room {
    fn drop(&mut self) {
        for (path, value) in [(BUCKETS, &self.buckets), (LIMIT, &self.limit)] {
            if let Err(error) = write(path, value.trim()) {
                eprintln!("{error:#}");
            }
        }
    }
}
