//! What this program is a build of.

use std::fmt;

use prroute_common::{LAYOUT_VERSION, MEMORY_VERSION};

/// The version of prroute.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit and `-dirty` where a file differed from it; `unknown` outside a checkout, and for development.
const BUILT_FROM: &str = env!("PRROUTE_BUILT_FROM");

/// Of the embedded BPF object, in hexadecimal digits.
pub const OBJECT_SHA256: &str = env!("PRROUTE_BPF_SHA256");

/// Features of the build that a package has none of.
pub const FEATURES: &[&str] =
    if cfg!(feature = "other-version") { &["other-version"] } else { &[] };

/// Digits of a hash that are enough to tell builds apart.
const SHORT: usize = 12;

/// The commit; `None`: it is not known.
#[must_use]
pub fn commit() -> Option<&'static str> {
    let commit = BUILT_FROM.strip_suffix("-dirty").unwrap_or(BUILT_FROM);
    (commit != "unknown").then_some(commit)
}

/// Whether the source was changed after that commit.
#[must_use]
pub fn is_dirty() -> bool {
    BUILT_FROM.ends_with("-dirty")
}

/// One line: version, commit, layout, and the object by the beginning of its hash.
#[derive(Clone, Copy, Debug)]
pub struct InOneLine;

impl fmt::Display for InOneLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prroute {VERSION}")?;
        if let Some(commit) = commit() {
            let dirty = if is_dirty() { ", changed" } else { "" };
            write!(f, " (commit {}{dirty})", begin(commit))?;
        }
        write!(f, ", layout {LAYOUT_VERSION}, memory {MEMORY_VERSION}, object ")?;
        write!(f, "{}", begin(OBJECT_SHA256))
    }
}

fn begin(hash: &str) -> &str {
    hash.get(..SHORT).unwrap_or(hash)
}
