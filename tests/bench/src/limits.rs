//! Room for the sockets of the largest workload.

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A thousand clients and a thousand servers on each of eight hosts, and all else.
const FILES: u64 = 18_000;

/// Lets this process open as many files as it needs.
pub(crate) fn raise() -> Result<()> {
    let (soft, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).context("ask how many files may be open")?;
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(FILES), hard.max(FILES))
        .with_context(|| format!("allow {FILES} open files"))
}
